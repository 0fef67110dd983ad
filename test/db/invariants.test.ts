import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blobOf, PIECE_BYTES } from '#commands/blobs.ts';
import { comment, reply } from '#commands/conversations.ts';
import { decide } from '#commands/routing.ts';
import { transact } from '#commands/unit.ts';
import { saveUpload } from '#commands/uploads.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants, INVARIANTS } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take } from '../support/fixtures.ts';
import { goal, makePolicy } from '../commands/sla-support.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  const owner = await makeUser(db);
  const channel = await makeChannel(db, { rule: { users: [owner] } });
  await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 600, { dueSoon: 60 })] });
  await take(db, channel, [inbound('one@out.example')]);
  const { id } = await db.selectFrom('conversation').select('id').executeTakeFirstOrThrow();
  await decide(db, { conversationId: id }, Math.random);
  await transact(db, { actor: 'USER', userId: owner }, (unit) => reply(unit, [plainPlugin], { conversationId: id, text: 'first' }));
  await transact(db, { actor: 'USER', userId: owner }, (unit) => reply(unit, [plainPlugin], { conversationId: id, text: 'second' }));
  const upload = await saveUpload(db, owner, { fileName: 'large.bin', type: 'text/plain' }, blobOf(Buffer.alloc(2 * PIECE_BYTES + 1)));
  await transact(db, { actor: 'USER', userId: owner }, (unit) => comment(unit, { conversationId: id, text: 'see', uploadIds: [upload?.id ?? ''] }));
  await take(db, await makeChannel(db, { place: 'INBOX' }), [inbound('two@out.example')]);
});
afterAll(() => database.drop());

/** How each rule is broken behind the database's back, in the order of the list: what constraints and triggers refuse is switched off first. */
const BREAKS: readonly (readonly string[])[] = [
  [`update conversation set ticket_id = null`],
  [
    `alter table conversation drop constraint conversation_owner_stands_on_ticket`,
    `update conversation set route_pending_since = now() where ticket_id is not null`,
  ],
  [`delete from contact_identity`],
  [
    `drop index message_provider_once`,
    `update message set provider_message_id = 'same', channel_id = (select min(id::text)::uuid from channel) where direction = 'INBOUND'`,
  ],
  [`alter table message drop constraint message_not_dated_later_than_receipt`, `update message set occurred_at = received_at + interval '1 s'`],
  [`update conversation set channel_id = (select id from channel c where c.id <> conversation.channel_id limit 1)`],
  [`update ticket set owner_id = null`],
  [`delete from event where kind = 'CONVERSATION_STARTED'`],
  [`delete from event where kind = 'MESSAGE_RECEIVED'`],
  [`update conversation set place = 'INBOX', place_id = (select id from place where kind = 'INBOX') where place = 'HELP_DESK'`],
  [`update conversation set status = 'CLOSED', closed_at = now() where ticket_id is not null`],
  [`update ticket set status_id = (select id from ticket_status where category = 'CLOSED')`],
  [`update conversation set ticket_id = null where place = 'HELP_DESK'`],
  [`update channel set disconnected_at = now()`, `insert into mailbox (address, channel_id) select 'x@acme.example', id from channel limit 1`],
  [`update channel set settings = '{"smtpPassword": "x"}'`],
  [`update outbound set state = 'SENDING', sending_since = now() where arrival = (select max(arrival) from outbound)`],
  [`delete from outbound`],
  [`delete from blob_piece where place = 1`],
  [
    `alter table blob_piece drop constraint blob_piece_data_check`,
    `update blob_piece set data = data || '\\x00' where place = 0 and octet_length(data) = 1048576`,
  ],
  [`update attachment set bytes = bytes + 1 where state = 'STORED'`],
  [`update attachment set state = 'WAITING', sha256 = null, tries = 6, channel_id = (select id from channel limit 1)`],
  [`update attachment set state = 'FAILED', reason = 'a test', sha256 = null`],
  [`update channel set disconnected_at = now() - interval '1 hour'`],
  [`update routing_decision set explanation = '{"candidates": []}'`],
  [`update ticket set closed_at = now(), route_pending_since = now()`],
  [
    `update routing_decision set explanation = '{"method": "LEAST_BUSY", "candidates": [{"outcome": "CHOSEN", "open": 2}, {"outcome": "ELIGIBLE", "open": 1}]}'`,
  ],
  [`insert into raw_delivery (channel_id, method, url, headers, body, tries) select id, '', '', '{}', '', 4 from channel limit 1`],
  [`update raw_delivery set state = 'WAITING', settled_at = null`],
  [
    `insert into filtered_message (channel_id, provider_message_id, kind, reason, text, received_at)
       select channel_id, provider_message_id, 'SPAM', 'DENY_LIST', '', now() from message where direction = 'INBOUND'`,
  ],
  [`update message set html_safe = '<p>Hello</p><Script>x()</Script>'`],
  [
    `insert into blob (sha256, bytes) values (sha256('x'), 0)`,
    `insert into ticket_import (user_id, name, format, sha256, pipeline_id, bytes, created)
       select u.id, 'x', 'CSV', sha256('x'), p.id, 0, 5 from app_user u, pipeline p limit 1`,
  ],
  [`update contact set erased_at = now()`],
  [`insert into idempotency_key (caller, key, operation, arguments_hash) values ('a', 'b', 'c', '')`],
  [`update channel set on_agent_reply_status_id = (select id from ticket_status where category = 'CLOSED' limit 1)`],
  [
    `insert into system_mail (kind, recipient, subject, text, state, queued_at) values ('TEST', 'a@users.example', 'a', 'b', 'QUEUED', now() - interval '6 min')`,
  ],
  [
    `with flow as (insert into chatflow (channel_id, name, kind, definition) select id, 'x', 'BOT', '{"steps": []}' from channel limit 1 returning id, definition)
       insert into chatflow_run (conversation_id, chatflow_id, definition) select c.id, f.id, f.definition from conversation c, flow f`,
    `update conversation set route_pending_since = now() where ticket_id is null`,
  ],
  [`update routing_decision set explanation = '{"candidates": [{"outcome": "CHOSEN", "limits": [{"of": "total", "open": 3, "limit": 3}]}]}'`],
  [
    `update routing_decision set explanation = '{"method": "ROUND_ROBIN", "candidates": [{"outcome": "CHOSEN", "turn": {"served": true, "last": 1}},
       {"outcome": "ELIGIBLE", "turn": {"served": false, "last": null}}]}'`,
  ],
  [
    `insert into routing_cycle (rule_id, cycle, turn) select id, 1, 1 from routing_rule limit 1`,
    `insert into routing_turn (rule_id, user_id, cycle, turn) select c.rule_id, u.id, 2, 1 from routing_cycle c, app_user u limit 1`,
  ],
  [`update ticket set nobody_free_since = now(), nobody_free_pool = ''`],
  [`insert into working_period (user_id, weekday, from_minute, to_minute) select id, 1, m, 600 from app_user, unnest(array[480, 540]) m`],
  [`update sla_goal set state = 'PAUSED' where kind = 'CLOSE'`],
  [`drop index sla_goal_one_running`, `update sla_goal set kind = 'CLOSE', round = 2, state = 'PAUSED', ended_at = null where kind = 'FIRST_REPLY'`],
  [`update ticket set closed_at = now()`],
  [`update conversation set place = 'INBOX', place_id = (select id from place where kind = 'INBOX') where place = 'HELP_DESK'`],
  [`update sla_ticket set next_at = next_at + interval '1 s'`],
  [`update sla_goal set due_at = now() - interval '2 min' where kind = 'CLOSE'`, `update event set at = at - interval '2 min'`],
  [
    `with made as (insert into webhook (name, url, secret, deleted_at) values ('removed', '', '', now()) returning id)
     insert into webhook_delivery (webhook_id, payload) select id, '{}' from made`,
  ],
  [
    `drop index channel_migration_one_running`,
    `insert into channel_migration (channel_id, state, history, asked_by, started_at) select h.id, 'RUNNING', 'NONE', u.id, now() from channel h, app_user u`,
  ],
  [
    `insert into channel_migration (channel_id, state, history, asked_by, started_at, ended_at)
       select h.id, 'COMPLETED', 'NONE', u.id, now(), now() from channel h, app_user u where h.place = 'INBOX' limit 1`,
  ],
  [
    `insert into channel_migration (channel_id, state, history, pipeline_id, open_status_id, closed_status_id, asked_by, started_at, ended_at)
       select h.id, 'COMPLETED', 'ALL', s.pipeline_id, s.id, s.id, u.id, now(), now() from channel h, app_user u, ticket_status s where h.place = 'INBOX' limit 1`,
  ],
  [
    `with move as (insert into channel_migration (channel_id, state, history, asked_by, started_at, ended_at)
       select h.id, 'COMPLETED', 'NONE', u.id, now(), now() from channel h, app_user u where h.place = 'HELP_DESK' limit 1 returning id)
     insert into channel_migration_conversation (migration_id, conversation_id, how, new_ticket, unassigned, from_place_id)
       select move.id, c.id, 'WALKED', false, false, c.place_id from move, conversation c`,
  ],
  [
    `insert into channel_migration (channel_id, state, history, asked_by, started_at, ended_at, found)
       select h.id, 'COMPLETED', 'NONE', u.id, now(), now(), 1 from channel h, app_user u where h.place = 'HELP_DESK' limit 1`,
  ],
  [
    `update sla_policy set created_at = now() - interval '1 hour'`,
    `delete from sla_ticket`,
    `with move as (insert into channel_migration (channel_id, state, history, asked_by, started_at, ended_at)
       select h.id, 'COMPLETED', 'NONE', u.id, now(), now() from channel h, app_user u limit 1 returning id
     ), pass as (insert into channel_migration_sla (migration_id, state, total, ended_at) select id, 'DONE', 1, now() from move)
     insert into channel_migration_conversation (migration_id, conversation_id, how, new_ticket, unassigned, from_place_id)
       select move.id, c.id, 'WALKED', false, false, c.place_id from move, conversation c where c.place = 'HELP_DESK'`,
  ],
];

describe('the doctor', () => {
  it('finds nothing where all rules are kept [OPS-11]', async () => {
    // Deliveries are settled by the intake; here by nobody else, so nothing may wait.
    const findings = await checkInvariants(db);
    expect(findings.filter((one) => one.violations !== 0).map((one) => one.invariant.holds)).toEqual([]);
    expect(findings).toHaveLength(BREAKS.length);
  });

  it.each(INVARIANTS.map((invariant, index) => ({ rule: invariant.rule, holds: invariant.holds, index })))(
    'finds where it does not hold that $holds, $rule [OPS-11]',
    async ({ index }) => {
      const rollback = new Error('rolled back');
      let violations = 0;
      const broken = db.transaction().execute(async (tx) => {
        await sql`set local session_replication_role = replica`.execute(tx);
        for (const statement of BREAKS[index] ?? []) await sql.raw(statement).execute(tx);
        const { rows } = await sql.raw<{ violations: number }>(INVARIANTS[index]?.count ?? '').execute(tx);
        violations = Number(rows[0]?.violations);
        throw rollback;
      });
      await expect(broken).rejects.toBe(rollback);
      expect(violations).toBeGreaterThan(0);
    },
  );
});
