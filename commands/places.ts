import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { AlreadyExists, InvalidInput, NotFound } from './refusals.ts';
import { noteChannels } from './routing-retry.ts';
import type { Unit } from './unit.ts';

/** Who has access to a place (MODEL-11). */
export type AccessList = { readonly everyone: true } | { readonly userIds: readonly string[]; readonly teamIds: readonly string[] };

/** A further inbox; everyone has access until its list says otherwise. Throws `InvalidInput`, `AlreadyExists`. */
export async function createInbox(
  unit: Unit,
  { name, access = { everyone: true } }: { readonly name: string; readonly access?: AccessList },
): Promise<{ readonly placeId: string }> {
  const trimmed = name.trim();
  if (trimmed === '') throw new InvalidInput([{ path: 'name', message: 'must not be empty' }]);
  const place = await unit.tx
    .insertInto('place')
    .values({ kind: 'INBOX', name: trimmed })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (place === undefined) throw new AlreadyExists('inbox');
  await writeAccess(unit.tx, place.id, access);
  unit.record({ kind: 'PEOPLE_CHANGED', placeId: place.id, why: 'INBOX_CREATED' });
  return { placeId: place.id };
}

/** Replaces a place's access list. Rules that name somebody who has none any more pass them over. Throws `NotFound`, `InvalidInput`. */
export async function setAccessList(unit: Unit, { placeId, access }: { readonly placeId: string; readonly access: AccessList }): Promise<void> {
  const place = await unit.tx
    .selectFrom('place')
    .select('id')
    .where(sql<string>`id::text`, '=', placeId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (place === undefined) throw new NotFound('place', placeId);
  await unit.tx.deleteFrom('access_entry').where('place_id', '=', placeId).execute();
  await writeAccess(unit.tx, placeId, access);
  unit.record({ kind: 'PEOPLE_CHANGED', placeId, why: 'ACCESS_LIST' });
  await noteChannels(unit, { placeId });
}

async function writeAccess(tx: Tx, placeId: string, access: AccessList): Promise<void> {
  if ('everyone' in access) {
    await tx.insertInto('access_entry').values({ place_id: placeId, everyone: true, user_id: null, team_id: null }).execute();
    return;
  }
  const userIds = [...new Set(access.userIds)];
  const teamIds = [...new Set(access.teamIds)];
  if (userIds.length + teamIds.length === 0) {
    throw new InvalidInput([{ path: 'access', message: 'everyone, or at least one user or team: nobody would see what is in it' }]);
  }
  const problems = [
    ...(await unknown(tx, 'app_user', userIds)).map((index) => ({ path: `access.userIds.${index}`, message: 'there is no such user' })),
    ...(await unknown(tx, 'team', teamIds)).map((index) => ({ path: `access.teamIds.${index}`, message: 'there is no such team' })),
  ];
  if (problems.length > 0) throw new InvalidInput(problems);
  await tx
    .insertInto('access_entry')
    .values([
      ...userIds.map((userId) => ({ place_id: placeId, user_id: userId, team_id: null })),
      ...teamIds.map((teamId) => ({ place_id: placeId, user_id: null, team_id: teamId })),
    ])
    .execute();
}

/** Which of the ids, by their position, lead to nothing. */
async function unknown(tx: Tx, table: 'app_user' | 'team', ids: readonly string[]): Promise<readonly number[]> {
  if (ids.length === 0) return [];
  const rows = await tx
    .selectFrom(table)
    .select('id')
    .where(sql<string>`id::text`, 'in', ids)
    .execute();
  const known = new Set(rows.map(({ id }) => id));
  return ids.flatMap((id, index) => (known.has(id) ? [] : [index]));
}
