import { sql, type Updateable } from 'kysely';
import type { Tx } from '#db/database.ts';
import { lockSuperAdmins } from '#db/locks.ts';
import type { Database, Role, Seat } from '#db/schema.ts';
import { isTimeZone } from '#domain/time-zone.ts';
import { claimMailbox, mailboxAddress, releaseUserMailbox } from './mailboxes.ts';
import { requireName } from './names.ts';
import { AlreadyExists, Forbidden, InvalidInput, NotFound, type Problem } from './refusals.ts';
import { noteFreed } from './routing-retry.ts';
import type { Unit } from './unit.ts';
import { followPlan } from './user-availability.ts';

export interface UserInput {
  readonly name: string;
  readonly email: string;
  readonly role?: Role;
  readonly seat?: Seat;
  /** An IANA name: 'Europe/Berlin'. */
  readonly timeZone?: string;
}

/** Creates a user; the address becomes their own mailbox, so no channel can have it (CH-2). Throws `InvalidInput`, `AddressTaken`. */
export async function createUser(unit: Unit, input: UserInput): Promise<{ readonly userId: string }> {
  const { tx } = unit;
  const { email, name, timeZone } = checkUser(input);
  const user = await tx
    .insertInto('app_user')
    .values({
      email,
      name,
      ...(input.role === undefined ? {} : { role: input.role }),
      ...(input.seat === undefined ? {} : { seat: input.seat }),
      ...(timeZone === undefined ? {} : { time_zone: timeZone }),
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (user === undefined) throw new AlreadyExists('user');
  await claimMailbox(tx, email, { userId: user.id });
  changed(unit, user.id, 'USER_CREATED');
  return { userId: user.id };
}

/** Edits a user; another address is claimed and the old one let go. Throws `NotFound`, `InvalidInput`, `AddressTaken`, `AlreadyExists`. */
export async function updateUser(
  unit: Unit,
  { userId, ...input }: { readonly userId: string } & Partial<Pick<UserInput, 'name' | 'email' | 'timeZone'>>,
): Promise<void> {
  const { tx } = unit;
  const before = await lockUser(tx, userId);
  const { email, name, timeZone } = checkUser({ name: before.name, email: before.email, ...input });
  if (email !== before.email) {
    await claimMailbox(tx, email, { userId });
    await releaseUserMailbox(tx, userId, before.email);
  }
  await change(unit, userId, { email, name, ...(timeZone === undefined ? {} : { time_zone: timeZone }) }, 'USER_CHANGED');
  // Working hours are by the clock of their own zone (ROUTE-12).
  if (timeZone !== undefined) await followPlan(unit, [userId]);
}

/** Ends a user's access at once: tokens are revoked. What they own stays theirs until somebody takes it, and so does their mailbox. Throws `NotFound`, `Forbidden` (the last super admin). */
export async function deactivateUser(unit: Unit, { userId }: { readonly userId: string }): Promise<void> {
  const { tx } = unit;
  await keepASuperAdmin(tx, userId);
  const before = await lockUser(tx, userId);
  if (before.deactivated_at !== null) return;
  await tx
    .updateTable('api_token')
    .set({ revoked_at: sql<Date>`now()`, revoked_by: unit.actor.actor === 'USER' ? unit.actor.userId : null })
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .execute();
  // Nobody waits for a change of their availability any more.
  await change(unit, userId, { deactivated_at: sql<Date>`now()`, availability_until: null }, 'USER_DEACTIVATED');
}

/** Who loses their seat keeps what they own; rules pass them over from now on (ROUTE-4). */
export async function setSeat(unit: Unit, { userId, seat }: { readonly userId: string; readonly seat: Seat }): Promise<void> {
  await lockUser(unit.tx, userId);
  await change(unit, userId, { seat }, `SEAT_${seat}`);
  if (seat === 'PAID') await noteFreed(unit, [userId]);
}

/** Throws `Forbidden` where nobody else would be super admin. */
export async function setRole(unit: Unit, { userId, role }: { readonly userId: string; readonly role: Role }): Promise<void> {
  if (role !== 'SUPER_ADMIN') await keepASuperAdmin(unit.tx, userId);
  await lockUser(unit.tx, userId);
  await change(unit, userId, { role }, `ROLE_${role}`);
}

export async function createTeam(unit: Unit, { name }: { readonly name: string }): Promise<{ readonly teamId: string }> {
  const trimmed = requireName(name);
  const team = await unit.tx
    .insertInto('team')
    .values({ name: trimmed })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (team === undefined) throw new AlreadyExists('team');
  unit.record({ kind: 'PEOPLE_CHANGED', why: 'TEAM_CREATED', data: { teamId: team.id } });
  return { teamId: team.id };
}

export interface TeamMembersInput {
  readonly teamId: string;
  readonly primaryUserIds: readonly string[];
  readonly extraUserIds?: readonly string[];
}

/** Replaces a team's members. A user is a primary member of at most one team; who is one elsewhere is named in the refusal. Throws `NotFound`, `InvalidInput`. */
export async function setTeamMembers(unit: Unit, { teamId, primaryUserIds, extraUserIds = [] }: TeamMembersInput): Promise<void> {
  const { tx } = unit;
  const team = await tx
    .selectFrom('team')
    .select('id')
    .where(sql<string>`id::text`, '=', teamId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (team === undefined) throw new NotFound('team', teamId);
  const kinds = new Map<string, 'PRIMARY' | 'EXTRA'>(extraUserIds.map((id) => [id, 'EXTRA']));
  for (const id of primaryUserIds) kinds.set(id, 'PRIMARY');
  await requireUsers(tx, { primaryUserIds, extraUserIds });
  await tx.deleteFrom('team_member').where('team_id', '=', teamId).execute();
  const elsewhere: string[] = [];
  // In the order of their ids: two teams that want the same people at once wait for one another in one direction only.
  for (const [userId, kind] of [...kinds].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const added = await tx
      .insertInto('team_member')
      .values({ team_id: teamId, user_id: userId, kind })
      .onConflict((conflict) => conflict.doNothing())
      .returning('user_id')
      .executeTakeFirst();
    if (added === undefined) elsewhere.push(userId);
  }
  if (elsewhere.length > 0) {
    throw new InvalidInput(
      elsewhere.map((id) => ({ path: `primaryUserIds.${primaryUserIds.indexOf(id)}`, message: 'is a primary member of another team already' })),
    );
  }
  unit.record({ kind: 'PEOPLE_CHANGED', why: 'TEAM_MEMBERS', data: { teamId } });
  // A rule may name the team, and a place let it in.
  await noteFreed(unit, primaryUserIds);
}

function checkUser(input: Pick<UserInput, 'name' | 'email' | 'timeZone'>) {
  const problems: Problem[] = [];
  const name = input.name.trim();
  if (name === '') problems.push({ path: 'name', message: 'must not be empty' });
  const email = mailboxAddress(input.email);
  if (email === undefined) problems.push({ path: 'email', message: 'must be a mail address' });
  if (input.timeZone !== undefined && !isTimeZone(input.timeZone)) problems.push({ path: 'timeZone', message: 'must be an IANA time zone' });
  if (email === undefined || problems.length > 0) throw new InvalidInput(problems);
  return { name, email, timeZone: input.timeZone };
}

/** Without one nobody could make another. */
async function keepASuperAdmin(tx: Tx, userId: string): Promise<void> {
  await lockSuperAdmins(tx);
  const admins = await tx.selectFrom('app_user').select('id').where('role', '=', 'SUPER_ADMIN').where('deactivated_at', 'is', null).limit(2).execute();
  if (admins.length === 1 && admins[0]?.id === userId) throw new Forbidden('another super admin');
}

async function requireUsers(tx: Tx, lists: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const ids = Object.values(lists).flat();
  if (ids.length === 0) return;
  const known = new Set(
    (
      await tx
        .selectFrom('app_user')
        .select('id')
        .where(sql<string>`id::text`, 'in', ids)
        .execute()
    ).map(({ id }) => id),
  );
  const problems = Object.entries(lists).flatMap(([list, wanted]) =>
    wanted.flatMap((id, index) => (known.has(id) ? [] : [{ path: `${list}.${index}`, message: 'there is no such user' }])),
  );
  if (problems.length > 0) throw new InvalidInput(problems);
}

async function lockUser(tx: Tx, userId: string) {
  const user = await tx
    .selectFrom('app_user')
    .select(['id', 'name', 'email', 'deactivated_at'])
    .where(sql<string>`id::text`, '=', userId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (user === undefined) throw new NotFound('user', userId);
  return user;
}

type UserChange = Omit<Updateable<Database['app_user']>, 'deactivated_at'> & { deactivated_at?: ReturnType<typeof sql<Date>> };

async function change(unit: Unit, userId: string, set: UserChange, why: string): Promise<void> {
  await unit.tx.updateTable('app_user').set(set).where('id', '=', userId).execute();
  changed(unit, userId, why);
}

function changed(unit: Unit, userId: string, why: string): void {
  unit.record({ kind: 'PEOPLE_CHANGED', userId, why });
}
