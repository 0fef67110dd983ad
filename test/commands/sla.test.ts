import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkInvariants } from '#db/invariants.ts';
import type { Db } from '#db/database.ts';
import { assign } from '#commands/owners.ts';
import { comment, reply, startConversation } from '#commands/conversations.ts';
import { close, createTicket, reopen, setTicketPriority, setTicketStatus } from '#commands/tickets.ts';
import { deletePolicy } from '#commands/sla-policies.ts';
import { inbound, makeChannel, makeTeam, makeUser, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { age, goal, goalsOf, makePolicy, moment, run, statesOf } from './sla-support.ts';

let database: TestDatabase;
let db: Db;
let channel: MadeChannel;
let agent: string;
const byAgent = () => ({ actor: 'USER' as const, userId: agent });
let count = 0;

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
});

interface Arrived {
  readonly ticketId: string;
  readonly conversationId: string;
  readonly thread: string;
}

async function arrives(on: MadeChannel = channel): Promise<Arrived> {
  count += 1;
  const thread = `thread-${count}`;
  await take(db, on, [inbound(`c${count}@out.example`)]);
  const row = await db.selectFrom('ticket').select(['id', 'conversation_id']).orderBy('number', 'desc').limit(1).executeTakeFirstOrThrow();
  await db
    .insertInto('thread_key')
    .values({ channel_id: on.id, key: thread, conversation_id: row.conversation_id ?? '' })
    .execute();
  return { ticketId: row.id, conversationId: row.conversation_id ?? '', thread };
}

const writes = (one: Arrived) => take(db, channel, [inbound(`c${count}@out.example`, { joins: [one.thread] })]);
const replies = (one: Arrived) => run(db, byAgent(), (unit) => reply(unit, [plainPlugin], { conversationId: one.conversationId, text: 'an answer' }));
const closes = (one: Arrived) => run(db, byAgent(), (unit) => close(unit, { ticketId: one.ticketId }));
const events = async (one: Arrived): Promise<string[]> => {
  const rows = await db.selectFrom('event').select('data').where('ticket_id', '=', one.ticketId).where('kind', '=', 'SLA_GOAL_CHANGED').orderBy('id').execute();
  return rows.map(({ data }) => `${data['goal'] as string}/${data['round'] as number} ${data['to'] as string}`);
};

describe('goals of a ticket', () => {
  it('each begin when it is owed and end when it is done, and its events tell each life [SLA-1, SLA-4, SLA-6, SLA-7, SLA-8]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('NEXT_REPLY', 30), goal('CLOSE', 600)] });
    const one = await arrives();
    expect(await statesOf(db, one.ticketId)).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 ACTIVE']);
    const { started_at: started } = await db.selectFrom('conversation').select('started_at').where('id', '=', one.conversationId).executeTakeFirstOrThrow();
    const first = (await goalsOf(db, one.ticketId)).find(({ kind }) => kind === 'FIRST_REPLY');
    expect(first?.due_at?.getTime()).toBe(started.getTime() + 60 * 60_000);
    await replies(one);
    expect(await statesOf(db, one.ticketId)).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 COMPLETED_ON_TIME']);
    await writes(one);
    await writes(one);
    expect(await statesOf(db, one.ticketId)).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 COMPLETED_ON_TIME', 'NEXT_REPLY/1 ACTIVE']);
    await replies(one);
    await writes(one);
    expect(await statesOf(db, one.ticketId)).toContain('NEXT_REPLY/2 ACTIVE');
    await closes(one);
    expect(await statesOf(db, one.ticketId)).toEqual([
      'CLOSE/1 COMPLETED_ON_TIME',
      'FIRST_REPLY/1 COMPLETED_ON_TIME',
      'NEXT_REPLY/1 COMPLETED_ON_TIME',
      'NEXT_REPLY/2 CANCELLED',
    ]);
    expect(await events(one)).toEqual([
      'CLOSE/1 ACTIVE',
      'FIRST_REPLY/1 ACTIVE',
      'FIRST_REPLY/1 COMPLETED_ON_TIME',
      'NEXT_REPLY/1 ACTIVE',
      'NEXT_REPLY/1 COMPLETED_ON_TIME',
      'NEXT_REPLY/2 ACTIVE',
      'CLOSE/1 COMPLETED_ON_TIME',
      'NEXT_REPLY/2 CANCELLED',
    ]);
    const ended = (await goalsOf(db, one.ticketId)).find(({ kind }) => kind === 'CLOSE');
    expect([ended?.owner_id, ended?.channel_id]).toEqual([agent, channel.id]);
  });

  it('no comment, no automatic mail and no message of a bot is a reply, and no automatic mail is a question [SLA-6, SLA-7]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('NEXT_REPLY', 30)] });
    const one = await arrives();
    await run(db, byAgent(), (unit) => comment(unit, { conversationId: one.conversationId, text: 'look at this' }));
    expect(await statesOf(db, one.ticketId)).toEqual(['FIRST_REPLY/1 ACTIVE']);
    await take(db, channel, [inbound(`c${count}@out.example`, { joins: [one.thread], direction: 'echo', automatic: 'auto-reply' })]);
    expect(await statesOf(db, one.ticketId)).toEqual(['FIRST_REPLY/1 ACTIVE']);
    await replies(one);
    await take(db, channel, [inbound(`c${count}@out.example`, { joins: [one.thread], automatic: 'auto-reply' })]);
    expect(await statesOf(db, one.ticketId)).toEqual(['FIRST_REPLY/1 COMPLETED_ON_TIME']);
  });

  it('a person who answered at the provider itself has answered [SLA-6]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60)] });
    const one = await arrives();
    await take(db, channel, [inbound(`c${count}@out.example`, { joins: [one.thread], direction: 'echo' })]);
    expect(await statesOf(db, one.ticketId)).toEqual(['FIRST_REPLY/1 COMPLETED_ON_TIME']);
  });

  it('begun by an agent a ticket owes its first reply from when the contact first wrote [SLA-6]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 600)] });
    const { conversationId, messageId } = await run(db, byAgent(), (unit) =>
      startConversation(unit, [plainPlugin], { channelId: channel.id, to: { kind: 'email-address', value: 'new@out.example' }, text: 'hello' }),
    );
    const { ticket_id: ticketId } = await db.selectFrom('conversation').select('ticket_id').where('id', '=', conversationId).executeTakeFirstOrThrow();
    expect(await statesOf(db, ticketId ?? '')).toEqual(['CLOSE/1 ACTIVE']);
    await db.insertInto('thread_key').values({ channel_id: channel.id, key: messageId, conversation_id: conversationId }).execute();
    await take(db, channel, [inbound('new@out.example', { joins: [messageId] })]);
    expect(await statesOf(db, ticketId ?? '')).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 ACTIVE']);
  });

  it('a ticket without a conversation has none, nor one that lives in an inbox [SLA-11]', async () => {
    await makePolicy(db, { targets: [goal('CLOSE', 60)] });
    const { ticketId } = await run(db, byAgent(), (unit) => createTicket(unit, { name: 'by hand', source: 'API' }));
    const inbox = await arrives(await makeChannel(db, { place: 'INBOX', createTickets: true }));
    expect(await statesOf(db, ticketId)).toEqual([]);
    expect(await statesOf(db, inbox.ticketId)).toEqual([]);
  });

  it('rest while the status is one of those that the policy pauses in, and go on with what was left [SLA-5]', async () => {
    const waiting = await status('waiting for the customer');
    await makePolicy(db, { targets: [goal('CLOSE', 60)], pauseStatusIds: [waiting] });
    const one = await arrives();
    const open = await statusOf(one);
    await age(db, one.ticketId, 20);
    await to(one, waiting);
    const [paused] = await goalsOf(db, one.ticketId);
    expect([paused?.state, paused?.due_at, Math.round((paused?.used_ms ?? 0) / 60_000)]).toEqual(['PAUSED', null, 20]);
    await age(db, one.ticketId, 500);
    expect((await moment(db, one.ticketId)).fired).toBe(0);
    await to(one, open);
    const [going] = await goalsOf(db, one.ticketId);
    expect(going?.state).toBe('ACTIVE');
    expect(Math.round(((going?.due_at?.getTime() ?? 0) - Date.now()) / 60_000)).toBe(40);
  });

  it('reopened, the close goes on with the time it had used, and nothing fires for what had been missed [SLA-8]', async () => {
    await makePolicy(db, { targets: [goal('CLOSE', 60)] });
    const one = await arrives();
    await age(db, one.ticketId, 45);
    await closes(one);
    await age(db, one.ticketId, 1_000);
    await run(db, byAgent(), (unit) => reopen(unit, { ticketId: one.ticketId }));
    const [again] = await goalsOf(db, one.ticketId);
    expect([again?.state, again?.ended_at, again?.owner_id]).toEqual(['ACTIVE', null, null]);
    expect(Math.round(((again?.due_at?.getTime() ?? 0) - Date.now()) / 60_000)).toBe(15);
  });
});

describe('policies', () => {
  it('the first that matches applies, by one property or several, and its goals differ by priority [SLA-2]', async () => {
    const team = await makeTeam(db, { primary: [agent] });
    await makePolicy(db, {
      conditions: [
        { property: 'priority', operator: 'IS', values: ['URGENT'] },
        { property: 'team', operator: 'IS', values: [team] },
      ],
      targets: [goal('CLOSE', 5)],
    });
    await makePolicy(db, {
      conditions: [{ property: 'source', operator: 'IS', values: [channel.key] }],
      targets: [goal('CLOSE', 50), goal('CLOSE', 20, { priority: 'HIGH' })],
    });
    const one = await arrives();
    const minutes = async () => Math.round(((await goalsOf(db, one.ticketId))[0]?.duration_ms ?? 0) / 60_000);
    expect(await minutes()).toBe(50);
    await prioritise(one, 'HIGH');
    expect(await minutes()).toBe(20);
    await prioritise(one, 'URGENT');
    expect(await minutes()).toBe(50);
    await run(db, byAgent(), (unit) => assign(unit, { ticketId: one.ticketId }, { userId: agent }));
    expect(await minutes()).toBe(5);
    await run(db, byAgent(), (unit) => assign(unit, { ticketId: one.ticketId }, null));
    expect(await minutes()).toBe(50);
    await db.deleteFrom('team_member').where('team_id', '=', team).execute();
  });

  it('a changed goal keeps the time that was used [SLA-9]', async () => {
    await makePolicy(db, { targets: [goal('CLOSE', 60), goal('CLOSE', 30, { priority: 'URGENT' })] });
    const one = await arrives();
    await age(db, one.ticketId, 20);
    await prioritise(one, 'URGENT');
    const [changed] = await goalsOf(db, one.ticketId);
    expect(Math.round(((changed?.due_at?.getTime() ?? 0) - Date.now()) / 60_000)).toBe(10);
    await age(db, one.ticketId, 15);
    expect((await moment(db, one.ticketId)).fired).toBe(1);
    await prioritise(one, 'MEDIUM');
    const [back] = await goalsOf(db, one.ticketId);
    expect([back?.state, Math.round(((back?.due_at?.getTime() ?? 0) - Date.now()) / 60_000)]).toEqual(['ACTIVE', 25]);
    expect(back?.overdue_at).not.toBeNull();
  });

  it('saved for new tickets only one leaves those that are there as they are, whatever else happens to them [SLA-10]', async () => {
    const policyId = await makePolicy(db, { targets: [goal('CLOSE', 60)], name: 'kept' });
    const one = await arrives();
    await makePolicy(db, { policyId, targets: [goal('CLOSE', 10)], name: 'kept' });
    // It has another team by that, which no condition looks at.
    const team = await makeTeam(db, { primary: [agent] });
    await run(db, byAgent(), (unit) => assign(unit, { ticketId: one.ticketId }, { userId: agent }));
    await db.deleteFrom('team_member').where('team_id', '=', team).execute();
    await writes(one);
    expect((await goalsOf(db, one.ticketId))[0]?.duration_ms).toBe(60 * 60_000);
    const other = await arrives();
    expect((await goalsOf(db, other.ticketId))[0]?.duration_ms).toBe(10 * 60_000);
    // What a condition or a goal looks at has changed: by what policies say now.
    await prioritise(one, 'LOW');
    expect((await goalsOf(db, one.ticketId))[0]?.duration_ms).toBe(10 * 60_000);
  });
});

async function prioritise(one: Arrived, priority: 'LOW' | 'MEDIUM' | 'HIGH' | 'URGENT'): Promise<void> {
  await run(db, byAgent(), (unit) => setTicketPriority(unit, { ticketId: one.ticketId, priority }));
}

async function to(one: Arrived, statusId: string): Promise<void> {
  await run(db, byAgent(), (unit) => setTicketStatus(unit, { ticketId: one.ticketId, statusId }));
}

async function statusOf(one: Arrived): Promise<string> {
  return (await db.selectFrom('ticket').select('status_id').where('id', '=', one.ticketId).executeTakeFirstOrThrow()).status_id;
}

async function status(name: string): Promise<string> {
  const { default_pipeline_id: pipeline } = await db.selectFrom('channel').select('default_pipeline_id').where('id', '=', channel.id).executeTakeFirstOrThrow();
  const { position } = await db
    .selectFrom('ticket_status')
    .select((eb) => eb.fn.max('position').as('position'))
    .where('pipeline_id', '=', pipeline)
    .executeTakeFirstOrThrow();
  const { id } = await db
    .insertInto('ticket_status')
    .values({ pipeline_id: pipeline, name, category: 'OPEN', position: position + 1 })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

it('leaves every invariant as it should be [OPS-11]', async () => {
  const broken = (await checkInvariants(db)).filter(({ violations }) => violations > 0);
  expect(broken.map(({ invariant, violations }) => `${invariant.rule} ${invariant.holds}: ${violations}`)).toEqual([]);
});
