import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { SEND_LIMIT_SECONDS } from '#domain/outbox.ts';
import { MAIL_LIMIT_SECONDS } from '#domain/system-mail.ts';
import type { Wake } from '#domain/wake.ts';
import { WEBHOOK_LOST_SECONDS } from '#domain/webhook.ts';
import { isDue } from './migration-walk.ts';
import { waiting } from './routing-retry.ts';

export interface Stuck {
  readonly wake: Wake;
  /** Seconds beyond the moment at which it should have gone on. */
  readonly overdueSeconds: number;
  readonly why: (typeof WHY)[keyof typeof WHY];
}

/** A conversation without a ticket whose decision waits: it has no workflow of its own, so whoever finds it decides it. */
export interface UndecidedConversation {
  readonly conversationId: string;
}

/** What should have gone on and has not, judged by the rows alone, most overdue first: Temporal may say `RUNNING` of a workflow that is paused. */
export async function findStuck(db: Db, limit: number): Promise<{ readonly stuck: readonly Stuck[]; readonly undecided: readonly UndecidedConversation[] }> {
  const { rows } = await sql<{ kind: keyof typeof WHY; key: string; channel_key: string | null; plugin: string | null; overdue: number }>`
    select * from (
      select 'intake' as kind, h.key, h.key as channel_key, h.plugin, extract(epoch from now() - min(r.received_at)) - 10 as overdue
      from raw_delivery r join channel h on h.id = r.channel_id
      where r.state = 'WAITING' and r.received_at < now() - interval '10 s' group by h.id
      union all
      select 'ticket', t.number::text, h.key, h.plugin, extract(epoch from now() - t.route_pending_since) - 10
      from ticket t left join conversation c on c.id = t.conversation_id left join channel h on h.id = c.channel_id
      where t.route_pending_since < now() - interval '10 s'
      union all
      -- A deadline, or one that was to be told of, that its workflow has not seen.
      select 'ticket-moment', t.number::text, h.key, h.plugin, extract(epoch from now() - s.next_at) - 10
      from sla_ticket s join ticket t on t.id = s.ticket_id join conversation c on c.id = t.conversation_id join channel h on h.id = c.channel_id
      where s.next_at < now() - interval '10 s'
      union all
      select 'sla-reevaluation', e.id::text, null, null, extract(epoch from now() - e.progressed_at) - 20
      from sla_reevaluation e where e.state = 'RUNNING' and e.progressed_at < now() - interval '20 s'
      union all
      select 'migration-sla', y.migration_id::text, null, null, extract(epoch from now() - y.progressed_at) - 20
      from channel_migration_sla y where y.state = 'RUNNING' and y.progressed_at < now() - interval '20 s'
      union all
      -- A move that runs and comes no further; one whose hour has come, and nothing stands in its way; what could not be moved and is to be tried again.
      select 'channel-migration', h.key, h.key, h.plugin, extract(epoch from now() - case g.state when 'SCHEDULED' then g.start_at + interval '10 s'
        when 'RUNNING' then g.progressed_at + interval '20 s'
        else coalesce((select min(r.tried_at) from channel_migration_remainder r where r.migration_id = g.id), g.ended_at) end)
      from channel_migration g join channel h on h.id = g.channel_id
      where (g.state = 'RUNNING' and g.progressed_at < now() - interval '20 s')
        or (g.state = 'SCHEDULED' and g.start_at < now() - interval '10 s' and not exists (select from channel_migration r where r.state = 'RUNNING'))
        or (g.state = 'COMPLETED_WITH_REMAINDER' and (not exists (select from channel_migration_remainder r where r.migration_id = g.id)
          or exists (select from channel_migration_remainder r join conversation c on c.id = r.conversation_id where r.migration_id = g.id and c.channel_id = g.channel_id and ${isDue()})))
      union all
      select 'outbox', o.conversation_id::text, h.key, h.plugin,
        extract(epoch from now() - greatest(o.not_before, coalesce(o.sending_since + make_interval(secs => ${SEND_LIMIT_SECONDS}), h.send_after))) - 30
      from outbound o join channel h on h.id = o.channel_id
      where o.state in ('QUEUED', 'SENDING')
        and greatest(o.not_before, coalesce(o.sending_since + make_interval(secs => ${SEND_LIMIT_SECONDS}), h.send_after)) < now() - interval '30 s'
        and not exists (select 1 from outbound e where e.conversation_id = o.conversation_id and e.arrival < o.arrival and e.state in ('QUEUED', 'SENDING'))
      union all
      -- A step that is to be done, an answer nobody has looked at, a question that is past its time.
      select 'chatflow', r.conversation_id::text, h.key, h.plugin,
        extract(epoch from now() - case when r.state = 'RUNNING' then r.changed_at else least(r.wait_until, u.at) end) - 10
      from chatflow_run r join conversation c on c.id = r.conversation_id join channel h on h.id = c.channel_id
      left join lateral (select min(m.received_at) as at from message m where r.state = 'WAITING' and m.conversation_id = r.conversation_id
        and m.direction = 'INBOUND' and not m.automatic and m.arrival > r.seen_arrival) u on true
      where r.state in ('RUNNING', 'WAITING') and case when r.state = 'RUNNING' then r.changed_at else least(r.wait_until, u.at) end < now() - interval '10 s'
      union all
      select 'ticket-import', i.id::text, null, null, extract(epoch from now() - i.progressed_at) - 20
      from ticket_import i where i.state = 'RUNNING' and i.progressed_at < now() - interval '20 s'
      union all
      select 'attachments', h.key, h.key, h.plugin, extract(epoch from now() - min(a.not_before)) - 10
      from attachment a join channel h on h.id = a.channel_id
      where a.state = 'WAITING' and a.not_before < now() - interval '10 s'
        and not exists (select 1 from attachment f where f.channel_id = a.channel_id and f.state = 'WAITING' and f.fetching_until > now())
      group by h.id
      union all
      -- A door that could not judge a delivery has asked for it.
      select 'renewal', h.key, h.key, h.plugin, extract(epoch from now() - h.renew_asked_at) - 10
      from channel h
      where h.renew_asked_at < now() - interval '10 s' and coalesce(h.renew_tried_at < h.renew_asked_at, true) and h.disconnected_at is null
      union all
      select 'catch-up', h.key, h.key, h.plugin, extract(epoch from now() - greatest(h.catch_up_since, h.catch_up_after, h.catch_up_until)) - 10
      from channel h
      where h.catch_up_since is not null and h.disconnected_at is null
        and greatest(h.catch_up_since, h.catch_up_after, h.catch_up_until) < now() - interval '10 s'
        -- What was fetched is being taken in: that is the intake's to bring on.
        and not (h.catch_up_fetched = h.catch_up_asked and exists (select 1 from raw_delivery r where r.channel_id = h.id and r.recovered and r.state = 'WAITING'))
      union all
      -- Many are queued in one moment: that one of them was settled is progress too.
      select 'system-mail', 'system-mail', null, null, extract(epoch from now() - m.since) - 30
      from (
        select greatest(min(case when q.state = 'SENDING' then q.sending_since + make_interval(secs => ${MAIL_LIMIT_SECONDS})
          else greatest(q.not_before, coalesce(h.send_after, s.send_after)) end), (select max(settled_at) from system_mail)) as since
        from system_mail q left join system_sender s on q.channel_id is null left join channel h on h.id = q.channel_id where q.state in ('QUEUED', 'SENDING') having count(*) > 0
      ) m where m.since < now() - interval '30 s'
      union all
      -- A webhook that is slow has a queue of its own: that any of them is called is progress.
      select 'webhooks', 'webhooks', null, null, extract(epoch from now() - w.since) - 30
      from (
        select greatest(min(case when d.state = 'SENDING' then d.tried_at + make_interval(secs => ${WEBHOOK_LOST_SECONDS}) else d.not_before end),
          (select max(tried_at) from webhook_delivery)) as since
        from webhook_delivery d where d.state in ('QUEUED', 'SENDING') having count(*) > 0
      ) w where w.since < now() - interval '30 s'
      union all
      -- Somebody's availability that nobody has brought up to date, and what waits though somebody became free.
      select 'routing-retry', 'routing-retry', null, null, extract(epoch from now() - r.since) - 10
      from (select least((select min(u.availability_until) from app_user u),
        (select min(k.at) from routing_retry_cause k where exists (select from (${waiting()}) w))) as since) r
      where r.since < now() - interval '10 s'
    ) stuck order by overdue desc limit ${limit}`.execute(db);
  const undecided = await sql<{ id: string }>`
    select id from conversation where route_pending_since < now() - interval '10 s' order by route_pending_since limit ${limit}`.execute(db);
  return {
    stuck: rows.map((row) => ({ wake: wakeOf(row), overdueSeconds: Math.max(0, Number(row.overdue)), why: WHY[row.kind] })),
    undecided: undecided.rows.map((row) => ({ conversationId: row.id })),
  };
}

const WHY = {
  intake: 'DELIVERY_WAITS',
  ticket: 'DECISION_WAITS',
  'ticket-moment': 'DEADLINE_WAITS',
  'sla-reevaluation': 'REEVALUATION_WAITS',
  'migration-sla': 'MIGRATION_SLA_WAITS',
  'channel-migration': 'MOVE_WAITS',
  outbox: 'MESSAGE_WAITS',
  chatflow: 'CHATFLOW_WAITS',
  'ticket-import': 'IMPORT_WAITS',
  attachments: 'ATTACHMENT_WAITS',
  'catch-up': 'CATCHING_UP_WAITS',
  renewal: 'RENEWAL_WAITS',
  'system-mail': 'MAIL_WAITS',
  webhooks: 'WEBHOOK_WAITS',
  'routing-retry': 'RETRY_WAITS',
} as const;

function wakeOf(row: { kind: keyof typeof WHY; key: string; channel_key: string | null; plugin: string | null }): Wake {
  switch (row.kind) {
    case 'intake':
      return { kind: 'intake', channelKey: row.key, plugin: row.plugin ?? '' };
    case 'sla-reevaluation':
      return { kind: 'sla-reevaluation', reevaluationId: row.key };
    case 'migration-sla':
      return { kind: 'migration-sla', migrationId: row.key };
    case 'channel-migration':
      return { kind: 'channel-migration', channelKey: row.key, plugin: row.plugin ?? '' };
    case 'ticket':
    case 'ticket-moment':
      return { kind: 'ticket', number: Number(row.key), channelKey: row.channel_key, plugin: row.plugin };
    case 'attachments':
      return { kind: 'attachments', channelKey: row.key, plugin: row.plugin ?? '' };
    case 'chatflow':
      return { kind: 'chatflow', conversationId: row.key, channelKey: row.channel_key ?? '', plugin: row.plugin ?? '' };
    case 'ticket-import':
      return { kind: 'ticket-import', importId: row.key };
    case 'renewal':
      return { kind: 'renewal', channelKey: row.key, plugin: row.plugin ?? '' };
    case 'catch-up':
      return { kind: 'catch-up', channelKey: row.key, plugin: row.plugin ?? '' };
    case 'system-mail':
      return { kind: 'system-mail' };
    case 'webhooks':
      return { kind: 'webhooks' };
    case 'routing-retry':
      return { kind: 'routing-retry' };
    case 'outbox':
      return { kind: 'outbox', conversationId: row.key, channelKey: row.channel_key ?? '', plugin: row.plugin ?? '' };
  }
}
