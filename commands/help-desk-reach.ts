import { sql, type RawBuilder } from 'kysely';
import type { Db, Tx } from '#db/database.ts';

/** What keeps the help desk from giving somebody anything: the first of these that holds. */
export type ReachLack = 'UNKNOWN' | 'DEACTIVATED' | 'NO_SEAT' | 'NO_ACCESS';

/** A user as the help desk sees them; `lack` null: it can give them something. */
export interface Reached {
  readonly userId: string;
  readonly lack: ReachLack | null;
}

export interface Reach {
  /** Of each user that was asked about. */
  readonly users: ReadonlyMap<string, ReachLack | null>;
  /** Of each team that was asked about its primary members: the others are never given anything (MODEL-11). */
  readonly teams: ReadonlyMap<string, readonly Reached[]>;
}

/**
 * Whether the help desk can give something to users, and to primary members of teams: a paid seat, and access by themselves, by *everyone* or as a primary
 * member of a team of its list, as every routing rule asks (MODEL-11). One statement for all of them.
 */
export async function readReach(
  db: Db | Tx,
  { userIds, teamIds }: { readonly userIds: readonly string[]; readonly teamIds: readonly string[] },
): Promise<Reach> {
  const teams = new Map<string, Reached[]>(teamIds.map((id) => [id, []]));
  const users = new Map<string, ReachLack | null>();
  if (userIds.length + teams.size === 0) return { users, teams };
  // As the view `place_assignable` has it, which makes a list of everybody first. Ids are compared as texts: one that is no UUID at all is unknown too, and no error of the database's.
  const { rows } = await sql<{ userId: string; teamId: string | null; lack: ReachLack | null }>`
    with listed as materialized (
      select a.user_id, a.team_id, a.everyone from access_entry a join place p on p.id = a.place_id where p.kind = 'HELP_DESK'
    ), named as (
      select asked.id as user_id, null as team_id from unnest(${[...new Set(userIds)]}::text[]) as asked (id)
      union all
      select m.user_id::text, m.team_id::text from team t join team_member m on m.team_id = t.id and m.kind = 'PRIMARY' where t.id::text = any(${[...teams.keys()]}::text[])
    )
    select n.user_id as "userId", n.team_id as "teamId", case
      when u.id is null then 'UNKNOWN'
      when u.deactivated_at is not null then 'DEACTIVATED'
      when u.seat <> 'PAID' then 'NO_SEAT'
      when not (exists (select 1 from listed e where e.everyone) or u.id in (
        select e.user_id from listed e where e.user_id is not null
        union all select m.user_id from listed e join team_member m on m.team_id = e.team_id and m.kind = 'PRIMARY')) then 'NO_ACCESS'
    end as lack
    from named n left join app_user u on u.id::text = n.user_id order by n.user_id`.execute(db);
  for (const { userId, teamId, lack } of rows) {
    if (teamId === null) users.set(userId, lack);
    else teams.get(teamId)?.push({ userId, lack });
  }
  return { users, teams };
}

/** The ids of all who have access to places, whoever can be assigned there (MODEL-11): a query of one column. Those who are deactivated are left out. */
export function membersOf(places: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(select u.id from app_user u where u.deactivated_at is null and (
    exists (select from access_entry e where e.place_id in (${places}) and e.everyone)
    or u.id in (select e.user_id from access_entry e where e.place_id in (${places}) and e.user_id is not null
      union all select m.user_id from access_entry e join team_member m on m.team_id = e.team_id where e.place_id in (${places}))))`;
}

/** The same of the help desk. */
export const HELP_DESK_MEMBERS = membersOf(sql`select p.id from place p where p.kind = 'HELP_DESK'`);
