import { sql } from 'kysely';
import type { Db } from './database.ts';

/** One rule that must always hold, as one SQL statement that counts where it does not. */
export interface Invariant {
  readonly rule: string;
  readonly holds: string;
  /** Returns one row with `violations`. */
  readonly count: string;
}

/** What the doctor, the guardian, the demo, chaos and operators check: the same list (OPS-11). */
export const INVARIANTS: readonly Invariant[] = [
  {
    rule: 'MODEL-1',
    holds: 'a conversation and its ticket point at each other, and at nothing else',
    count: `select count(*) as violations from conversation c full join ticket t on t.conversation_id = c.id
      where (c.id is not null and c.ticket_id is distinct from t.id) or (t.conversation_id is not null and c.id is null)`,
  },
  {
    rule: 'MODEL-2',
    holds: 'the owner stands in one row: on the ticket where there is one',
    count: `select count(*) as violations from conversation where ticket_id is not null and num_nonnulls(owner_id, team_id, route_pending_since) > 0`,
  },
  {
    rule: 'MODEL-3',
    holds: 'every contact has an identity',
    count: `select count(*) as violations from contact c where c.erased_at is null and not exists (select 1 from contact_identity i where i.contact_id = c.id)`,
  },
  {
    rule: 'MODEL-4',
    holds: 'one provider message of a channel is one message',
    count: `select count(*) as violations from (select 1 from message where provider_message_id is not null
      group by channel_id, provider_message_id having count(*) > 1) twice`,
  },
  {
    rule: 'MODEL-4',
    holds: 'no message is dated later than its receipt',
    count: `select count(*) as violations from message where occurred_at > received_at`,
  },
  {
    rule: 'MODEL-5',
    holds: 'the current channel is that of the newest inbound or outbound message',
    count: `select count(*) as violations from conversation c cross join lateral (
      select m.channel_id from message m where m.conversation_id = c.id and m.direction <> 'COMMENT' order by m.occurred_at desc, m.arrival desc limit 1
      ) newest where newest.channel_id <> c.channel_id`,
  },
  {
    rule: 'MODEL-7',
    holds: 'the owner of each ticket is the one its newest owner event says',
    count: `select count(*) as violations from ticket t left join lateral (
      select e.user_id from event e where (e.ticket_id = t.id or e.conversation_id = t.conversation_id) and e.kind = 'OWNER_CHANGED' order by e.id desc limit 1
      ) newest on true where t.owner_id is distinct from newest.user_id`,
  },
  {
    rule: 'MODEL-7',
    holds: 'every conversation began with an event',
    count: `select count(*) as violations from conversation c
      where not exists (select 1 from event e where e.conversation_id = c.id and e.kind = 'CONVERSATION_STARTED')`,
  },
  {
    rule: 'MODEL-7',
    holds: 'every ticket and every message of a contact has its event',
    count: `select (select count(*) from ticket t where not exists (select 1 from event e where e.ticket_id = t.id and e.kind = 'TICKET_CREATED'))
      + (select count(*) from message m where m.direction = 'INBOUND'
          and not exists (select 1 from event e where e.conversation_id = m.conversation_id and e.message_id = m.id)) as violations`,
  },
  {
    rule: 'MODEL-10',
    holds: 'nothing that came to the help desk lives in an inbox again',
    count: `select count(*) as violations from conversation c where c.place = 'INBOX'
      and exists (select 1 from event e join place p on p.id = e.place_id where e.conversation_id = c.id and p.kind = 'HELP_DESK')`,
  },
  {
    rule: 'MODEL-13',
    holds: 'a ticket is closed exactly when its conversation is',
    count: `select count(*) as violations from ticket t join conversation c on c.id = t.conversation_id where (t.closed_at is null) <> (c.status = 'OPEN')`,
  },
  {
    rule: 'MODEL-13',
    holds: 'a ticket is closed exactly when its status is of category CLOSED',
    count: `select count(*) as violations from ticket t join ticket_status s on s.id = t.status_id where (t.closed_at is not null) <> (s.category = 'CLOSED')`,
  },
  {
    rule: 'CH-1',
    holds: 'every conversation of the help desk has a ticket',
    count: `select count(*) as violations from conversation where place = 'HELP_DESK' and ticket_id is null`,
  },
  {
    rule: 'CH-2',
    holds: 'a connected email address has one holder, and a disconnected channel holds none',
    count: `select (select count(*) from (select 1 from channel where disconnected_at is null group by plugin, address having count(*) > 1) twice)
      + (select count(*) from mailbox m join channel c on c.id = m.channel_id where c.disconnected_at is not null) as violations`,
  },
  {
    rule: 'CH-3',
    holds: 'no settings hold what is sealed as a secret',
    count: `select count(*) as violations from channel where exists (select 1 from jsonb_object_keys(settings) as k where k ~* '(password|secret|token)$')`,
  },
  {
    rule: 'CH-5',
    holds: 'at most one message of a conversation is being sent, and none overtook an earlier one',
    count: `select (select count(*) from (select 1 from outbound where state = 'SENDING' group by conversation_id having count(*) > 1) twice)
      + (select count(*) from outbound o where o.state = 'SENDING' and exists (
          select 1 from outbound e where e.conversation_id = o.conversation_id and e.arrival < o.arrival and e.state = 'QUEUED' and e.queued_at < o.sending_since)) as violations`,
  },
  {
    rule: 'CH-5',
    holds: 'every message that a person wrote has a delivery',
    count: `select count(*) as violations from message m where m.direction = 'OUTBOUND' and m.author_user_id is not null
      and not exists (select 1 from outbound o where o.message_id = m.id)`,
  },
  {
    rule: 'CH-6',
    holds: 'every stored file is whole: its pieces are as many and as large as its size says',
    count: `select count(*) as violations from blob b left join lateral (
      select count(*) as pieces, coalesce(sum(octet_length(p.data)), 0) as bytes, coalesce(max(p.place), -1) as last from blob_piece p where p.sha256 = b.sha256
      ) whole on true where whole.bytes <> b.bytes or whole.pieces <> ceil(b.bytes / 1048576.0) or whole.last <> whole.pieces - 1`,
  },
  {
    rule: 'CH-6',
    holds: 'no piece of a file is larger than a megabyte',
    count: `select count(*) as violations from blob_piece where octet_length(data) > 1048576`,
  },
  {
    rule: 'CH-6',
    holds: 'an attachment is stored exactly when it has its file, of the size it says',
    count: `select count(*) as violations from attachment a left join blob b on b.sha256 = a.sha256
      where (a.state = 'STORED') <> (b.sha256 is not null) or a.bytes <> b.bytes`,
  },
  {
    rule: 'CH-6',
    holds: 'no attachment waits for a delivery that is gone, or after its last try',
    count: `select count(*) as violations from attachment a join message m on m.id = a.message_id where a.state = 'WAITING'
      and (a.tries > 5 or (m.raw_delivery_id is not null and not exists (select 1 from raw_delivery r where r.id = m.raw_delivery_id)))`,
  },
  {
    rule: 'CH-6',
    holds: 'what goes out with a message that a person wrote is stored',
    count: `select count(*) as violations from attachment a join message m on m.id = a.message_id where m.author_user_id is not null and a.state <> 'STORED'`,
  },
  {
    rule: 'CH-10',
    holds: 'nothing waits to be sent on a disconnected channel for more than a minute',
    count: `select count(*) as violations from outbound o join channel c on c.id = o.channel_id
      where o.state = 'QUEUED' and c.disconnected_at < now() - interval '1 min'`,
  },
  {
    rule: 'ROUTE-4',
    holds: 'every automatic choice is somebody its explanation calls chosen',
    count: `select count(*) as violations from routing_decision d where d.chosen_user_id is not null
      and not exists (select 1 from jsonb_array_elements(d.explanation -> 'candidates') c
        where c ->> 'outcome' = 'CHOSEN' and c ->> 'userId' = d.chosen_user_id::text)`,
  },
  {
    rule: 'ROUTE-15',
    holds: 'a closed conversation or ticket waits for no decision',
    count: `select (select count(*) from ticket where closed_at is not null and route_pending_since is not null)
      + (select count(*) from conversation where status = 'CLOSED' and route_pending_since is not null) as violations`,
  },
  {
    rule: 'ROUTE-15',
    holds: 'nobody was chosen as the least busy where their decision lists somebody with fewer',
    count: `select count(*) as violations from routing_decision d where d.explanation ->> 'method' = 'LEAST_BUSY' and d.chosen_user_id is not null
      and exists (select 1 from jsonb_array_elements(d.explanation -> 'candidates') c, jsonb_array_elements(d.explanation -> 'candidates') o
        where c ->> 'outcome' = 'CHOSEN' and o ->> 'outcome' = 'ELIGIBLE' and (o ->> 'open')::int < (c ->> 'open')::int)`,
  },
  {
    rule: 'PLUG-11',
    holds: 'no delivery waits after its last try',
    count: `select count(*) as violations from raw_delivery where state = 'WAITING' and tries > 3`,
  },
  {
    rule: 'OPS-10',
    holds: 'every message of a contact came with a delivery that is settled',
    // One that waits again because a filtered message of it was let pass may have brought others.
    count: `select count(*) as violations from message m join raw_delivery r on r.id = m.raw_delivery_id where r.state = 'WAITING' and not r.released`,
  },
  {
    rule: 'EMAIL-6',
    holds: 'what was filtered and not let pass is in no conversation',
    count: `select count(*) as violations from filtered_message f join message m on m.channel_id = f.channel_id and m.provider_message_id = f.provider_message_id
      where f.released_at is null`,
  },
  {
    rule: 'CH-7',
    holds: 'no HTML that is shown has a tag that can run, load or send',
    count: `select count(*) as violations from message where coalesce(html_safe, '') || coalesce(quoted_html_safe, '')
      ~* '<[[:space:]]*/?(script|style|iframe|object|embed|svg|math|form|input|button|meta|base|link|video|audio)'`,
  },
  {
    rule: 'MODEL-8',
    holds: 'an import has made as many tickets as it says, and lists no more bad lines than it counted',
    count: `select count(*) as violations from ticket_import i
      where i.created <> (select count(*) from ticket t where t.import_id = i.id)
        or i.bad < (select count(*) from ticket_import_problem p where p.import_id = i.id)`,
  },
  {
    rule: 'OPS-9',
    holds: 'an erased contact has no name, no identity, and no message in its conversations',
    count: `select count(*) as violations from contact c where c.erased_at is not null and (c.name is not null
      or exists (select 1 from contact_identity i where i.contact_id = c.id)
      or exists (select 1 from conversation v join message m on m.conversation_id = v.id where v.contact_id = c.id))`,
  },
  {
    rule: 'API-4',
    holds: 'every idempotency key that is committed has its answer',
    count: `select count(*) as violations from idempotency_key where answer is null`,
  },
  {
    rule: 'CH-8',
    holds: "a channel's automation names open statuses of the pipeline of its ticket defaults",
    count: `select count(*) as violations from channel c join ticket_status s on s.id in (c.on_contact_reply_status_id, c.on_agent_reply_status_id)
      where s.category <> 'OPEN' or s.pipeline_id <> c.default_pipeline_id`,
  },
  {
    rule: 'CH-12',
    holds: "none of the account's own mail waits for more than five minutes without a system sender",
    count: `select count(*) as violations from system_mail where state = 'QUEUED' and queued_at < now() - interval '5 min'
      and not exists (select 1 from system_sender)`,
  },
  {
    rule: 'CHAT-5',
    holds: 'a chatflow goes on only in open conversations, and a bot only while no owner is being decided',
    count: `select count(*) as violations from chatflow_run r join conversation c on c.id = r.conversation_id left join ticket t on t.id = c.ticket_id
      where r.state in ('RUNNING', 'WAITING') and (c.status = 'CLOSED' or (r.definition -> 'steps' is not null
        and coalesce(c.route_pending_since, t.route_pending_since) is not null))`,
  },
  {
    rule: 'ROUTE-15',
    holds: 'nobody was chosen whose decision shows them at their limit',
    count: `select count(*) as violations from routing_decision d where d.chosen_user_id is not null
      and exists (select 1 from jsonb_array_elements(d.explanation -> 'candidates') c, jsonb_array_elements(c -> 'limits') l
        where c ->> 'outcome' = 'CHOSEN' and (l ->> 'open')::int >= (l ->> 'limit')::int)`,
  },
  {
    rule: 'ROUTE-11',
    holds: 'nobody had a second turn of a cycle where their decision lists somebody who had none',
    count: `select count(*) as violations from routing_decision d where d.explanation ->> 'method' = 'ROUND_ROBIN' and d.chosen_user_id is not null
      and exists (select 1 from jsonb_array_elements(d.explanation -> 'candidates') c, jsonb_array_elements(d.explanation -> 'candidates') o
        where c ->> 'outcome' = 'CHOSEN' and o ->> 'outcome' = 'ELIGIBLE' and (c -> 'turn' ->> 'served')::boolean and not (o -> 'turn' ->> 'served')::boolean)`,
  },
  {
    rule: 'ROUTE-11',
    holds: 'no member is further than the cycle they take turns in, and its newest turn is the one of somebody',
    count: `select (select count(*) from routing_turn t join routing_cycle c on c.rule_id = t.rule_id where t.cycle > c.cycle or t.turn > c.turn)
      + (select count(*) from routing_cycle c where not exists (select 1 from routing_turn t where t.rule_id = c.rule_id and t.turn = c.turn)) as violations`,
  },
  {
    rule: 'ROUTE-13',
    holds: 'what waits for somebody to become free is of nobody, and waits where its owner would stand',
    count: `select (select count(*) from ticket where nobody_free_since is not null and owner_id is not null)
      + (select count(*) from conversation where nobody_free_since is not null and num_nonnulls(owner_id, ticket_id) > 0) as violations`,
  },
  {
    rule: 'ROUTE-12',
    holds: 'no two working periods of a user share a minute',
    count: `select count(*) as violations from working_period a join working_period b on b.user_id = a.user_id and b.weekday = a.weekday
      and b.from_minute > a.from_minute and b.from_minute < a.to_minute`,
  },
  {
    rule: 'SLA-15',
    holds: 'every goal is in the state its newest event says',
    count: `select count(*) as violations from sla_goal g left join lateral (
      select e.data ->> 'to' as state from event e where e.ticket_id = g.ticket_id and e.kind = 'SLA_GOAL_CHANGED'
        and e.data ->> 'goal' = g.kind and (e.data ->> 'round')::int = g.round order by e.id desc limit 1
      ) newest on true where newest.state is distinct from g.state`,
  },
  {
    rule: 'SLA-7',
    holds: 'a ticket has at most one running goal of a kind',
    count: `select count(*) as violations from (select 1 from sla_goal where ended_at is null group by ticket_id, kind having count(*) > 1) twice`,
  },
  {
    rule: 'SLA-8',
    holds: 'nothing is counted on a closed ticket',
    count: `select count(*) as violations from sla_goal g join ticket t on t.id = g.ticket_id
      where t.closed_at is not null and (g.ended_at is null or g.counting_since is not null)`,
  },
  {
    rule: 'SLA-11',
    holds: 'only tickets whose conversation lives in the help desk have goals',
    count: `select count(*) as violations from sla_goal g join ticket t on t.id = g.ticket_id left join conversation c on c.id = t.conversation_id
      where c.place is distinct from 'HELP_DESK'`,
  },
  {
    rule: 'SLA-13',
    holds: "a ticket's next moment is the soonest of its goals",
    // Of what is still to be told, and of what changes by itself.
    count: `select count(*) as violations from sla_ticket s left join lateral (
      select min(least(
        case when g.overdue_at is not null and g.overdue_fired_at is null and (g.state in ('OVERDUE', 'COMPLETED_LATE') or (g.state = 'PAUSED' and g.used_ms >= g.duration_ms)) then g.overdue_at
          when g.state = 'DUE_SOON' and g.due_soon_fired_at is null then g.due_soon_at end,
        case when g.state = 'ACTIVE' and g.due_soon_at is not null then g.due_soon_at when g.state in ('ACTIVE', 'DUE_SOON') then g.due_at end
      )) as at from sla_goal g where g.ticket_id = s.ticket_id
      ) soonest on true where s.next_at is distinct from soonest.at`,
  },
  {
    rule: 'SLA-12',
    holds: 'nothing overdue has waited for more than a minute to be told',
    // One that is found overdue late, as by other terms, waits since then.
    count: `select count(*) as violations from sla_goal g
      where g.overdue_fired_at is null
        and case when (g.state in ('OVERDUE', 'COMPLETED_LATE') or (g.state = 'PAUSED' and g.used_ms >= g.duration_ms)) then g.overdue_at when g.state in ('ACTIVE', 'DUE_SOON') then g.due_at end < now() - interval '1 min'
        and not exists (select 1 from event e where e.ticket_id = g.ticket_id and e.kind = 'SLA_GOAL_CHANGED' and e.data ->> 'goal' = g.kind
          and (e.data ->> 'round')::int = g.round and e.at >= now() - interval '1 min')`,
  },
  {
    rule: 'SLA-12',
    holds: 'no policy names a webhook that was removed, and nothing waits for one',
    count: `select (select count(*) from sla_policy p join sla_terms t on t.id = p.terms_id cross join jsonb_array_elements(t.actions) a
        join webhook w on w.id::text = a -> 'act' ->> 'webhookId' where p.deleted_at is null and w.deleted_at is not null)
      + (select count(*) from webhook_delivery d join webhook w on w.id = d.webhook_id where d.state in ('QUEUED', 'SENDING') and w.deleted_at is not null) as violations`,
  },
  {
    rule: 'MIG-3',
    holds: 'one move runs at a time, and a channel is moved once',
    count: `select (select greatest(count(*) - 1, 0) from channel_migration where state = 'RUNNING')
      + (select count(*) from (select from channel_migration where started_at is not null group by channel_id having count(*) > 1) twice) as violations`,
  },
  {
    rule: 'MIG-8',
    holds: 'a channel whose move has started lives in the help desk',
    count: `select count(*) as violations from channel_migration g join channel h on h.id = g.channel_id where g.started_at is not null and h.place <> 'HELP_DESK'`,
  },
  {
    rule: 'MIG-13',
    holds: 'once a move with history has ended nothing of its channel is in an inbox but what is listed',
    count: `select count(*) as violations from channel_migration g join conversation c on c.channel_id = g.channel_id and c.place = 'INBOX'
      where g.history = 'ALL' and g.ended_at is not null
        and not exists (select from channel_migration_remainder r where r.migration_id = g.id and r.conversation_id = c.id)`,
  },
  {
    rule: 'MIG-14',
    holds: 'what a move lists as moved is in the help desk, and came there once',
    count: `select count(*) as violations from channel_migration_conversation m join conversation c on c.id = m.conversation_id
      where m.how in ('WALKED', 'PULLED_FORWARD', 'JOINED', 'FOLLOWED')
        and (c.place <> 'HELP_DESK' or (select count(*) from event e where e.conversation_id = c.id and e.kind = 'PLACE_CHANGED') <> 1)`,
  },
  {
    rule: 'MIG-21',
    holds: 'a report adds up: what was found is moved or left over',
    count: `select count(*) as violations from channel_migration g
      cross join lateral (select count(*) filter (where m.how = 'JOINED') as joined, count(*) filter (where m.how = 'GONE') as gone,
        count(*) filter (where m.how in ('WALKED', 'PULLED_FORWARD', 'JOINED')) as moved,
        count(*) filter (where m.how = 'WALKED') as walked, count(*) filter (where m.how = 'WALKED' and m.new_ticket) as made from channel_migration_conversation m where m.migration_id = g.id) m
      cross join lateral (select count(*) as listed, count(*) filter (where r.joined) as joined from channel_migration_remainder r where r.migration_id = g.id) r
      where g.ended_at is not null and (g.found + m.joined + r.joined - m.gone <> m.moved + r.listed or g.walked <> m.walked or g.walked_new <> m.made)`,
  },
  {
    rule: 'MIG-20',
    holds: 'a move whose tickets were all looked at has left none without goals that a policy was there for',
    // A policy is as old as the transaction that saved it, which is over within half a minute.
    count: `select count(*) as violations from channel_migration_sla y
      join channel_migration_conversation m on m.migration_id = y.migration_id and m.how in ('WALKED', 'PULLED_FORWARD', 'JOINED', 'FOLLOWED')
      join ticket t on t.conversation_id = m.conversation_id left join sla_ticket s on s.ticket_id = t.id
      where y.state = 'DONE' and s.ticket_id is null
        and exists (select from sla_policy p where p.deleted_at is null and p.created_at < y.started_at - interval '1 min')`,
  },
];

export interface Finding {
  readonly invariant: Invariant;
  readonly violations: number;
}

/** Counts each invariant's violations, one statement each, in the order of the list. */
export async function checkInvariants(db: Db): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const invariant of INVARIANTS) {
    const { rows } = await sql.raw<{ violations: number }>(invariant.count).execute(db);
    findings.push({ invariant, violations: Number(rows[0]?.violations ?? Number.NaN) });
  }
  return findings;
}
