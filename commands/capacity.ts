import type { Capabilities, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { CapacityLimit } from '#domain/routing.ts';
import { InvalidInput, NotFound } from './refusals.ts';
import { noteFreed } from './routing-retry.ts';
import type { Unit } from './unit.ts';

type RoutingGroup = Capabilities['routing']['group'];

/** A group of channels that share a limit, by the keys of their plugins: which group a channel is of is what its plugin says now. */
export interface Grouped {
  readonly group: RoutingGroup;
  readonly plugins: readonly string[];
}

/** The group of a plugin's channels; null: there is no channel, or nobody knows its plugin, so only the limit of all counts. */
export function groupedWith(plugins: readonly Plugin[], plugin: string | null): Grouped | null {
  const group = plugins.find(({ key }) => key === plugin)?.capabilities.routing.group;
  return group === undefined ? null : { group, plugins: inGroup(plugins, group) };
}

function inGroup(plugins: readonly Plugin[], group: RoutingGroup): string[] {
  return plugins.filter(({ capabilities }) => capabilities.routing.group === group).map(({ key }) => key);
}

/** Open tickets a user may own before no decision gives them another; null: no limit. */
export interface Capacity {
  readonly total: number | null;
  readonly voice: number | null;
  readonly messaging: number | null;
  readonly written: number | null;
}

/**
 * Sets a user's limits; what is left out stays (ROUTE-11). Nothing is taken from who has more already, and people may give them more.
 * Throws `NotFound`, `InvalidInput`.
 */
export async function setCapacity(unit: Unit, { userId, ...limits }: { readonly userId: string } & Partial<Capacity>): Promise<void> {
  const problems = Object.entries(limits).flatMap(([path, most]) =>
    most === null || (Number.isInteger(most) && most >= 0 && most <= MOST_CAPACITY)
      ? []
      : [{ path, message: `must be a whole number from 0 to ${MOST_CAPACITY}` }],
  );
  if (problems.length > 0) throw new InvalidInput(problems);
  const { tx } = unit;
  const user = await tx
    .selectFrom('app_user')
    .select(['id', 'capacity_total', 'capacity_voice', 'capacity_messaging', 'capacity_written'])
    .where(sql<string>`id::text`, '=', userId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (user === undefined) throw new NotFound('user', userId);
  const before = { total: user.capacity_total, voice: user.capacity_voice, messaging: user.capacity_messaging, written: user.capacity_written };
  const after: Capacity = { ...before, ...limits };
  if (LIMITED.every((of) => before[of] === after[of])) return;
  await tx
    .updateTable('app_user')
    .set({ capacity_total: after.total, capacity_voice: after.voice, capacity_messaging: after.messaging, capacity_written: after.written })
    .where('id', '=', user.id)
    .execute();
  unit.record({ kind: 'PEOPLE_CHANGED', userId: user.id, why: 'CAPACITY', data: { ...after } });
  await noteFreed(unit, [user.id]);
}

/** Open tickets of one user that a limit may be at most. More than anybody works on at once; it keeps a slip of the keyboard out. */
export const MOST_CAPACITY = 100_000;
const LIMITED = ['total', 'voice', 'messaging', 'written'] as const;

interface Held {
  readonly userId: string;
  readonly total: number | null;
  readonly most: number | null;
  readonly grouped: number | null;
  readonly mostInGroup: number | null;
}

/** The limits that users have, with what they own of each now, for a conversation of that group. Of few users; a pool counts for all of them at once. */
export async function readLimits(db: Db | Tx, userIds: readonly string[], grouped: Grouped | null): Promise<ReadonlyMap<string, readonly CapacityLimit[]>> {
  if (userIds.length === 0) return new Map();
  const { rows } = await sql<Held>`
    select u.id as "userId", u.capacity_total as most, ${mostInGroup(grouped)} as "mostInGroup",
      case when u.capacity_total is not null
        then (select count(*) from ticket t where t.owner_id = u.id and t.closed_at is null) end as total,
      case when ${mostInGroup(grouped)} is not null
        then (select count(*) from ticket t join conversation c on c.id = t.conversation_id join channel h on h.id = c.channel_id
          where t.owner_id = u.id and t.closed_at is null and h.plugin = any(${[...(grouped?.plugins ?? [])]}::text[])) end as grouped
    from app_user u where u.id = any(${[...userIds]}::uuid[])`.execute(db);
  return new Map(rows.map((row) => [row.userId, limitsOf(row, grouped)]));
}

/** Open tickets a user owns: in all, and of each group of channels, as limits count them (ROUTE-11). */
export type OpenTickets = Readonly<Record<(typeof LIMITED)[number], number>>;

/** Of any number of users in one statement; who owns none is not in it. */
export async function readOpenTickets(db: Db | Tx, plugins: readonly Plugin[], userIds: readonly string[]): Promise<ReadonlyMap<string, OpenTickets>> {
  const of = (group: RoutingGroup) => sql<number>`count(*) filter (where h.plugin = any(${inGroup(plugins, group)}::text[]))`;
  const { rows } = await sql<OpenTickets & { readonly userId: string }>`
    select t.owner_id as "userId", count(*) as total, ${of('voice')} as voice, ${of('messaging')} as messaging, ${of('written')} as written
    from ticket t left join conversation c on c.id = t.conversation_id left join channel h on h.id = c.channel_id
    where t.owner_id = any(${[...userIds]}::uuid[]) and t.closed_at is null group by t.owner_id`.execute(db);
  return new Map(rows.map(({ userId, ...open }) => [userId, open]));
}

/** A user's limit for that group, over `app_user u`. */
export function mostInGroup(grouped: Grouped | null) {
  return grouped === null ? sql<number | null>`null::int` : sql<number | null>`${sql.ref(`u.capacity_${grouped.group}`)}`;
}

/** As the domain compares them. */
export function limitsOf(held: Omit<Held, 'userId'>, grouped: Grouped | null): readonly CapacityLimit[] {
  return [
    ...(held.most === null || held.total === null ? [] : [{ of: 'total' as const, open: held.total, limit: held.most }]),
    ...(grouped === null || held.mostInGroup === null || held.grouped === null ? [] : [{ of: grouped.group, open: held.grouped, limit: held.mostInGroup }]),
  ];
}
