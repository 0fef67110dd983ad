import fc from 'fast-check';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import type { GoalKind } from '#domain/sla.ts';
import { reply } from '#commands/conversations.ts';
import { assign } from '#commands/owners.ts';
import { InvalidInput } from '#commands/refusals.ts';
import { readSlaReport, REPORT_LIMITS, type ReportGrouping, type ReportLine, type ReportRequest } from '#commands/sla-reports.ts';
import { close, reopen, setTicketPriority, setTicketStatus } from '#commands/tickets.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { age, goal, makePolicy, moment, run } from './sla-support.ts';

const DAY_MS = 24 * 3_600_000;

let database: TestDatabase;
let db: Db;
let channels: readonly MadeChannel[];
let agents: readonly string[];
let statuses: { readonly open: string; readonly waiting: string };
let count = 0;

beforeEach(async () => {
  database = await testDatabase();
  db = database.db;
  channels = [await makeChannel(db), await makeChannel(db)];
  agents = [await makeUser(db), await makeUser(db), await makeUser(db)];
  statuses = await twoStatuses();
});
afterEach(() => database.drop());

async function twoStatuses(): Promise<typeof statuses> {
  const { default_pipeline_id: pipeline, default_status_id: open } = await db
    .selectFrom('channel')
    .select(['default_pipeline_id', 'default_status_id'])
    .where('id', '=', channels[0]?.id ?? '')
    .executeTakeFirstOrThrow();
  const { id: waiting } = await db
    .insertInto('ticket_status')
    .values({ pipeline_id: pipeline, name: 'waiting for the customer', category: 'OPEN', position: 50 })
    .returning('id')
    .executeTakeFirstOrThrow();
  return { open, waiting };
}

interface Arrived {
  readonly ticketId: string;
  readonly conversationId: string;
  readonly channel: MadeChannel;
  readonly name: string;
}

async function arrives(on = 0): Promise<Arrived> {
  count += 1;
  const name = `c${count}`;
  const channel = channels[on];
  if (channel === undefined) throw new Error('there is no such channel');
  await take(db, channel, [inbound(`${name}@out.example`, { thread: { joins: [name], keys: [name] } })]);
  const { conversation_id: conversationId } = await db.selectFrom('thread_key').select('conversation_id').where('key', '=', name).executeTakeFirstOrThrow();
  const { id: ticketId } = await db.selectFrom('ticket').select('id').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
  return { ticketId, conversationId, channel, name };
}

type Step =
  | { readonly what: 'write' | 'close' | 'reopen' | 'pause' | 'go' | 'told' }
  | { readonly what: 'reply'; readonly by: number }
  | { readonly what: 'assign'; readonly to: number | null }
  | { readonly what: 'priority'; readonly priority: 'LOW' | 'MEDIUM' | 'HIGH' | 'URGENT' }
  | { readonly what: 'pass'; readonly minutes: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ what: fc.constantFrom('write' as const, 'close' as const, 'reopen' as const, 'pause' as const, 'go' as const, 'told' as const) }),
  fc.record({ what: fc.constant('reply' as const), by: fc.nat(2) }),
  fc.record({ what: fc.constant('assign' as const), to: fc.option(fc.nat(2)) }),
  fc.record({ what: fc.constant('priority' as const), priority: fc.constantFrom('LOW' as const, 'MEDIUM' as const, 'HIGH' as const, 'URGENT' as const) }),
  fc.record({ what: fc.constant('pass' as const), minutes: fc.integer({ min: 5, max: 90 }) }),
);
interface Life {
  /** Which channel. */
  readonly on: number;
  readonly steps: readonly Step[];
}
const life: fc.Arbitrary<Life> = fc.record({ on: fc.nat(1), steps: fc.array(step, { minLength: 3, maxLength: 14 }) });

async function does(one: Arrived, now: Step): Promise<void> {
  const { ticketId, conversationId } = one;
  const by = (index: number) => ({ actor: 'USER' as const, userId: agents[index] ?? '' });
  switch (now.what) {
    case 'write':
      await take(db, one.channel, [inbound(`${one.name}@out.example`, { joins: [one.name] })]);
      return;
    case 'reply':
      await run(db, by(now.by), (unit) => reply(unit, [plainPlugin], { conversationId, text: 'an answer' }));
      return;
    case 'close':
      await run(db, by(0), (unit) => close(unit, { ticketId }));
      return;
    case 'reopen':
      await run(db, by(0), (unit) => reopen(unit, { ticketId }));
      return;
    case 'pause':
    case 'go':
      await run(db, by(0), (unit) => setTicketStatus(unit, { ticketId, statusId: now.what === 'go' ? statuses.open : statuses.waiting }));
      return;
    case 'assign':
      await run(db, by(0), (unit) => assign(unit, { ticketId }, now.to === null ? null : { userId: agents[now.to] ?? '' }));
      return;
    case 'priority':
      await run(db, by(0), (unit) => setTicketPriority(unit, { ticketId, priority: now.priority }));
      return;
    case 'pass':
      await age(db, ticketId, now.minutes);
      return;
    case 'told':
      await moment(db, ticketId);
      return;
  }
}

type Counts = Pick<ReportLine, 'onTime' | 'late' | 'cancelled' | 'overdue'>;
const OUTCOMES: Readonly<Record<string, keyof Counts>> = { COMPLETED_ON_TIME: 'onTime', COMPLETED_LATE: 'late', CANCELLED: 'cancelled', OVERDUE: 'overdue' };

interface Told {
  readonly goal: GoalKind;
  readonly to: string;
  readonly policy: string;
  readonly channel: string;
  readonly owner: string | null;
  /** As the newest event about it says. */
  readonly owner_now: string | null;
}

/** What became of each goal, by nothing but events: its newest one tells. */
async function toldByEvents(): Promise<readonly Told[]> {
  const { rows } = await sql<Told>`
    select distinct on (e.ticket_id, e.data ->> 'goal', e.data ->> 'round')
      e.data ->> 'goal' as goal, e.data ->> 'to' as to, e.data ->> 'policyId' as policy, e.channel_id as channel, e.data ->> 'ownerId' as owner,
      (select o.user_id from event o where o.ticket_id = e.ticket_id and o.kind = 'OWNER_CHANGED' order by o.id desc limit 1) as owner_now
    from event e where e.kind = 'SLA_GOAL_CHANGED'
    order by e.ticket_id, e.data ->> 'goal', e.data ->> 'round', e.id desc`.execute(db);
  return rows;
}

function countedFromEvents(all: readonly Told[], keyOf: (told: Told) => string | null): Record<string, Counts> {
  const found: Record<string, Counts> = {};
  for (const told of all) {
    const outcome = OUTCOMES[told.to];
    if (outcome === undefined) continue;
    const key = `${keyOf(told)} ${told.goal}`;
    const counts = found[key] ?? { onTime: 0, late: 0, cancelled: 0, overdue: 0 };
    found[key] = { ...counts, [outcome]: counts[outcome] + 1 };
  }
  return found;
}

const ALL: Omit<ReportRequest, 'by' | 'from' | 'to'> = { channelId: null, ownerId: null, policyId: null, goal: null, timeZone: 'UTC' };

function report(by: ReportGrouping, more: Partial<ReportRequest> = {}): Promise<readonly ReportLine[]> {
  return readSlaReport(db, { ...ALL, by, from: new Date(Date.now() - 300 * DAY_MS), to: new Date(Date.now() + DAY_MS), ...more });
}

async function countedByReport(by: ReportGrouping): Promise<Record<string, Counts>> {
  const lines = await report(by);
  return Object.fromEntries(lines.map(({ key, goal: kind, onTime, late, cancelled, overdue }) => [`${key} ${kind}`, { onTime, late, cancelled, overdue }]));
}

/** All groups together. */
function summed(counts: Readonly<Record<string, Counts>>): Record<string, Counts> {
  const sums: Record<string, Counts> = {};
  for (const [key, one] of Object.entries(counts)) {
    const kind = key.split(' ')[1] ?? '';
    const sum = sums[kind] ?? { onTime: 0, late: 0, cancelled: 0, overdue: 0 };
    sums[kind] = { onTime: sum.onTime + one.onTime, late: sum.late + one.late, cancelled: sum.cancelled + one.cancelled, overdue: sum.overdue + one.overdue };
  }
  return sums;
}

async function expectAsEventsSay(): Promise<void> {
  const told = await toldByEvents();
  const ownerOf = ({ to, owner, owner_now: now }: Told) => (to === 'OVERDUE' ? now : owner);
  expect(await countedByReport('CHANNEL')).toEqual(countedFromEvents(told, ({ channel }) => channel));
  expect(await countedByReport('POLICY')).toEqual(countedFromEvents(told, ({ policy }) => policy));
  expect(await countedByReport('OWNER')).toEqual(countedFromEvents(told, ownerOf));
  const whole = summed(countedFromEvents(told, () => 'all'));
  for (const by of ['DAY', 'WEEK', 'MONTH'] as const) expect(summed(await countedByReport(by)), by).toEqual(whole);
}

describe('reports of SLA goals', () => {
  it('have the numbers that the events of any lives of tickets give, by channel, owner, policy and period [SLA-15]', async () => {
    await makePolicy(db, {
      conditions: [{ property: 'priority', operator: 'IN', values: ['HIGH', 'URGENT'] }],
      targets: [goal('FIRST_REPLY', 20), goal('NEXT_REPLY', 10), goal('CLOSE', 60, { dueSoon: 15 }), goal('CLOSE', 30, { priority: 'URGENT' })],
    });
    // Without a next reply; and none is for those of low priority.
    await makePolicy(db, {
      conditions: [{ property: 'priority', operator: 'IS', values: ['MEDIUM'] }],
      targets: [goal('FIRST_REPLY', 60, { dueSoon: 20 }), goal('CLOSE', 120)],
      pauseStatusIds: [statuses.waiting],
    });
    const lived = async (lives: readonly Life[]) => {
      const tickets: Arrived[] = [];
      for (const { on, steps } of lives) {
        const one = await arrives(on);
        tickets.push(one);
        for (const now of steps) await does(one, now);
      }
      await expectAsEventsSay();
      // That whoever was to know was told changes no number.
      for (const { ticketId } of tickets) await moment(db, ticketId);
      await expectAsEventsSay();
    };
    // Of each outcome one at least.
    await lived([
      { on: 0, steps: [{ what: 'reply', by: 0 }] },
      {
        on: 1,
        steps: [
          { what: 'pass', minutes: 70 },
          { what: 'reply', by: 1 },
        ],
      },
      { on: 0, steps: [{ what: 'close' }] },
      { on: 1, steps: [{ what: 'pass', minutes: 70 }, { what: 'told' }] },
    ]);
    await fc.assert(fc.asyncProperty(fc.array(life, { minLength: 2, maxLength: 5 }), lived), { numRuns: 12, endOnFailure: true });
    const whole = Object.values(summed(countedFromEvents(await toldByEvents(), () => 'all')));
    for (const outcome of ['onTime', 'late', 'cancelled', 'overdue'] as const)
      expect(Math.max(...whole.map((one) => one[outcome])), outcome).toBeGreaterThan(0);
    const broken = (await checkInvariants(db)).filter(({ violations }) => violations > 0);
    expect(broken.map(({ invariant, violations }) => `${invariant.rule} ${invariant.holds}: ${violations}`)).toEqual([]);
  });

  it('count what ended late as of whoever had it then, also where somebody else has the ticket by the time that is told [SLA-15]', async () => {
    await makePolicy(db, { targets: [goal('FIRST_REPLY', 60)] });
    const one = await arrives();
    for (const now of [{ what: 'pass', minutes: 70 }, { what: 'reply', by: 0 }, { what: 'assign', to: 1 }, { what: 'told' }] satisfies Step[])
      await does(one, now);
    expect((await report('OWNER')).map(({ key, late }) => [key, late])).toEqual([[agents[0], 1]]);
  });

  it('count from a moment until just before another, and days, weeks and months by the clock of a time zone [SLA-15]', async () => {
    await makePolicy(db, { targets: [goal('CLOSE', 60)] });
    // Half an hour into a Monday of Berlin, and into its April; the last moment of a day of UTC, and the first of the next.
    for (const at of ['2026-03-29T22:30:00Z', '2026-03-31T22:30:00Z', '2026-04-09T23:59:59.999Z', '2026-04-10T00:00:00Z']) await endedAt(at);
    const during = { from: new Date('2026-03-29T22:30:00Z'), to: new Date('2026-04-10T00:00:00Z') };
    const days = async (by: ReportGrouping, timeZone: string) => (await report(by, { ...during, timeZone })).map(({ key, onTime }) => `${key} ${onTime}`);
    expect(await days('DAY', 'UTC')).toEqual(['2026-03-29 1', '2026-03-31 1', '2026-04-09 1']);
    expect(await days('DAY', 'Europe/Berlin')).toEqual(['2026-03-30 1', '2026-04-01 1', '2026-04-10 1']);
    expect(await days('WEEK', 'UTC')).toEqual(['2026-03-23 1', '2026-03-30 1', '2026-04-06 1']);
    expect(await days('WEEK', 'Europe/Berlin')).toEqual(['2026-03-30 2', '2026-04-06 1']);
    expect(await days('MONTH', 'UTC')).toEqual(['2026-03-01 2', '2026-04-01 1']);
    expect(await days('MONTH', 'Europe/Berlin')).toEqual(['2026-03-01 1', '2026-04-01 2']);
  });

  it('tell the working time that half, and nine tenths, of what was done took, without what was cancelled [SLA-15]', async () => {
    await makePolicy(db, { targets: [goal('CLOSE', 60), goal('FIRST_REPLY', 60)] });
    for (const minutes of [10, 20, 30, 40]) {
      const { ticketId } = await endedAt('2026-03-01T00:00:00Z');
      await db
        .updateTable('sla_goal')
        .set({ used_ms: minutes * 60_000 })
        .where('ticket_id', '=', ticketId)
        .execute();
    }
    const lines = await report('POLICY', { from: new Date('2026-03-01T00:00:00Z'), to: new Date('2026-03-02T00:00:00Z') });
    // The replies were owed no more.
    expect(lines).toMatchObject([
      { goal: 'FIRST_REPLY', onTime: 0, late: 0, cancelled: 4, medianMs: null, p90Ms: null },
      { goal: 'CLOSE', onTime: 4, late: 0, cancelled: 0, medianMs: 25 * 60_000, p90Ms: 37 * 60_000 },
    ]);
  });

  it('are of one channel, owner, policy or goal where that is asked, of what ended and of what is overdue [SLA-15]', async () => {
    const urgent = await makePolicy(db, { conditions: [{ property: 'priority', operator: 'IS', values: ['URGENT'] }], targets: [goal('CLOSE', 60)] });
    const other = await makePolicy(db, { targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 60)] });
    const [first, second] = [await arrives(0), await arrives(1)];
    for (const now of [{ what: 'priority', priority: 'URGENT' }, { what: 'close' }] satisfies Step[]) await does(first, now);
    for (const now of [{ what: 'assign', to: 1 }, { what: 'pass', minutes: 61 }, { what: 'told' }] satisfies Step[]) await does(second, now);
    const told = async (more: Partial<ReportRequest>) =>
      (await report('MONTH', more)).map(({ goal: kind, onTime, cancelled, overdue }) => `${kind} ${onTime} ${cancelled} ${overdue}`).toSorted();
    const ended = ['CLOSE 1 0 0'];
    const overdue = ['CLOSE 0 0 1', 'FIRST_REPLY 0 0 1'];
    expect(await told({ channelId: channels[0]?.id ?? '' })).toEqual([...ended, 'FIRST_REPLY 0 1 0']);
    expect(await told({ channelId: channels[1]?.id ?? '' })).toEqual(overdue);
    expect(await told({ ownerId: agents[1] ?? '' })).toEqual(overdue);
    expect(await told({ policyId: urgent })).toEqual(ended);
    expect(await told({ policyId: other, goal: 'CLOSE' })).toEqual(['CLOSE 0 0 1']);
    expect(await told({ ownerId: agents[2] ?? '' })).toEqual([]);
  });

  it('are refused with everything that is wrong with what is asked, and where they would have too many groups [SLA-15, API-7]', async () => {
    const from = new Date('2026-01-01T00:00:00Z');
    const paths = async (more: Partial<ReportRequest>) => {
      const refused: unknown = await report('OWNER', more).catch((error: unknown) => error);
      return refused instanceof InvalidInput ? refused.problems.map(({ path }) => path) : refused;
    };
    expect(await paths({ from, to: from, timeZone: 'Mars/Olympus' })).toEqual(['to', 'timeZone']);
    expect(await paths({ from, to: new Date(from.getTime() + REPORT_LIMITS.days * DAY_MS + 1) })).toEqual(['to']);
    expect(await paths({ from, to: new Date(from.getTime() + REPORT_LIMITS.days * DAY_MS) })).toEqual([]);
    await makePolicy(db, { targets: [goal('CLOSE', 60)] });
    const { ticketId } = await endedAt('2026-03-01T00:00:00Z');
    const owners = async (to: number, since: number) =>
      sql`
        with someone as (insert into app_user (email, name, role, seat) select 'u' || n || '@users.example', 'x', 'AGENT', 'NONE' from generate_series(${since}::int, ${to}::int) n returning id)
        insert into sla_goal (ticket_id, kind, round, policy_id, duration_ms, due_soon_ms, state, started_at, used_ms, ended_at, owner_id)
        select g.ticket_id, k.kind, 10 * ${since}::int + row_number() over (), g.policy_id, g.duration_ms, 0, g.state, g.started_at, 0, g.ended_at, someone.id
        from sla_goal g, someone, unnest(array['FIRST_REPLY', 'NEXT_REPLY', 'CLOSE']) k (kind) where g.ticket_id = ${ticketId} and g.round = 1 and g.kind = 'CLOSE'`.execute(
        db,
      );
    // With the one whose ticket was closed already.
    await owners(REPORT_LIMITS.groups - 1, 1);
    const then = { from, to: new Date(from.getTime() + 100 * DAY_MS) };
    expect(new Set((await report('OWNER', then)).map(({ key }) => key)).size).toBe(REPORT_LIMITS.groups);
    await owners(REPORT_LIMITS.groups, REPORT_LIMITS.groups);
    expect(await paths(then)).toEqual(['by']);
  });
});

/** A ticket whose goals ended at this moment. */
async function endedAt(at: string): Promise<Arrived> {
  const one = await arrives();
  await does(one, { what: 'close' });
  await db
    .updateTable('sla_goal')
    .set({ ended_at: new Date(at) })
    .where('ticket_id', '=', one.ticketId)
    .execute();
  return one;
}
