import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it, test } from 'vitest';
import config from '#config';
import { startMigration } from '#commands/migrations.ts';
import { migrationSlaBatch } from '#commands/migration-sla.ts';
import { retryRemainder } from '#commands/migration-walk.ts';
import { savePolicy } from '#commands/sla-policies.ts';
import type { Db } from '#db/database.ts';
import { BLOWS, dealBlows } from '#scripts/chaos/blows.ts';
import { keepRows, spoilOne } from '#scripts/chaos/kept-rows.ts';
import { mendOne, sayGoals, sayMoved } from '#scripts/chaos/moved-as-ruled.ts';
import { seeded } from '#scripts/chaos/random.ts';
import { seedInbox } from '#scripts/seed/inbox.ts';
import { makeMapping, run, superAdmin, walkToTheEnd, type Mapping } from '../commands/migration-support.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testKeys } from '../support/fixtures.ts';

const PROMISED_MS = 30 * 86_400_000;

let database: TestDatabase;
let mapping: Mapping;
let mended: Awaited<ReturnType<typeof mendOne>>;

beforeAll(async () => {
  database = await testDatabase();
  const { db } = database;
  const targets = [{ kind: 'CLOSE', priority: null, durationMs: PROMISED_MS, dueSoonMs: 0 }] as const;
  await run(db, (unit) => savePolicy(unit, { name: 'All', conditions: [], targets, pauseStatusIds: [], actions: [] }, 'NEW_TICKETS'));
  const context = { plugins: config.plugins, keys: testKeys };
  const cast = await seedInbox(db, context, { conversations: 400, kinds: ['mails', 'forms', 'chats'], seed: 5 });
  const unmovableId = await spoilOne(db, cast.channels.mails?.channelId ?? '');
  const moving = await keepRows(db, cast, { unmovableId, held: 10 });
  mapping = await makeMapping(db);
  const { openStatusId, closedStatusId } = mapping;
  const userId = await superAdmin(db);
  const migrationIds: string[] = [];
  for (const { channelId } of moving) {
    const input = { channelId, history: 'ALL', openStatusId, closedStatusId } as const;
    const { migrationId } = await run(db, (unit) => startMigration(unit, context, input), { actor: 'USER', userId });
    await walkToTheEnd(db, migrationId);
    migrationIds.push(migrationId);
  }
  mended = await mendOne(db, unmovableId);
  for (const migrationId of migrationIds) {
    await retryRemainder(db, migrationId);
    while (!(await migrationSlaBatch(db, migrationId)).value.done);
  }
}, 120_000);
afterAll(() => database?.drop());

/** What the comparison says is not so. */
async function wrong(db: Db): Promise<readonly string[]> {
  const found: string[] = [];
  const summary = { say: (what: string, right: boolean) => void (right || found.push(what)), print: () => true };
  await sayMoved(summary, db, mapping);
  await sayGoals(summary, db, PROMISED_MS);
  return found;
}

/** The same, after something was done to the rows that no rule would let happen; then all is as it was. */
async function wrongAfter(tampering: string): Promise<readonly string[]> {
  let found: readonly string[] = [];
  const undone = new Error('undone');
  await database.db
    .transaction()
    .execute(async (tx) => {
      await sql`set local session_replication_role = replica`.execute(tx);
      const { numAffectedRows } = await sql.raw(tampering).execute(tx);
      expect(numAffectedRows).toBe(1n);
      found = await wrong(tx);
      throw undone;
    })
    .catch((error: unknown) => {
      if (error !== undone) throw error;
    });
  return found;
}

test('finds nothing in an inbox that was moved by the rules, the mended one included [MIG-9, MIG-16]', async () => {
  expect(mended).toEqual({ reason: '23514', place: 'INBOX', state: 'COMPLETED_WITH_REMAINDER' });
  let found: readonly string[] = ['nothing was looked at'];
  await database.db
    .transaction()
    .execute(async (tx) => {
      found = await wrong(tx);
      throw new Error('undone');
    })
    .catch(() => undefined);
  expect(found).toEqual([]);
});

const FRESH = `t.conversation_id = (select id from chaos.kept where ticket_id is null and owner_id is not null and not unmovable order by id limit 1)`;
const KEPT = `t.id = (select ticket_id from chaos.kept where ticket_id is not null order by id limit 1)`;

it.each([
  [
    'every conversation is in the help desk, with a ticket',
    `update conversation set place = 'INBOX' where id = (select min(id::text)::uuid from chaos.kept where ticket_id is not null)`,
  ],
  ['with one ticket, and the ticket with one conversation', `update ticket t set conversation_id = uuidv7() where ${KEPT}`],
  ['each was moved once, with the events of it once', `delete from event where id = (select max(id) from event where kind = 'PLACE_CHANGED')`],
  ['each was moved once, with the events of it once', `delete from event where id = (select max(id) from event where kind = 'TICKET_CREATED')`],
  [
    'each was moved once, with the events of it once',
    `delete from channel_migration_conversation where conversation_id = (select conversation_id from channel_migration_conversation limit 1)`,
  ],
  ['tickets that were there are as they were', `update ticket t set number = number + 100000 where ${KEPT}`],
  ['tickets that were there are as they were', `update ticket t set owner_id = (select max(id::text)::uuid from app_user) where ${KEPT}`],
  ['tickets that were there are as they were', `update ticket t set created_at = created_at + interval '1 s' where ${KEPT}`],
  ['new tickets are dated and named by their conversation', `update ticket t set created_at = created_at + interval '1 ms' where ${FRESH}`],
  ['new tickets are dated and named by their conversation', `update ticket t set name = name || '.' where ${FRESH}`],
  [
    'new tickets have the status of the mapping',
    `update ticket t set status_id = (select s.id from ticket_status s where s.pipeline_id = t.pipeline_id and s.id <> t.status_id limit 1) where ${FRESH}`,
  ],
  ['new tickets belong to whom they did, if they have access', `update ticket t set owner_id = (select max(id::text)::uuid from app_user) where ${FRESH}`],
  [
    'new tickets belong to whom they did, if they have access',
    `update ticket t set owner_id = k.owner_id from chaos.kept k where t.conversation_id = k.id and k.id = (select k.id from chaos.kept k
      left join chaos.able a on a.user_id = k.owner_id where k.ticket_id is null and k.owner_id is not null and a.user_id is null order by k.id limit 1)`,
  ],
  ['new tickets have their channel and its defaults', `update ticket t set source = 'API' where ${FRESH}`],
  ['every moved ticket has the goal its history gives it', `delete from sla_goal where ticket_id = (select ticket_id from sla_goal limit 1)`],
  [
    'every moved ticket has the goal its history gives it',
    `update sla_goal set state = 'COMPLETED_LATE' where ticket_id = (select ticket_id from sla_goal where state = 'COMPLETED_ON_TIME' limit 1)`,
  ],
  ['every message that was there is there', `delete from message where id = (select id from message order by arrival limit 1)`],
])('says so where it is not so: %s', async (what, tampering) => {
  expect(await wrongAfter(tampering)).toContain(what);
});

test('every kind of blow falls as often as the others, in the order of the seed', () => {
  const dealt = dealBlows(seeded(8), 50);
  for (const blow of BLOWS) expect(dealt.filter((one) => one === blow)).toHaveLength(5);
  expect(dealBlows(seeded(8), 50)).toEqual(dealt);
  expect(dealBlows(seeded(9), 50)).not.toEqual(dealt);
});
