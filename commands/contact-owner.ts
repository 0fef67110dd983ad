import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { Candidate } from '#domain/routing.ts';
import { readLimits, type Grouped } from './capacity.ts';
import { NotAssignable, NotFound } from './refusals.ts';
import { noteChannels } from './routing-retry.ts';
import type { Unit } from './unit.ts';

/** Whose owner is asked for: that of a conversation's contact, as far as it recognises them, or of a contact that is taken as recognised. */
export type OwnedBy = { readonly conversationId: string } | { readonly contactId: string } | null;

/**
 * Whom the rule *contact owner* finds: the contact's owner and, where the rule has one, the default user (ROUTE-10). Only rules of live channels
 * have one, so nothing more is asked of it here.
 */
export async function readOwners(
  db: Db | Tx,
  plugins: readonly Plugin[],
  {
    of,
    defaultUserId,
    placeId,
    grouped,
  }: { readonly of: OwnedBy; readonly defaultUserId: string | null; readonly placeId: string; readonly grouped: Grouped | null },
): Promise<readonly Candidate[]> {
  const contactId = of === null ? null : 'contactId' in of ? of.contactId : await contactOf(db, of.conversationId);
  const recognised = of === null || 'contactId' in of || (contactId !== null && (await recognises(db, plugins, of.conversationId, contactId)));
  const { rows } = await sql<Candidate>`
    select u.id as "userId", found."as", u.deactivated_at is not null as deactivated, u.seat = 'PAID' as "hasSeat",
      exists (select 1 from place_assignable p where p.place_id = ${placeId} and p.user_id = u.id) as "hasAccess", u.availability = 'AVAILABLE' as available
    from (
      select 'OWNER' as "as", k.owner_id as user_id from contact k where k.id = ${contactId}
      union all select 'DEFAULT_USER', ${defaultUserId}::uuid
    ) found join app_user u on u.id = found.user_id`.execute(db);
  const limits = await readLimits(
    db,
    rows.map(({ userId }) => userId),
    grouped,
  );
  return rows.map((row) => ({ ...row, limits: limits.get(row.userId) ?? [], ...(row.as === 'OWNER' ? { recognised } : {}) }));
}

/**
 * Says who looks after a contact, or that nobody does. Anybody who works here can; whether something can be given to them is asked when a decision is
 * made. What is theirs already stays where it is. Throws `NotFound`, `NotAssignable`.
 */
export async function setContactOwner(unit: Unit, { contactId, ownerId }: { readonly contactId: string; readonly ownerId: string | null }): Promise<void> {
  const { tx } = unit;
  const contact = await tx.selectFrom('contact').select(['owner_id', 'erased_at']).where('id', '=', contactId).forNoKeyUpdate().executeTakeFirst();
  if (contact === undefined || contact.erased_at !== null) throw new NotFound('contact', contactId);
  if (contact.owner_id === ownerId) return;
  if (ownerId !== null) {
    const user = await tx
      .selectFrom('app_user')
      .select('deactivated_at')
      .where(sql<string>`id::text`, '=', ownerId)
      .executeTakeFirst();
    if (user?.deactivated_at !== null) {
      throw new NotAssignable([{ userId: ownerId, teamId: null, reason: user === undefined ? 'UNKNOWN' : 'DEACTIVATED' }]);
    }
  }
  await tx.updateTable('contact').set({ owner_id: ownerId }).where('id', '=', contactId).execute();
  unit.record({ kind: 'CONTACT_CHANGED', userId: ownerId, why: 'OWNER', data: { contactId, from: contact.owner_id, to: ownerId } });
  // What waited for one owner may be had by another (ROUTE-13).
  await noteChannels(unit, { contactId });
}

async function contactOf(db: Db | Tx, conversationId: string): Promise<string | null> {
  const row = await db.selectFrom('conversation').select('contact_id').where('id', '=', conversationId).executeTakeFirstOrThrow();
  return row.contact_id;
}

/**
 * Whether the newest message came from this contact for certain enough to give them their owner. A visitor is known by the token that only they have.
 * Anybody else is known by the identity the message came from: but not where it was typed into a page, for anybody may type any address (a form
 * therefore recognises nobody: it keeps no token), and not where the identity's own domain denies the sender.
 */
async function recognises(db: Db | Tx, plugins: readonly Plugin[], conversationId: string, contactId: string): Promise<boolean> {
  const { rows } = await sql<{ kind: string; theirs: boolean; verdict: string | null; plugin: string }>`
    select m.sender ->> 'kind' as kind, m.authentication ->> 'verdict' as verdict, h.plugin,
      exists (select 1 from contact_identity i where i.contact_id = ${contactId} and i.kind = m.sender ->> 'kind' and i.value = m.sender ->> 'value') as theirs
    from message m join channel h on h.id = m.channel_id
    where m.conversation_id = ${conversationId} and m.direction = 'INBOUND' and m.sender is not null
    order by m.arrival desc limit 1`.execute(db);
  const [newest] = rows;
  if (newest === undefined || !newest.theirs) return false;
  if (newest.kind === 'visitor') return true;
  const plugin = plugins.find(({ key }) => key === newest.plugin);
  // What an unknown plugin's identities are worth nobody knows.
  return plugin !== undefined && !plugin.capabilities.inbound.includes('page') && newest.verdict !== 'fail';
}
