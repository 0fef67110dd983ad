import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { flipDueNow } from './user-availability.ts';

/**
 * Whether one of those who can be given a channel's conversations is available now: assignable in its place, with a paid seat, not deactivated. Those are
 * whom its rule names; with a bot, whom the rules of its hand-offs name. The rule *nobody* and a contact's owner leave it to everybody who can be
 * assigned in the place, unless there is a default user.
 */
export async function ruleAvailable(db: Db, channelId: string): Promise<boolean> {
  // What is told to a visitor is no state that is past (ROUTE-12).
  await flipDueNow(db);
  const { rows } = await sql<{ somebody: boolean }>`
    with channel as (select id, place_id, routing_rule_id from channel where id = ${channelId}), handed as (
      select step.rule_id as id from channel h join chatflow f on f.channel_id = h.id and f.enabled and f.kind = 'BOT' and f.entry_point is null
      cross join lateral jsonb_each_text(coalesce(f.definition -> 'ruleIds', '{}')) as step (step_id, rule_id)
    ), rule as (
      select r.* from routing_rule r
      where r.id::text in (select id from handed) or (not exists (select from handed) and r.id = (select routing_rule_id from channel))
    )
    select exists (
      select from rule r cross join channel h join place_assignable a on a.place_id = h.place_id join app_user u on u.id = a.user_id
      where u.availability = 'AVAILABLE' and u.seat = 'PAID' and u.deactivated_at is null and case
        when r.kind = 'SPECIFIC' then exists (
          select from routing_rule_target t where t.rule_id = r.id and (t.user_id = u.id
            or exists (select from team_member m where m.team_id = t.team_id and m.user_id = u.id and m.kind = 'PRIMARY')))
        else r.default_user_id is null or r.default_user_id = u.id end
    ) as somebody`.execute(db);
  return rows[0]?.somebody === true;
}
