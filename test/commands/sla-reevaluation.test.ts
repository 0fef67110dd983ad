import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Db } from '#db/database.ts';
import { reply } from '#commands/conversations.ts';
import { deletePolicy } from '#commands/sla-policies.ts';
import { reevaluateBatch, startReevaluation, takeOwedWakes } from '#commands/sla-reevaluation.ts';
import { close, reopen, setTicketPriority, setTicketStatus } from '#commands/tickets.ts';
import { applyDeliveries } from '#commands/intake.ts';
import { deliver, inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { age, goal, goalsOf, makePolicy, moment, run, statesOf } from './sla-support.ts';

let database: TestDatabase;
let db: Db;
let channel: MadeChannel;
let agent: string;

beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  channel = await makeChannel(db);
  agent = await makeUser(db, { role: 'ADMIN' });
});
afterAll(() => database.drop());
beforeEach(async () => {
  const there = await db.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).execute();
  for (const { id } of there) await run(db, { actor: 'SYSTEM' }, (unit) => deletePolicy(unit, { policyId: id }, 'NEW_TICKETS'));
  await db.updateTable('sla_reevaluation').set({ state: 'DONE' }).execute();
});

const byAgent = () => ({ actor: 'USER' as const, userId: agent });
let count = 0;

async function arrives(): Promise<string> {
  count += 1;
  await take(db, channel, [inbound(`r${count}@out.example`)]);
  const row = await db.selectFrom('ticket').select(['id', 'conversation_id']).orderBy('number', 'desc').limit(1).executeTakeFirstOrThrow();
  await db
    .insertInto('thread_key')
    .values({ channel_id: channel.id, key: `r-${row.id}`, conversation_id: row.conversation_id ?? '' })
    .execute();
  return row.id;
}

async function replies(ticketId: string): Promise<void> {
  const { conversation_id: id } = await db.selectFrom('ticket').select('conversation_id').where('id', '=', ticketId).executeTakeFirstOrThrow();
  await run(db, byAgent(), (unit) => reply(unit, [plainPlugin], { conversationId: id ?? '', text: 'an answer' }));
}

/** The one that runs, to its end; how often it was called. */
async function finish(): Promise<number> {
  for (let call = 1; ; call += 1) {
    const row = await db.selectFrom('sla_reevaluation').select('id').where('state', '=', 'RUNNING').executeTakeFirst();
    if (row === undefined) return call - 1;
    await reevaluateBatch(db, row.id);
  }
}

const minutes = async (ticketId: string) => (await goalsOf(db, ticketId)).map(({ duration_ms }) => duration_ms / 60_000);

describe('saving for the open tickets too', () => {
  it('brings each of them to it, keeping the time used, and says how far it is [SLA-10, SLA-9]', async () => {
    const policyId = await makePolicy(db, { targets: [goal('CLOSE', 60)], name: 'one' });
    const open = [await arrives(), await arrives()];
    const closed = await arrives();
    await run(db, byAgent(), (unit) => close(unit, { ticketId: closed }));
    await age(db, open[0] ?? '', 20);
    await makePolicy(db, { policyId, targets: [goal('CLOSE', 30), goal('FIRST_REPLY', 500)], name: 'one', applyTo: 'OPEN_TICKETS_TOO' });
    expect(await minutes(open[0] ?? '')).toEqual([60]);
    await finish();
    expect((await minutes(open[0] ?? '')).toSorted()).toEqual([30, 500]);
    expect((await minutes(open[1] ?? '')).toSorted()).toEqual([30, 500]);
    expect(await minutes(closed)).toEqual([60]);
    const changed = (await goalsOf(db, open[0] ?? '')).find(({ kind }) => kind === 'CLOSE');
    expect(Math.round(((changed?.due_at?.getTime() ?? 0) - Date.now()) / 60_000)).toBe(10);
    const row = await db.selectFrom('sla_reevaluation').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow();
    expect(row.state).toBe('DONE');
    expect(row.looked_at).toBe(row.total);
    expect(row.changed).toBeGreaterThanOrEqual(2);
  });

  it('is done once by however many at once, batch by batch [SLA-10]', async () => {
    await makePolicy(db, { targets: [goal('CLOSE', 60)] });
    for (let done = 0; done < 450; done += 50) {
      await take(
        db,
        channel,
        Array.from({ length: 50 }, (_, index) => inbound(`bulk${done + index}@out.example`)),
      );
    }
    const { reevaluationId } = await run(db, byAgent(), (unit) => startReevaluation(unit, 'BY_HAND'));
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (;;) if ((await reevaluateBatch(db, reevaluationId)).value.done) return;
      }),
    );
    const row = await db.selectFrom('sla_reevaluation').selectAll().where('id', '=', reevaluationId).executeTakeFirstOrThrow();
    expect([row.state, row.looked_at]).toEqual(['DONE', row.total]);
    const ended = await db
      .selectFrom('event')
      .select('id')
      .where('kind', '=', 'SLA_REEVALUATION_CHANGED')
      .where('why', '=', 'DONE')
      .where(sql<boolean>`data ->> 'reevaluationId' = ${reevaluationId}`)
      .execute();
    expect(ended).toHaveLength(1);
  });

  it('tells nobody of what is overdue by then, and carries near moments to their workflows, each once [SLA-11, SLA-13]', async () => {
    const late = await arrives();
    const near = await arrives();
    const far = await arrives();
    await backdate(late, 120);
    await run(db, byAgent(), (unit) => setTicketPriority(unit, { ticketId: far, priority: 'LOW' }));
    await makePolicy(db, {
      targets: [goal('CLOSE', 60), goal('CLOSE', 60 * 24 * 9, { priority: 'LOW' })],
      applyTo: 'OPEN_TICKETS_TOO',
    });
    await db.updateTable('sla_ticket').set({ wake_owed: false }).execute();
    await finish();
    expect(await statesOf(db, late)).toEqual(['CLOSE/1 OVERDUE']);
    expect((await moment(db, late)).fired).toBe(0);
    const number = async (id: string) => (await db.selectFrom('ticket').select('number').where('id', '=', id).executeTakeFirstOrThrow()).number;
    const owed = async () => (await takeOwedWakes(db, 1_000)).map((wake) => (wake.kind === 'ticket' ? wake.number : 0));
    const first = await owed();
    expect(first).toContain(await number(near));
    expect(first).not.toContain(await number(far));
    expect(await owed()).not.toContain(await number(near));
    await age(db, far, 60 * 24 * 8);
    expect(await owed()).toContain(await number(far));
  });
});

it('a deadline that had passed before the open tickets were looked at is still told of, and one that stays as it is is not touched [SLA-10, SLA-12]', async () => {
  const policyId = await makePolicy(db, { targets: [goal('CLOSE', 60)], name: 'late' });
  const [same, other] = [await arrives(), await arrives()];
  await age(db, same, 61);
  await run(db, byAgent(), (unit) => startReevaluation(unit, 'BY_HAND'));
  await finish();
  expect((await moment(db, same)).fired).toBe(1);
  await age(db, other, 61);
  await makePolicy(db, { policyId, targets: [goal('CLOSE', 30)], name: 'late', applyTo: 'OPEN_TICKETS_TOO' });
  await finish();
  expect(await statesOf(db, other)).toEqual(['CLOSE/1 OVERDUE']);
  expect((await moment(db, other)).fired).toBe(1);
});

it('a ticket that comes while a policy is saved for the open ones too has what was saved [SLA-10]', async () => {
  const policyId = await makePolicy(db, { targets: [goal('CLOSE', 60)], name: 'raced' });
  await Promise.all([
    ...Array.from({ length: 20 }, (_, index) => take(db, channel, [inbound(`race${index}@out.example`)])),
    makePolicy(db, { policyId, targets: [goal('CLOSE', 30)], name: 'raced', applyTo: 'OPEN_TICKETS_TOO' }),
  ]);
  await finish();
  const { rows } = await sql<{ minutes: number }>`
    select distinct g.duration_ms / 60000 as minutes from sla_goal g join ticket t on t.id = g.ticket_id join message m on m.conversation_id = t.conversation_id
    where g.policy_id = ${policyId} and g.ended_at is null and m.sender ->> 'value' like 'race%'`.execute(db);
  expect(rows).toEqual([{ minutes: 30 }]);
});

it('what was fetched long after is counted from when it was said, live and in its history [SLA-11, MODEL-4]', async () => {
  await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('NEXT_REPLY', 60)] });
  const connectedAt = new Date(Date.now() - 86_400_000);
  await db.updateTable('channel').set({ connected_at: connectedAt }).where('id', '=', channel.id).execute();
  count += 1;
  const said = (minutes: number, more: object = {}) =>
    inbound(`f${count}@out.example`, { occurredAt: new Date(Date.now() - minutes * 60_000).toISOString(), joins: [`f-${count}`], ...more });
  const parsed = await deliver(db, channel, [said(300, { thread: { joins: [], keys: [`f-${count}`] } }), said(250, { direction: 'echo' }), said(240)]);
  await db.updateTable('raw_delivery').set({ recovered: true }).where('id', '=', parsed.deliveryId).execute();
  await applyDeliveries(db, { keys: testKeys, capabilities: plainCapabilities }, channel.id, [parsed]);
  const { id } = await db.selectFrom('ticket').select('id').orderBy('number', 'desc').limit(1).executeTakeFirstOrThrow();
  const followed = await goalsOf(db, id);
  expect(followed.map(({ kind, state, started_at: started }) => [kind, state, Math.round((Date.now() - started.getTime()) / 60_000)])).toEqual([
    ['FIRST_REPLY', 'COMPLETED_ON_TIME', 300],
    ['NEXT_REPLY', 'OVERDUE', 240],
  ]);
  expect((await moment(db, id)).fired).toBe(1);
  await db.deleteFrom('sla_goal').where('ticket_id', '=', id).execute();
  await db.deleteFrom('sla_ticket').where('ticket_id', '=', id).execute();
  await run(db, byAgent(), (unit) => startReevaluation(unit, 'BY_HAND'));
  await finish();
  const told = await goalsOf(db, id);
  const bare = (goals: typeof told) =>
    goals.map(({ kind, round, state, started_at, overdue_at, ended_at }) => [kind, round, state, started_at, overdue_at, ended_at]);
  expect(bare(told)).toEqual(bare(followed));
});

it('what a channel held before it was connected alarms nobody [SLA-12]', async () => {
  await makePolicy(db, { targets: [goal('FIRST_REPLY', 60)] });
  await db.updateTable('channel').set({ connected_at: new Date() }).where('id', '=', channel.id).execute();
  const parsed = await deliver(db, channel, [inbound('held@out.example', { occurredAt: new Date(Date.now() - 90 * 86_400_000).toISOString() })]);
  await db.updateTable('raw_delivery').set({ recovered: true }).where('id', '=', parsed.deliveryId).execute();
  await applyDeliveries(db, { keys: testKeys, capabilities: plainCapabilities }, channel.id, [parsed]);
  const { id } = await db.selectFrom('ticket').select('id').orderBy('number', 'desc').limit(1).executeTakeFirstOrThrow();
  expect(await statesOf(db, id)).toEqual(['FIRST_REPLY/1 OVERDUE']);
  expect((await moment(db, id)).fired).toBe(0);
});

it('a ticket that was never measured is when its priority changes, by its own history and telling nobody [SLA-9, SLA-11]', async () => {
  const one = await arrives();
  await backdate(one, 90);
  await makePolicy(db, { targets: [goal('FIRST_REPLY', 60)] });
  await run(db, byAgent(), (unit) => setTicketPriority(unit, { ticketId: one, priority: 'HIGH' }));
  expect(await statesOf(db, one)).toEqual(['FIRST_REPLY/1 OVERDUE']);
  expect((await moment(db, one)).fired).toBe(0);
});

/** As if it had come, and everything in it had happened, so much earlier; before anything was measured. */
async function backdate(ticketId: string, by: number): Promise<void> {
  await sql
    .raw(
      `update ticket set created_at = created_at - interval '${by} min' where id = '${ticketId}';
       update conversation set started_at = started_at - interval '${by} min' where ticket_id = '${ticketId}';
       update message set received_at = received_at - interval '${by} min', occurred_at = occurred_at - interval '${by} min'
         where conversation_id = (select conversation_id from ticket where id = '${ticketId}')`,
    )
    .execute(db);
}

it('a ticket that was never measured has the goals its own history gives it, with the real deadlines [SLA-11]', async () => {
  const answered = await arrives();
  await replies(answered);
  await backdate(answered, 90);
  const waits = await arrives();
  await backdate(waits, 90);
  await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('NEXT_REPLY', 60), goal('CLOSE', 600)], applyTo: 'OPEN_TICKETS_TOO' });
  await finish();
  expect(await statesOf(db, answered)).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 COMPLETED_ON_TIME']);
  expect(await statesOf(db, waits)).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 OVERDUE']);
  const { created_at: created } = await db.selectFrom('ticket').select('created_at').where('id', '=', waits).executeTakeFirstOrThrow();
  const first = (await goalsOf(db, waits)).find(({ kind }) => kind === 'FIRST_REPLY');
  expect(first?.overdue_at?.getTime()).toBe(created.getTime() + 60 * 60_000);
  expect((await moment(db, waits)).fired).toBe(0);
});

it('told afterwards from what is kept, a ticket has the goals it had when they were followed [SLA-11]', async () => {
  const pipeline = (await db.selectFrom('channel').select('default_pipeline_id').where('id', '=', channel.id).executeTakeFirstOrThrow()).default_pipeline_id;
  const { id: waiting } = await db
    .insertInto('ticket_status')
    .values({ pipeline_id: pipeline, name: 'waits', category: 'OPEN', position: 70 })
    .returning('id')
    .executeTakeFirstOrThrow();
  const { id: open } = await db
    .selectFrom('ticket_status')
    .select('id')
    .where('pipeline_id', '=', pipeline)
    .where('category', '=', 'OPEN')
    .orderBy('position')
    .limit(1)
    .executeTakeFirstOrThrow();
  await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('NEXT_REPLY', 60), goal('CLOSE', 600)], pauseStatusIds: [waiting] });
  const step = fc.constantFrom('reply', 'write', 'close', 'reopen', 'pause', 'go');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
      const ticketId = await arrives();
      for (const one of steps) {
        if (one === 'reply') await replies(ticketId);
        else if (one === 'write') await take(db, channel, [inbound(`r${count}@out.example`, { joins: [`r-${ticketId}`] })]);
        else if (one === 'close') await run(db, byAgent(), (unit) => close(unit, { ticketId }));
        else if (one === 'reopen') await run(db, byAgent(), (unit) => reopen(unit, { ticketId }));
        else await run(db, byAgent(), (unit) => setTicketStatus(unit, { ticketId, statusId: one === 'pause' ? waiting : open }));
      }
      await run(db, byAgent(), (unit) => reopen(unit, { ticketId }));
      const followed = await statesOf(db, ticketId);
      await db.deleteFrom('sla_goal').where('ticket_id', '=', ticketId).execute();
      await db.deleteFrom('sla_ticket').where('ticket_id', '=', ticketId).execute();
      await run(db, byAgent(), (unit) => startReevaluation(unit, 'BY_HAND'));
      await finish();
      expect(await statesOf(db, ticketId)).toEqual(followed);
      // Not among the next one's.
      await run(db, byAgent(), (unit) => close(unit, { ticketId }));
    }),
    { numRuns: 25 },
  );
});
