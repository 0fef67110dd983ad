import { sql } from 'kysely';
import { setTimeout as sleep } from 'node:timers/promises';
import { layGround, type Ground } from './ground.ts';
import { seedChannel, seedUsers } from './routing-ground.ts';
import { reevaluateMany, type Bulk } from './sla-bulk.ts';
import { areShown, seedDeadlines, seedPolicy, SOURCE } from './sla-ground.ts';
import { startTimers, type Ended, type Timers } from './sla-timers.ts';
import { median, percentile, printTable, rounded, type Row } from './statistics.ts';

const ROUNDS = 3;
const ASLEEP = 10_000;
const PER_SECOND = 20;
/** Deadlines of one round: forty seconds of them. */
const PER_ROUND = 800;
const BURST = 2_000;
const REEVALUATED = 100_000;
const OWNERS = 50;
const HOURS_MS = 3_600_000;
/** How much longer than it should take it may take until all are asleep. */
const SLACK = 1.4;
const SLACK_MS = 5_000;
/** Between two rounds, so that the one does not run into the other. */
const PAUSE_MS = 3_000;
/** Bare timers that are later than this, or drain slower: the machine is too slow for the figures to mean anything. */
const ABSURD_MS = 10_000;
const ABSURD_PER_SECOND = 10;

/** Deadlines of tickets: how late they fire beside bare timers, many at one instant, and a re-evaluation of many tickets. */
export async function run(): Promise<number> {
  const ground = await layGround();
  try {
    const timers = await startTimers(ground);
    try {
      const desk = await openDesk(ground, timers);
      const rounds = await oneByOne(desk);
      const bursts: Burst[] = [];
      for (let number = 1; number <= ROUNDS; number += 1) bursts.push(await burst(desk, number));
      const { missed, twice } = await faults(ground, desk.overdue);
      const bulk = await reevaluateMany(ground, desk.channelId, desk.ownerIds, REEVALUATED);
      return report(rounds, bursts, { missed, twice }, bulk);
    } finally {
      await timers.stop();
    }
  } finally {
    await ground.stop();
  }
}

interface Desk {
  readonly ground: Ground;
  readonly timers: Timers;
  readonly channelId: string;
  readonly ownerIds: readonly string[];
  /** Milliseconds that a ticket's workflow took to be started and to sleep, where many were; and a bare one. */
  readonly perTicketMs: number;
  readonly perTimerMs: number;
  /** Tickets whose deadline is ahead. */
  readonly asleep: number;
  /** Those that have missed it. */
  overdue: number;
}

/** Ten thousand tickets with a deadline some hours ahead, each with its workflow asleep. */
async function openDesk(ground: Ground, timers: Timers): Promise<Desk> {
  await seedPolicy(ground, 'bench', SOURCE);
  const ownerIds = await seedUsers(ground.db, 'owner', OWNERS, null);
  const channelId = await seedChannel(ground.db, 'bench', ownerIds);
  const now = Date.now();
  const deadlines = Array.from({ length: ASLEEP }, (_, index) => now + (3 + (index % 12)) * HOURS_MS + index);
  const tickets = performance.now();
  await seedDeadlines(ground, channelId, ownerIds, deadlines);
  await areShown(ground, 'ACTIVE', ASLEEP);
  const perTicketMs = (performance.now() - tickets) / ASLEEP;
  const started = performance.now();
  await timers.start('ahead', deadlines.slice(0, 300));
  const perTimerMs = (performance.now() - started) / 300;
  await sql`analyze`.execute(ground.db);
  console.log(`${ASLEEP} tickets are asleep: ${rounded(1000 / perTicketMs)} a second; bare timers: ${rounded(1000 / perTimerMs)} a second`);
  return { ground, timers, channelId, ownerIds, perTicketMs, perTimerMs, asleep: ASLEEP, overdue: 0 };
}

interface Round {
  readonly ours: readonly number[];
  readonly bare: readonly number[];
}

/** All of them sleep before the first deadline comes: ours twenty a second, then as many bare ones, in turns. Workers keep a thousand of each in mind, so most are replayed. */
async function oneByOne(desk: Desk): Promise<readonly Round[]> {
  const { ground, timers } = desk;
  const lastingMs = (PER_ROUND * 1000) / PER_SECOND + PAUSE_MS;
  const count = ROUNDS * PER_ROUND;
  const begin = Date.now() + SLACK_MS + SLACK * count * (desk.perTicketMs + desk.perTimerMs);
  const instants = (place: number): number[] =>
    Array.from({ length: PER_ROUND }, (_, index) => Math.round(begin + place * lastingMs + (index * 1000) / PER_SECOND));
  const ours = Array.from({ length: ROUNDS }, (_, number) => instants(2 * number));
  const bare = Array.from({ length: ROUNDS }, (_, number) => instants(2 * number + 1));
  await seedDeadlines(ground, desk.channelId, desk.ownerIds, ours.flat());
  for (const [number, some] of bare.entries()) await timers.start(`one by one ${number}`, some);
  if (!(await areShown(ground, 'ACTIVE', desk.asleep + count, begin))) throw new Error('bench: the first deadline came before everything was asleep');
  console.log(`${count} tickets and ${count} bare timers have a deadline from in ${rounded((begin - Date.now()) / 1000)} s on`);
  const rounds: Round[] = [];
  for (let number = 0; number < ROUNDS; number += 1) {
    const [from = 0] = ours[number] ?? [];
    await sleep(Math.max(0, from + lastingMs - Date.now()));
    const round = {
      ours: latenessOf(await ticketEnds(ground, from, from + lastingMs, PER_ROUND)),
      bare: latenessOf(await timers.ends(`one by one ${number}`, PER_ROUND)),
    };
    console.log(`round ${number + 1} of ${ROUNDS}, late by (p50, p99): ours ${shown(round.ours)}, bare ${shown(round.bare)}`);
    rounds.push(round);
  }
  desk.overdue += count;
  await areShown(ground, 'OVERDUE', desk.overdue);
  return rounds;
}

interface Burst {
  readonly ours: number;
  readonly bare: number;
}

/** As many at one instant, ours and bare, from that instant to the last; a second. */
async function burst(desk: Desk, number: number): Promise<Burst> {
  const { ground, timers, channelId, ownerIds } = desk;
  const ours = await atOneInstant(desk.perTicketMs, {
    async prepare(at) {
      // The workflows of those before look once more at their tickets.
      await areShown(ground, 'OVERDUE', desk.overdue);
      await seedDeadlines(ground, channelId, ownerIds, sameFor(at));
      desk.overdue += BURST;
      await areShown(ground, 'ACTIVE', desk.asleep + BURST, at);
    },
    ends: (at) => ticketEnds(ground, at, at + 1, BURST),
  });
  await areShown(ground, 'OVERDUE', desk.overdue);
  const bare = await atOneInstant(desk.perTimerMs, {
    prepare: (at) => timers.start(`burst ${at}`, sameFor(at)),
    ends: (at) => timers.ends(`burst ${at}`, BURST),
  });
  console.log(`${BURST} at one instant, ${number} of ${ROUNDS}: ours ${rounded(ours)}/s, bare ${rounded(bare)}/s`);
  return { ours, bare };
}

interface AtOnce {
  /** Has them asleep, or the instant came before. */
  prepare(at: number): Promise<void>;
  ends(at: number): Promise<readonly Ended[]>;
}

/** A second, from the instant to the last. Where not all slept before it, it is done anew with more time. */
async function atOneInstant(eachMs: number, { prepare, ends }: AtOnce): Promise<number> {
  for (let slack = SLACK; ; slack *= 2) {
    const at = Date.now() + SLACK_MS + Math.round(slack * BURST * eachMs);
    await prepare(at);
    const left = at - Date.now();
    await sleep(Math.max(0, left));
    const ended = await ends(at);
    if (left > 0) return ended.length / (Math.max(...latenessOf(ended)) / 1000);
    console.log('they were due before all of them slept: once more, with more time');
  }
}

function sameFor(at: number): readonly number[] {
  return Array.from({ length: BURST }, () => at);
}

/** The moments at which tickets were found overdue, of those with a deadline in [from, to); waits until all are told of. By the later of the event's clock and the goal's: the one is that of its transaction's beginning. */
async function ticketEnds({ db }: Ground, from: number, to: number, count: number): Promise<readonly Ended[]> {
  const read = async () =>
    (
      await sql<{ due: Date; at: Date }>`
        select g.due_at as due, max(greatest(e.at, g.overdue_fired_at)) as at from sla_goal g join event e on e.ticket_id = g.ticket_id
        where g.due_at >= ${new Date(from)} and g.due_at < ${new Date(to)} and g.kind = 'CLOSE' and g.overdue_fired_at is not null
          and e.kind = 'SLA_GOAL_CHANGED' and e.why = 'OVERDUE' and e.data ->> 'goal' = g.kind
        group by g.ticket_id, g.due_at`.execute(db)
    ).rows;
  let rows = await read();
  // Those that never come are counted as missed.
  for (const end = Date.now() + 60_000; rows.length < count && Date.now() < end; rows = await read()) await sleep(250);
  return rows.map(({ due, at }) => ({ dueAt: due.getTime(), at: at.getTime() }));
}

function latenessOf(ends: readonly Ended[]): readonly number[] {
  return ends.map(({ dueAt, at }) => at - dueAt);
}

/** Deadlines that passed and were not told of, and what was told of twice: by two events, or to the owner. */
async function faults({ db }: Ground, wanted: number): Promise<{ readonly missed: number; readonly twice: number }> {
  const { rows } = await sql<{ told: number; twice: number }>`
    select
      (select count(*) from sla_goal g join ticket t on t.id = g.ticket_id where g.due_at < now() and g.overdue_fired_at is not null
        and exists (select from event e where e.ticket_id = g.ticket_id and e.kind = 'SLA_GOAL_CHANGED' and e.why = 'OVERDUE' and e.data ->> 'goal' = g.kind)
        and exists (select from notification n where n.ticket_id = g.ticket_id and n.user_id = t.owner_id and n.kind = 'SLA_OVERDUE')) as told,
      (select count(*) from (select from event where kind = 'SLA_GOAL_CHANGED' and why = 'OVERDUE' group by ticket_id, data ->> 'goal', data ->> 'round' having count(*) > 1) events)
        + (select count(*) from (select from notification where kind = 'SLA_OVERDUE' group by ticket_id, user_id having count(*) > 1) notifications) as twice`.execute(
    db,
  );
  return { missed: wanted - (rows[0]?.told ?? 0), twice: rows[0]?.twice ?? Number.NaN };
}

function shown(times: readonly number[]): string {
  return `${rounded(percentile(times, 0.5))} and ${rounded(percentile(times, 0.99))} ms`;
}

function report(
  rounds: readonly Round[],
  bursts: readonly Burst[],
  { missed, twice }: { readonly missed: number; readonly twice: number },
  bulk: Bulk,
): number {
  const late = (way: 'ours' | 'bare', share: number): number => median(rounds.map((one) => percentile(one[way], share)));
  const rate = (way: 'ours' | 'bare'): number => median(bursts.map((one) => one[way]));
  if (late('bare', 0.99) > ABSURD_MS || rate('bare') < ABSURD_PER_SECOND) {
    console.error(`bench: the baseline is absurdly slow: ${rounded(late('bare', 0.99))} ms late, ${rounded(rate('bare'))} timers a second`);
    return 2;
  }
  const figures = {
    latenessP99OverBareMs: rounded(median(rounds.map((one) => percentile(one.ours, 0.99) - percentile(one.bare, 0.99)))),
    missed,
    twice,
    burstRatio: rounded(median(bursts.map(({ ours, bare }) => ours / bare))),
  };
  const ms = (figure: number): string => `${rounded(figure)} ms`;
  const live = (share: number): string => `${ms(percentile(bulk.beside, share))} beside, ${ms(percentile(bulk.alone, share))} alone`;
  const rows: readonly Row[] = [
    { what: 'late by, p50', ours: ms(late('ours', 0.5)), bare: `${ms(late('bare', 0.5))}, bare timers`, ratio: '-', wanted: '-' },
    {
      what: 'late by, p99',
      ours: ms(late('ours', 0.99)),
      bare: `${ms(late('bare', 0.99))}, bare timers`,
      ratio: `${figures.latenessP99OverBareMs} ms more`,
      wanted: '≤ 1,000 ms more',
    },
    { what: 'missed', ours: String(missed), bare: '-', ratio: '-', wanted: '0' },
    { what: 'told of twice', ours: String(twice), bare: '-', ratio: '-', wanted: '0' },
    {
      what: `${BURST} at one instant`,
      ours: `${rounded(rate('ours'))}/s`,
      bare: `${rounded(rate('bare'))}/s, bare timers`,
      ratio: String(figures.burstRatio),
      wanted: '≥ 0.4',
    },
    { what: `re-evaluation of ${bulk.tickets} open tickets`, ours: `${rounded(bulk.tickets / bulk.seconds)}/s`, bare: '-', ratio: '-', wanted: '-' },
    { what: 'a live transaction, p50', ours: live(0.5), bare: '-', ratio: '-', wanted: '-' },
    { what: 'a live transaction, p99', ours: live(0.99), bare: '-', ratio: '-', wanted: '-' },
  ];
  printTable(rows);
  console.log(JSON.stringify(figures));
  return 0;
}
