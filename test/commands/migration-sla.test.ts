import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Db } from '#db/database.ts';
import { comment, reply } from '#commands/conversations.ts';
import { findStuck } from '#commands/guardian.ts';
import { moveNext, nextOf } from '#commands/migration-conversations.ts';
import { migrationSlaBatch, startMigrationSla } from '#commands/migration-sla.ts';
import { assign } from '#commands/owners.ts';
import { deletePolicy } from '#commands/sla-policies.ts';
import { takeOwedWakes } from '#commands/sla-reevaluation.ts';
import { readSlaTickets } from '#commands/sla-rows.ts';
import { close, makeTicket, reopen, setTicketPriority, setTicketStatus } from '#commands/tickets.ts';
import { saveWebhook } from '#commands/webhooks.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take, testKeys, type MadeChannel, type TestChannel } from '../support/fixtures.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { age, goal, goalsOf, makePolicy, moment, run, statesOf } from './sla-support.ts';

const MINUTE = 60_000;

let database: TestDatabase;
let db: Db;
let agent: string;
let pipelineId: string;
let openId: string;
let waitingId: string;
let closedId: string;

beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  agent = await makeUser(db, { role: 'SUPER_ADMIN' });
  const { default_pipeline_id: pipeline, default_status_id: status } = await db
    .selectFrom('channel')
    .select(['default_pipeline_id', 'default_status_id'])
    .where('id', '=', (await makeChannel(db)).id)
    .executeTakeFirstOrThrow();
  [pipelineId, openId] = [pipeline, status];
  const values = { pipeline_id: pipelineId, name: 'waits', category: 'OPEN' as const, position: 70 };
  waitingId = (await db.insertInto('ticket_status').values(values).returning('id').executeTakeFirstOrThrow()).id;
  const ofClosed = db.selectFrom('ticket_status').select('id').where('pipeline_id', '=', pipelineId).where('category', '=', 'CLOSED').orderBy('position');
  closedId = (await ofClosed.limit(1).executeTakeFirstOrThrow()).id;
});
afterAll(() => database.drop());
beforeEach(forgetPolicies);

async function forgetPolicies(): Promise<void> {
  const there = await db.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).execute();
  for (const { id } of there) await run(db, { actor: 'SYSTEM' }, (unit) => deletePolicy(unit, { policyId: id }, 'NEW_TICKETS'));
}

const byAgent = () => ({ actor: 'USER' as const, userId: agent });
let count = 0;

interface Talk {
  readonly channel: MadeChannel;
  readonly conversationId: string;
  readonly from: string;
}

async function arrives(channel: MadeChannel): Promise<Talk> {
  count += 1;
  const from = `m${count}@out.example`;
  await take(db, channel, [inbound(from)]);
  const row = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow();
  await db
    .insertInto('thread_key')
    .values({ channel_id: channel.id, key: `m-${row.id}`, conversation_id: row.id })
    .execute();
  return { channel, conversationId: row.id, from };
}

const writes = ({ channel, conversationId, from }: Talk) => take(db, channel, [inbound(from, { joins: [`m-${conversationId}`] })]);
const answers = ({ conversationId }: Talk) => run(db, byAgent(), (unit) => reply(unit, [plainPlugin], { conversationId, text: 'an answer' }));

async function ticketOf({ conversationId }: Talk): Promise<string> {
  return (await db.selectFrom('ticket').select('id').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow()).id;
}

/** A move that has begun and moved nothing yet: rows as the start leaves them. */
async function begins(channel: MadeChannel, openStatusId = openId): Promise<string> {
  const helpDesk = db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK');
  await db
    .updateTable('channel')
    .set({ place: 'HELP_DESK', place_id: (await helpDesk.executeTakeFirstOrThrow()).id })
    .where('id', '=', channel.id)
    .execute();
  const values = { pipeline_id: pipelineId, open_status_id: openStatusId, closed_status_id: closedId, asked_by: agent, started_at: new Date() };
  const row = await db
    .insertInto('channel_migration')
    .values({ channel_id: channel.id, state: 'RUNNING', history: 'ALL', ...values })
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

async function walks(channel: MadeChannel, migrationId: string): Promise<void> {
  const { place_id: helpDeskId } = await db.selectFrom('channel').select('place_id').where('id', '=', channel.id).executeTakeFirstOrThrow();
  const move = { migrationId, channelId: channel.id, channelKey: channel.key, plugin: 'plain', helpDeskId };
  const { moved } = await run(db, { actor: 'SYSTEM' }, ({ tx }) => moveNext(tx, move, nextOf(move, '00000000-0000-0000-0000-000000000000', 5_000)));
  await db.updateTable('channel_migration').set({ walked: moved }).where('id', '=', migrationId).execute();
}

async function ends(migrationId: string): Promise<void> {
  await run(db, { actor: 'SYSTEM' }, async (unit) => {
    await unit.tx.updateTable('channel_migration').set({ state: 'COMPLETED', phase: 'ENDED', ended_at: new Date() }).where('id', '=', migrationId).execute();
    await startMigrationSla(unit, migrationId);
  });
}

async function moves(channel: MadeChannel, openStatusId = openId): Promise<string> {
  const migrationId = await begins(channel, openStatusId);
  await walks(channel, migrationId);
  await ends(migrationId);
  return migrationId;
}

async function measures(migrationId: string): Promise<void> {
  while (!(await migrationSlaBatch(db, migrationId)).value.done);
}

const isPending = async (talk: Talk) => (await readSlaTickets(db, [await ticketOf(talk)]))[0]?.slaPending;
const rowOf = async (talk: Talk) =>
  db
    .selectFrom('sla_ticket')
    .selectAll()
    .where('ticket_id', '=', await ticketOf(talk))
    .executeTakeFirst();
const inbox = (more: TestChannel = {}) => makeChannel(db, { place: 'INBOX', ...more });

/** As if it had begun, and all that is said in it, so much earlier. Events stay: they are never changed. */
async function backdate({ conversationId }: Talk, minutes: number): Promise<void> {
  await sql
    .raw(
      `update conversation set started_at = started_at - interval '${minutes} min' where id = '${conversationId}';
       update ticket set created_at = created_at - interval '${minutes} min' where conversation_id = '${conversationId}';
       update message set received_at = received_at - interval '${minutes} min', occurred_at = occurred_at - interval '${minutes} min'
         where conversation_id = '${conversationId}'`,
    )
    .execute(db);
}

const STEPS = ['reply', 'write', 'comment', 'close', 'reopen', 'pause', 'go'] as const;

async function lives(talk: Talk, step: (typeof STEPS)[number], withTicket: boolean): Promise<void> {
  const { conversationId } = talk;
  if (step === 'reply') await answers(talk);
  else if (step === 'write') await writes(talk);
  else if (step === 'comment') await run(db, byAgent(), (unit) => comment(unit, { conversationId, text: 'a comment' }));
  else if (step === 'close') await run(db, byAgent(), (unit) => close(unit, { conversationId }));
  else if (step === 'reopen') await run(db, byAgent(), (unit) => reopen(unit, { conversationId }));
  else if (withTicket) {
    const ticketId = await ticketOf(talk);
    await run(db, byAgent(), (unit) => setTicketStatus(unit, { ticketId, statusId: step === 'pause' ? waitingId : openId }));
  }
}

describe('a moved ticket has the goals of one that lived in the help desk from its start', () => {
  it('whatever happened to it, open or closed, with a ticket of its own or without [MIG-20, SLA-11]', async () => {
    const helpDesk = await makeChannel(db);
    // A thousandth of a second is over by the next step, an hour never.
    const duration = fc.constantFrom(1, 60 * MINUTE);
    const life = fc.record({
      withTicket: fc.boolean(),
      steps: fc.array(fc.constantFrom(...STEPS), { maxLength: 10 }),
      durations: fc.tuple(duration, duration, duration),
    });
    await fc.assert(
      fc.asyncProperty(life, async ({ withTicket, steps, durations }) => {
        await forgetPolicies();
        const kinds = ['FIRST_REPLY', 'NEXT_REPLY', 'CLOSE'] as const;
        const targets = kinds.map((kind, index) => ({ ...goal(kind, 60), durationMs: durations[index] ?? 1 }));
        await makePolicy(db, { targets, pauseStatusIds: [waitingId] });
        const channel = await inbox({ createTickets: withTicket });
        const [there, moved] = [await arrives(helpDesk), await arrives(channel)];
        for (const step of steps) for (const talk of [there, moved]) await lives(talk, step, withTicket);
        const migrationId = await moves(channel);
        await measures(migrationId);
        // What has passed since is told of one, and was told of the other never.
        await moment(db, await ticketOf(there));
        expect((await moment(db, await ticketOf(moved))).fired).toBe(0);
        const outline = async (talk: Talk) =>
          (await goalsOf(db, await ticketOf(talk)))
            .map((one) => `${one.kind}/${one.round} ${one.state} ${one.reason} ${one.overdue_at !== null} ${one.due_at !== null} ${one.ended_at !== null}`)
            .toSorted();
        expect(await outline(moved)).toEqual(await outline(there));
        const [here, twin] = [await rowOf(moved), await rowOf(there)];
        const flags = (row: typeof here) => [row?.closed, row?.paused, row?.replied, row?.unanswered_since === null, row?.next_at === null];
        expect(flags(here)).toEqual(flags(twin));
        expect(here?.closed === true && here.next_at !== null).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  it('counted from its start, on time and late, with the real deadlines [MIG-20, SLA-6, SLA-8]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 90)] });
    const channel = await inbox();
    const waits = await arrives(channel);
    await backdate(waits, 70);
    const closedLate = await arrives(channel);
    await answers(closedLate);
    await backdate(closedLate, 120);
    await run(db, byAgent(), (unit) => close(unit, closedLate));
    await measures(await moves(channel));
    expect(await statesOf(db, await ticketOf(waits))).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 OVERDUE']);
    const { started_at: started } = await db.selectFrom('conversation').select('started_at').where('id', '=', waits.conversationId).executeTakeFirstOrThrow();
    const [first, last] = (await goalsOf(db, await ticketOf(waits))).toSorted((a, b) => b.kind.localeCompare(a.kind));
    expect(first?.overdue_at?.getTime()).toBe(started.getTime() + 60 * MINUTE);
    expect(last?.due_at?.getTime()).toBe(started.getTime() + 90 * MINUTE);
    expect((await rowOf(waits))?.next_at).toEqual(last?.due_at);
    expect(await statesOf(db, await ticketOf(closedLate))).toEqual(['CLOSE/1 COMPLETED_LATE', 'FIRST_REPLY/1 COMPLETED_ON_TIME']);
    expect((await rowOf(closedLate))?.next_at).toBeNull();
  });

  it('closed when its row says, where no event tells it [MIG-20]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 600), goal('CLOSE', 90)] });
    const channel = await inbox();
    const [early, late] = [await arrives(channel), await arrives(channel)];
    for (const [talk, minutes] of [
      [early, 60],
      [late, 100],
    ] as const) {
      await backdate(talk, 300);
      await sql`update conversation set status = 'CLOSED', closed_at = started_at + make_interval(mins => ${minutes}) where id = ${talk.conversationId}`.execute(
        db,
      );
    }
    await measures(await moves(channel));
    expect(await statesOf(db, await ticketOf(early))).toEqual(['CLOSE/1 COMPLETED_ON_TIME', 'FIRST_REPLY/1 CANCELLED']);
    expect(await statesOf(db, await ticketOf(late))).toEqual(['CLOSE/1 COMPLETED_LATE', 'FIRST_REPLY/1 CANCELLED']);
    const [one] = await goalsOf(db, await ticketOf(late));
    expect(one?.ended_at?.getTime()).toBe((one?.started_at.getTime() ?? 0) + 100 * MINUTE);
  });

  it('whose close counts from the ticket, also where its conversation was closed before it had one [MIG-20, SLA-8]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 60)] });
    const channel = await inbox();
    const talk = await arrives(channel);
    await backdate(talk, 120);
    await run(db, byAgent(), (unit) => close(unit, talk));
    await run(db, byAgent(), (unit) => reopen(unit, talk));
    await run(db, byAgent(), (unit) => makeTicket(unit, talk));
    await measures(await moves(channel));
    expect(await statesOf(db, await ticketOf(talk))).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 COMPLETED_LATE']);
    const { created_at: created } = await db
      .selectFrom('ticket')
      .select('created_at')
      .where('conversation_id', '=', talk.conversationId)
      .executeTakeFirstOrThrow();
    const last = (await goalsOf(db, await ticketOf(talk))).find(({ kind }) => kind === 'CLOSE');
    expect(last?.started_at).toEqual(created);
    expect(last?.due_at?.getTime()).toBe(created.getTime() + 60 * MINUTE);
  });

  it('that rests in the status the move gave it since then, and not before [MIG-20, SLA-5]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 600)], pauseStatusIds: [waitingId] });
    const channel = await inbox();
    const talk = await arrives(channel);
    await backdate(talk, 90);
    const migrationId = await moves(channel, waitingId);
    await measures(migrationId);
    const goals = await goalsOf(db, await ticketOf(talk));
    expect(goals.map(({ state }) => state)).toEqual(['PAUSED', 'PAUSED']);
    const { at } = await db
      .selectFrom('event')
      .select('at')
      .where('ticket_id', '=', await ticketOf(talk))
      .where('kind', '=', 'TICKET_CREATED')
      .executeTakeFirstOrThrow();
    for (const one of goals) expect(Number(one.used_ms)).toBe(at.getTime() - one.started_at.getTime());
    expect(goals.find(({ kind }) => kind === 'FIRST_REPLY')?.overdue_at).not.toBeNull();
    expect((await moment(db, await ticketOf(talk))).fired).toBe(0);
  });
});

describe('the pass over what a move has moved', () => {
  it('fires nothing a policy names for what has passed, and tells of it once, with a count; for what comes it does all, once [MIG-20, SLA-11, MIG-17]', async () => {
    const { webhookId } = await run(db, byAgent(), (unit) => saveWebhook(unit, { keys: testKeys }, { name: 'hook', url: 'https://hook.example/' }));
    await makePolicy(db, {
      targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 60 * 20, { dueSoon: 60 })],
      actions: (['OVERDUE', 'DUE_SOON'] as const).flatMap((on) => [
        { on, setPriority: 'URGENT' },
        { on, webhookId },
        { on, notify: { userIds: [agent], teamIds: [] } },
      ]),
    });
    const channel = await inbox();
    const talks = [await arrives(channel), await arrives(channel)];
    for (const talk of talks) {
      await run(db, byAgent(), (unit) => assign(unit, { conversationId: talk.conversationId }, { userId: agent }));
      await backdate(talk, 90);
    }
    const [open, shut] = talks as [Talk, Talk];
    await run(db, byAgent(), (unit) => close(unit, shut));
    const told = async () => {
      const { rows } = await sql<{ told: number; called: number; urgent: number }>`
        select (select count(*)::int from notification where kind in ('SLA_DUE_SOON', 'SLA_OVERDUE') and migration_id is null) as told, (select count(*)::int from webhook_delivery) as called,
          (select count(*)::int from ticket where priority = 'URGENT') as urgent`.execute(db);
      return rows;
    };
    const before = await told();
    const migrationId = await moves(channel);
    await measures(migrationId);
    for (const talk of talks) expect((await moment(db, await ticketOf(talk))).fired).toBe(0);
    expect(await told()).toEqual(before);
    const once = () => db.selectFrom('notification').select(['user_id', 'kind', 'count']).where('migration_id', '=', migrationId).execute();
    expect(await once()).toEqual([{ user_id: agent, kind: 'SLA_OVERDUE', count: 1 }]);
    expect(await statesOf(db, await ticketOf(open))).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 OVERDUE']);
    expect(await statesOf(db, await ticketOf(shut))).toEqual(['CLOSE/1 COMPLETED_ON_TIME', 'FIRST_REPLY/1 COMPLETED_LATE']);
    await age(db, await ticketOf(open), 60 * 18);
    expect((await moment(db, await ticketOf(open))).fired).toBe(1);
    expect((await moment(db, await ticketOf(open))).fired).toBe(0);
    expect(await told()).toEqual(before.map((one) => ({ told: one.told + 1, called: one.called + 1, urgent: one.urgent + 1 })));
  });

  it('tells nobody of what was overdue where the move was muted [MIG-17]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60)] });
    const channel = await inbox();
    const talk = await arrives(channel);
    await run(db, byAgent(), (unit) => assign(unit, { conversationId: talk.conversationId }, { userId: agent }));
    await backdate(talk, 90);
    const migrationId = await moves(channel);
    await db.updateTable('channel_migration').set({ muted: true }).where('id', '=', migrationId).execute();
    await measures(migrationId);
    expect(await statesOf(db, await ticketOf(talk))).toEqual(['FIRST_REPLY/1 OVERDUE']);
    expect(await db.selectFrom('notification').select('kind').where('migration_id', '=', migrationId).execute()).toEqual([]);
  });

  it('wakes the workflows of those whose moment is within the horizon, and of no closed one [MIG-20, SLA-13]', async () => {
    await makePolicy(db, { targets: [goal('CLOSE', 600), goal('CLOSE', 60 * 24 * 9, { priority: 'LOW' })] });
    const channel = await inbox({ createTickets: true });
    const [near, far, shut] = [await arrives(channel), await arrives(channel), await arrives(channel)] as const;
    const farId = await ticketOf(far);
    await run(db, byAgent(), (unit) => setTicketPriority(unit, { ticketId: farId, priority: 'LOW' }));
    await run(db, byAgent(), (unit) => close(unit, shut));
    await takeOwedWakes(db, 1_000);
    await measures(await moves(channel));
    const number = async (talk: Talk) =>
      (await db.selectFrom('ticket').select('number').where('conversation_id', '=', talk.conversationId).executeTakeFirstOrThrow()).number;
    const owed = await takeOwedWakes(db, 1_000);
    expect(owed).toEqual([{ kind: 'ticket', number: await number(near), channelKey: channel.key, plugin: 'plain' }]);
    expect([(await rowOf(far))?.wake_owed, (await rowOf(shut))?.wake_owed]).toEqual([true, false]);
  });

  it('gives each its goals once, by however many at once, and says once that it is done [MIG-20]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 600)] });
    const channel = await inbox();
    for (let done = 0; done < 450; done += 50) {
      await take(
        db,
        channel,
        Array.from({ length: 50 }, (_, index) => inbound(`many${done + index}@out.example`)),
      );
    }
    const migrationId = await moves(channel);
    const handled = await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (;;) {
          const { value } = await migrationSlaBatch(db, migrationId);
          if (value.done) return value;
        }
      }),
    );
    expect(handled).toEqual(Array.from({ length: 8 }, () => ({ found: true, done: true, total: 450, lookedAt: 450 })));
    const { rows } = await sql`
      select count(*)::int as tickets, count(*) filter (where s.version = 1)::int as once,
        (select count(*)::int from sla_goal g join ticket t on t.id = g.ticket_id join conversation c on c.id = t.conversation_id where c.channel_id = ${channel.id}) as goals,
        (select count(*)::int from event e where e.kind = 'SLA_GOAL_CHANGED' and e.channel_id = ${channel.id}) as events
      from sla_ticket s join ticket t on t.id = s.ticket_id join conversation c on c.id = t.conversation_id where c.channel_id = ${channel.id}`.execute(db);
    expect(rows).toEqual([{ tickets: 450, once: 450, goals: 900, events: 900 }]);
    const said = await db
      .selectFrom('event')
      .select(['why', 'data', 'place_id'])
      .where('kind', '=', 'MIGRATION_CHANGED')
      .where('channel_id', '=', channel.id)
      .execute();
    expect(said).toEqual([{ why: 'SLA_DONE', data: { migrationId }, place_id: null }]);
  });

  it('is begun once, however often a move is said to have ended [MIG-20]', async () => {
    await makePolicy(db, { targets: [goal('CLOSE', 600)] });
    const channel = await inbox();
    await arrives(channel);
    const migrationId = await moves(channel);
    await measures(migrationId);
    await run(db, { actor: 'SYSTEM' }, (unit) => startMigrationSla(unit, migrationId));
    const row = await db.selectFrom('channel_migration_sla').selectAll().where('migration_id', '=', migrationId).executeTakeFirstOrThrow();
    expect([row.state, row.total, row.looked_at]).toEqual(['DONE', 1, 1]);
    expect((await migrationSlaBatch(db, 'ffffffff-0000-4000-8000-000000000000')).value).toEqual({ found: false, done: true, total: 0, lookedAt: 0 });
  });

  it('is over at once where there are no policies; one that is saved for new tickets then leaves what was moved alone [MIG-20, SLA-10]', async () => {
    const channel = await inbox();
    const talk = await arrives(channel);
    const migrationId = await moves(channel);
    expect((await migrationSlaBatch(db, migrationId)).value).toMatchObject({ done: true, lookedAt: 1 });
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60)] });
    await writes(talk);
    expect(await rowOf(talk)).toBeUndefined();
    expect(await isPending(talk)).toBe(false);
  });

  it('is found by the guardian where it makes no progress [OPS-12]', async () => {
    const channel = await inbox();
    await arrives(channel);
    const migrationId = await moves(channel);
    const found = async () => (await findStuck(db, 1_000)).stuck.filter(({ wake }) => wake.kind === 'migration-sla');
    expect(await found()).toEqual([]);
    await sql`update channel_migration_sla set progressed_at = now() - interval '25 s' where migration_id = ${migrationId}`.execute(db);
    expect(await found()).toMatchObject([{ wake: { kind: 'migration-sla', migrationId }, why: 'MIGRATION_SLA_WAITS' }]);
    await measures(migrationId);
    expect(await found()).toEqual([]);
  });
});

describe('until the pass has come to it', () => {
  const TOUCHES: Readonly<Record<string, (talk: Talk) => Promise<unknown>>> = {
    'its contact writes': writes,
    'somebody answers': answers,
    'it is closed': (talk) => run(db, byAgent(), (unit) => close(unit, talk)),
    'somebody takes it': (talk) => run(db, byAgent(), (unit) => assign(unit, { conversationId: talk.conversationId }, { userId: agent })),
    'its priority changes': async (talk) => {
      const ticketId = await ticketOf(talk);
      await run(db, byAgent(), (unit) => setTicketPriority(unit, { ticketId, priority: 'HIGH' }));
    },
  };

  it.each(Object.keys(TOUCHES))('a moved ticket waits for its goals, and has them at once when %s [MIG-20]', async (touch) => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('NEXT_REPLY', 60), goal('CLOSE', 600)] });
    const channel = await inbox();
    const [talk, other] = [await arrives(channel), await arrives(channel)] as const;
    await backdate(talk, 90);
    const migrationId = await begins(channel);
    await walks(channel, migrationId);
    expect([await isPending(talk), await rowOf(talk)]).toEqual([true, undefined]);
    await TOUCHES[touch]?.(talk);
    expect(await isPending(talk)).toBe(false);
    const first = (await goalsOf(db, await ticketOf(talk))).find(({ kind }) => kind === 'FIRST_REPLY');
    const over = touch === 'somebody answers' || touch === 'it is closed';
    expect([first?.state, first?.overdue_at?.getTime()]).toEqual([over ? 'COMPLETED_LATE' : 'OVERDUE', (first?.started_at.getTime() ?? 0) + 60 * MINUTE]);
    expect((await moment(db, await ticketOf(talk))).fired).toBe(0);
    const version = (await rowOf(talk))?.version;
    await ends(migrationId);
    expect([await isPending(talk), await isPending(other)]).toEqual([false, true]);
    await measures(migrationId);
    expect([(await rowOf(talk))?.version, (await rowOf(other))?.version]).toEqual([version, 1]);
    expect(await isPending(other)).toBe(false);
  });

  it('a closed one is measured when it is reopened by its contact, who waits since then [MIG-20, SLA-7]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('NEXT_REPLY', 60), goal('CLOSE', 600)] });
    const channel = await inbox();
    const talk = await arrives(channel);
    await answers(talk);
    await run(db, byAgent(), (unit) => close(unit, talk));
    const migrationId = await moves(channel);
    await writes(talk);
    expect(await statesOf(db, await ticketOf(talk))).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 COMPLETED_ON_TIME', 'NEXT_REPLY/1 ACTIVE']);
    await measures(migrationId);
    expect(await statesOf(db, await ticketOf(talk))).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 COMPLETED_ON_TIME', 'NEXT_REPLY/1 ACTIVE']);
  });

  it('a message that moves a conversation before its turn gives it its goals in the same transaction, told of nothing that has passed [MIG-11, MIG-20]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('NEXT_REPLY', 60), goal('CLOSE', 600)] });
    const channel = await inbox();
    const [waits, answered, shut] = [await arrives(channel), await arrives(channel), await arrives(channel)] as const;
    await backdate(waits, 90);
    await answers(answered);
    await run(db, byAgent(), (unit) => close(unit, shut));
    const migrationId = await begins(channel);
    for (const talk of [waits, answered, shut]) await writes(talk);
    expect(await statesOf(db, await ticketOf(waits))).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 OVERDUE']);
    expect(await statesOf(db, await ticketOf(answered))).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 COMPLETED_ON_TIME', 'NEXT_REPLY/1 ACTIVE']);
    expect(await statesOf(db, await ticketOf(shut))).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 CANCELLED', 'NEXT_REPLY/1 ACTIVE']);
    expect((await moment(db, await ticketOf(waits))).fired).toBe(0);
    await ends(migrationId);
    await measures(migrationId);
    expect((await rowOf(waits))?.version).toBe(1);
  });

  it('one that was never measured for another reason stays so when it is touched [SLA-10]', async () => {
    const channel = await makeChannel(db);
    const talk = await arrives(channel);
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60)] });
    await writes(talk);
    await answers(talk);
    expect([await rowOf(talk), await isPending(talk)]).toEqual([undefined, false]);
  });
});
