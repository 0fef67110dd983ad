import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Db } from '#db/database.ts';
import { close, reopen, setTicketPriority, setTicketStatus } from '#commands/tickets.ts';
import { assign } from '#commands/owners.ts';
import { reply } from '#commands/conversations.ts';
import { findStuck } from '#commands/guardian.ts';
import { deletePolicy } from '#commands/sla-policies.ts';
import { inbound, makeChannel, makeTeam, makeUser, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { atOnce } from './routing-support.ts';
import { age, goal, goalsOf, makePolicy, moment, run, statesOf, type TestPolicy } from './sla-support.ts';

let database: TestDatabase;
let db: Db;
let channel: MadeChannel;
let owner: string;
let other: string;
let count = 0;

beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  channel = await makeChannel(db);
  owner = await makeUser(db, { role: 'ADMIN' });
  other = await makeUser(db);
});
afterAll(() => database.drop());
beforeEach(async () => {
  const there = await db.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).execute();
  for (const { id } of there) await run(db, { actor: 'SYSTEM' }, (unit) => deletePolicy(unit, { policyId: id }, 'NEW_TICKETS'));
  await db.deleteFrom('system_mail').execute();
  await db.deleteFrom('notification').execute();
});
afterEach(() => vi.restoreAllMocks());

const byOwner = () => ({ actor: 'USER' as const, userId: owner });

async function arrives(policy: TestPolicy, ownerId: string | null = owner): Promise<string> {
  await makePolicy(db, { by: byOwner(), ...policy });
  count += 1;
  await take(db, channel, [inbound(`m${count}@out.example`)]);
  const { id } = await db.selectFrom('ticket').select('id').orderBy('number', 'desc').limit(1).executeTakeFirstOrThrow();
  if (ownerId !== null) await run(db, { actor: 'SYSTEM' }, (unit) => assign(unit, { ticketId: id }, { userId: ownerId }));
  await db.deleteFrom('system_mail').execute();
  await db.deleteFrom('notification').execute();
  return id;
}

const told = async (ticketId: string) => {
  const rows = await db.selectFrom('notification').select(['user_id', 'kind']).where('ticket_id', '=', ticketId).orderBy('id').execute();
  return rows.map(({ user_id, kind }) => `${kind} ${user_id}`);
};
const reached = async (ticketId: string) => {
  const rows = await db.selectFrom('event').select('data').where('ticket_id', '=', ticketId).where('kind', '=', 'SLA_GOAL_CHANGED').orderBy('id').execute();
  return rows.map(({ data }) => data['to'] as string);
};

describe('a deadline', () => {
  it('is told of to the owner, once due soon and once overdue, however many look at once [SLA-12]', async () => {
    const ticket = await arrives({ targets: [goal('FIRST_REPLY', 60, { dueSoon: 10 })] });
    expect((await moment(db, ticket)).fired).toBe(0);
    await age(db, ticket, 55);
    await atOnce(Array.from({ length: 20 }, () => () => moment(db, ticket)));
    expect(await told(ticket)).toEqual([`SLA_DUE_SOON ${owner}`]);
    await age(db, ticket, 10);
    await atOnce(Array.from({ length: 20 }, () => () => moment(db, ticket)));
    expect(await told(ticket)).toEqual([`SLA_DUE_SOON ${owner}`, `SLA_OVERDUE ${owner}`]);
    expect(await reached(ticket)).toEqual(['ACTIVE', 'DUE_SOON', 'OVERDUE']);
    const mails = await db.selectFrom('system_mail').select(['subject', 'text', 'user_id']).where('ticket_id', '=', ticket).orderBy('id').execute();
    expect(mails.map(({ subject }) => subject.replace(/\d+/, 'N'))).toEqual([
      expect.stringMatching(/^Ticket N: first reply is due soon/),
      expect.stringMatching(/^Ticket N: first reply is overdue/),
    ]);
    expect(mails[1]?.text).toMatch(/The first reply of this ticket was due \w{3} \d+ \w{3} \d\d:\d\d UTC\./);
  });

  it('of a ticket that nobody has is told to those who are told of such tickets [SLA-12, MODEL-12]', async () => {
    const ticket = await arrives({ targets: [goal('CLOSE', 60)] }, null);
    await db
      .updateTable('channel')
      .set({ unassigned_notice_user_ids: [other] })
      .where('id', '=', channel.id)
      .execute();
    await age(db, ticket, 61);
    await moment(db, ticket);
    await db.updateTable('channel').set({ unassigned_notice_user_ids: [] }).where('id', '=', channel.id).execute();
    expect(await told(ticket)).toEqual([`SLA_OVERDUE ${other}`]);
  });

  it('that was missed while nobody looked fires once, late, and says the real deadline [SLA-13]', async () => {
    const ticket = await arrives({ targets: [goal('FIRST_REPLY', 60, { dueSoon: 10 })] });
    await age(db, ticket, 600);
    const before = (await goalsOf(db, ticket))[0]?.due_at;
    expect((await moment(db, ticket)).fired).toBe(1);
    expect((await moment(db, ticket)).fired).toBe(0);
    // Nobody is told any more that it will be due soon.
    expect(await told(ticket)).toEqual([`SLA_OVERDUE ${owner}`]);
    expect((await goalsOf(db, ticket))[0]?.overdue_at).toEqual(before);
  });

  it('answered late before anybody noticed is late, tells nobody, and does not fire again [SLA-6, SLA-12]', async () => {
    const ticket = await arrives({ targets: [goal('FIRST_REPLY', 60)] });
    await age(db, ticket, 61);
    const { conversation_id: conversationId } = await db.selectFrom('ticket').select('conversation_id').where('id', '=', ticket).executeTakeFirstOrThrow();
    await run(db, byOwner(), (unit) => reply(unit, [plainPlugin], { conversationId: conversationId ?? '', text: 'sorry' }));
    expect(await statesOf(db, ticket)).toEqual(['FIRST_REPLY/1 COMPLETED_LATE']);
    expect((await moment(db, ticket)).fired).toBe(1);
    expect((await moment(db, ticket)).fired).toBe(0);
    expect(await told(ticket)).toEqual([]);
  });

  it('is PostgreSQL’s to decide, with the machine’s clock a minute ahead or behind [SLA-13]', async () => {
    const ticket = await arrives({ targets: [goal('CLOSE', 60)] });
    await age(db, ticket, 59);
    vi.spyOn(Date, 'now').mockImplementation(() => performance.timeOrigin + performance.now() + 3 * 60_000);
    expect((await moment(db, ticket)).fired).toBe(0);
    await age(db, ticket, 2);
    vi.spyOn(Date, 'now').mockImplementation(() => performance.timeOrigin + performance.now() - 30 * 60_000);
    expect((await moment(db, ticket)).fired).toBe(1);
  });

  it('that moved away before anybody was told is told of when it comes, and not before [SLA-9, SLA-12]', async () => {
    const ticket = await arrives({ targets: [goal('CLOSE', 120), goal('CLOSE', 30, { priority: 'MEDIUM' })] });
    await age(db, ticket, 40);
    await run(db, byOwner(), (unit) => setTicketPriority(unit, { ticketId: ticket, priority: 'LOW' }));
    expect(await statesOf(db, ticket)).toEqual(['CLOSE/1 ACTIVE']);
    expect((await moment(db, ticket)).fired).toBe(0);
    await age(db, ticket, 90);
    expect((await moment(db, ticket)).fired).toBe(1);
    expect(await told(ticket)).toEqual([`SLA_OVERDUE ${owner}`]);
  });

  it('of a policy that was deleted goes on, unless the open tickets were to go by what is left [SLA-10]', async () => {
    const ticket = await arrives({ targets: [goal('CLOSE', 60)] });
    const { id } = await db.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).executeTakeFirstOrThrow();
    await run(db, byOwner(), (unit) => deletePolicy(unit, { policyId: id }, 'NEW_TICKETS'));
    await age(db, ticket, 61);
    expect((await moment(db, ticket)).fired).toBe(1);
    expect(await statesOf(db, ticket)).toEqual(['CLOSE/1 OVERDUE']);
  });

  it('that its workflow does not see is found by the guardian, with the same deadline [SLA-13]', async () => {
    const ticket = await arrives({ targets: [goal('CLOSE', 60)] });
    const { number } = await db.selectFrom('ticket').select('number').where('id', '=', ticket).executeTakeFirstOrThrow();
    const stuck = async () =>
      (await findStuck(db, 500)).stuck.filter(({ why, wake }) => why === 'DEADLINE_WAITS' && wake.kind === 'ticket' && wake.number === number);
    expect(await stuck()).toEqual([]);
    await age(db, ticket, 61);
    expect(await stuck()).toHaveLength(1);
    const before = (await goalsOf(db, ticket))[0]?.due_at;
    await moment(db, ticket);
    expect(await stuck()).toEqual([]);
    expect((await goalsOf(db, ticket))[0]?.overdue_at).toEqual(before);
  });
});

describe('the traps that others fall into', () => {
  it('next reply does not count on after a resolve [SLA-7, SLA-8]', async () => {
    const ticket = await arrives({ targets: [goal('FIRST_REPLY', 10), goal('NEXT_REPLY', 10)] });
    await age(db, ticket, 5);
    await run(db, byOwner(), (unit) => close(unit, { ticketId: ticket }));
    await age(db, ticket, 100);
    expect((await moment(db, ticket)).fired).toBe(0);
    expect(await statesOf(db, ticket)).toEqual(['FIRST_REPLY/1 CANCELLED']);
  });

  it('misses do not grow after close [SLA-8]', async () => {
    const ticket = await arrives({ targets: [goal('CLOSE', 60)] });
    await age(db, ticket, 90);
    await moment(db, ticket);
    await run(db, byOwner(), (unit) => close(unit, { ticketId: ticket }));
    const before = await goalsOf(db, ticket);
    await moment(db, ticket);
    expect(await goalsOf(db, ticket)).toEqual(before);
    expect(await statesOf(db, ticket)).toEqual(['CLOSE/1 COMPLETED_LATE']);
  });

  it('reopening does not escalate at once what was missed and told of before [SLA-8, SLA-12]', async () => {
    const ticket = await arrives({ targets: [goal('CLOSE', 60)] });
    await age(db, ticket, 90);
    await moment(db, ticket);
    await run(db, byOwner(), (unit) => close(unit, { ticketId: ticket }));
    await run(db, byOwner(), (unit) => reopen(unit, { ticketId: ticket }));
    expect(await statesOf(db, ticket)).toEqual(['CLOSE/1 OVERDUE']);
    expect((await moment(db, ticket)).fired).toBe(0);
    expect(await told(ticket)).toEqual([`SLA_OVERDUE ${owner}`]);
  });

  it('one clock does not overrule another: a missed reply leaves the close as it is [SLA-4]', async () => {
    const ticket = await arrives({ targets: [goal('FIRST_REPLY', 10), goal('CLOSE', 60)] });
    await age(db, ticket, 11);
    await moment(db, ticket);
    expect(await statesOf(db, ticket)).toEqual(['CLOSE/1 ACTIVE', 'FIRST_REPLY/1 OVERDUE']);
    await age(db, ticket, 50);
    await moment(db, ticket);
    expect(await statesOf(db, ticket)).toEqual(['CLOSE/1 OVERDUE', 'FIRST_REPLY/1 OVERDUE']);
  });

  it('a ticket that flaps between paused and not 200 times, from many hands at once, loses no time and has one timer [SLA-5]', async () => {
    const pipeline = (await db.selectFrom('channel').select('default_pipeline_id').where('id', '=', channel.id).executeTakeFirstOrThrow()).default_pipeline_id;
    const { id: waiting } = await db
      .insertInto('ticket_status')
      .values({ pipeline_id: pipeline, name: 'flaps', category: 'OPEN', position: 50 })
      .returning('id')
      .executeTakeFirstOrThrow();
    const ticket = await arrives({ targets: [goal('CLOSE', 60)], pauseStatusIds: [waiting] });
    const { status_id: open } = await db.selectFrom('ticket').select('status_id').where('id', '=', ticket).executeTakeFirstOrThrow();
    const began = Date.now();
    await atOnce(
      Array.from(
        { length: 200 },
        (_, index) => () => run(db, byOwner(), (unit) => setTicketStatus(unit, { ticketId: ticket, statusId: index % 2 === 0 ? waiting : open })),
      ),
      8,
    );
    await run(db, byOwner(), (unit) => setTicketStatus(unit, { ticketId: ticket, statusId: waiting }));
    const took = Date.now() - began;
    const [flapped] = await goalsOf(db, ticket);
    expect([flapped?.state, flapped?.due_at]).toEqual(['PAUSED', null]);
    // It counted while it was open, and no longer than all of it took.
    expect(flapped?.used_ms).toBeGreaterThan(0);
    expect(flapped?.used_ms).toBeLessThan(took + 60_000);
    const rests = await sql<{ open: number; overlapping: number }>`
      select count(*) filter (where r ->> 'to' is null)::int as open,
        count(*) filter (where (r ->> 'to')::bigint < (r ->> 'from')::bigint)::int as overlapping
      from sla_ticket s, jsonb_array_elements(s.rests) r where s.ticket_id = ${ticket}`.execute(db);
    expect(rests.rows).toEqual([{ open: 1, overlapping: 0 }]);
  });
});

describe('what a policy has done', () => {
  it('when a goal is due soon or overdue: priority, owner by a rule, people told, each once [SLA-12]', async () => {
    const lead = await makeUser(db);
    const team = await makeTeam(db, { primary: [lead] });
    const ticket = await arrives({
      targets: [goal('CLOSE', 60, { dueSoon: 20 })],
      actions: [
        { on: 'DUE_SOON', setPriority: 'HIGH' },
        { on: 'OVERDUE', goal: 'CLOSE', assign: { kind: 'SPECIFIC', method: 'LEAST_BUSY', userIds: [other] } },
        { on: 'OVERDUE', notify: { userIds: [], teamIds: [team] } },
      ],
    });
    await age(db, ticket, 45);
    await moment(db, ticket);
    expect((await db.selectFrom('ticket').select('priority').where('id', '=', ticket).executeTakeFirstOrThrow()).priority).toBe('HIGH');
    await age(db, ticket, 20);
    await atOnce(Array.from({ length: 10 }, () => () => moment(db, ticket)));
    expect((await db.selectFrom('ticket').select('owner_id').where('id', '=', ticket).executeTakeFirstOrThrow()).owner_id).toBe(other);
    expect((await told(ticket)).toSorted()).toEqual(
      [`SLA_DUE_SOON ${owner}`, `SLA_OVERDUE ${owner}`, `SLA_OVERDUE ${lead}`, `TICKET_ASSIGNED ${other}`].toSorted(),
    );
    const decided = await db.selectFrom('routing_decision').select('chosen_user_id').where('ticket_id', '=', ticket).execute();
    expect(decided.map((row) => row.chosen_user_id)).toEqual([other]);
  });

  it('tells each of them once, however often the policy names them [SLA-12, MODEL-12]', async () => {
    const lead = await makeUser(db);
    const ticket = await arrives(
      {
        targets: [goal('CLOSE', 60)],
        actions: [
          { on: 'OVERDUE', notify: { userIds: [lead], teamIds: [] } },
          { on: 'OVERDUE', goal: 'CLOSE', notify: { userIds: [lead, other], teamIds: [] } },
        ],
      },
      null,
    );
    await db
      .updateTable('channel')
      .set({ unassigned_notice_user_ids: [lead] })
      .where('id', '=', channel.id)
      .execute();
    await age(db, ticket, 61);
    await moment(db, ticket);
    await db.updateTable('channel').set({ unassigned_notice_user_ids: [] }).where('id', '=', channel.id).execute();
    expect((await told(ticket)).toSorted()).toEqual([`SLA_OVERDUE ${lead}`, `SLA_OVERDUE ${other}`].toSorted());
  });

  it('an owner stays where the rule finds nobody [SLA-12]', async () => {
    const away = await makeUser(db, { availability: 'AWAY' });
    const ticket = await arrives({
      targets: [goal('CLOSE', 60)],
      actions: [{ on: 'OVERDUE', assign: { kind: 'SPECIFIC', method: 'RANDOM', userIds: [away] } }],
    });
    await age(db, ticket, 61);
    expect((await moment(db, ticket)).fired).toBe(1);
    expect((await db.selectFrom('ticket').select('owner_id').where('id', '=', ticket).executeTakeFirstOrThrow()).owner_id).toBe(owner);
  });
});
