import { parseArgs } from 'node:util';
import { movePair, NotTheSame, type Pair } from './migration-alone.ts';
import { foretellMove, type Foretold } from './migration-foretold.ts';
import { layMigrationGround } from './migration-ground.ts';
import { moveBesideLive, type Live } from './migration-live.ts';
import { median, percentile, printTable, rounded, type Row } from './statistics.ts';

const CONVERSATIONS = 1_000_000;
/** Up to so many each pair is measured three times; a million takes too long for that. */
const THRICE = 200_000;
/** A hand-written transaction that moves fewer a second: the machine is too slow for the ratios to mean anything. */
const ABSURD_PER_SECOND = 500;

const PER_SECOND = 20;
const PARTS = ['preflight', 'alone', 'live'] as const;
type Part = (typeof PARTS)[number];

/**
 * The move of a channel: its whole time beside one hand-written transaction, live intake beside it, and what a preflight costs. `--conversations`: how many, a million unless
 * given; `--parts`: which of these, with commas between; `--per-second`: how many live mails.
 */
export async function run(): Promise<number> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      conversations: { type: 'string', default: String(CONVERSATIONS) },
      parts: { type: 'string', default: PARTS.join(',') },
      'per-second': { type: 'string', default: String(PER_SECOND) },
    },
  });
  const wanted = Number(values.conversations);
  const perSecond = Number(values['per-second']);
  const parts = values.parts.split(',');
  const has = (part: Part): boolean => parts.includes(part);
  if (!Number.isInteger(wanted) || wanted < 1_000 || !(perSecond > 0) || !PARTS.some(has)) {
    console.error(`bench: --conversations is a whole number from 1000 on, --per-second one over 0, --parts some of ${PARTS.join(',')}`);
    return 2;
  }
  const ground = await layMigrationGround(wanted);
  try {
    const { conversations } = ground.order;
    const foretold = has('preflight') ? await foretellMove(ground) : null;
    const rounds = conversations <= THRICE ? 3 : 1;
    const pairs: Pair[] = [];
    if (has('alone')) console.log(`${conversations} conversations, ${rounds === 1 ? 'one pair of moves' : `${rounds} pairs of moves, median`}`);
    for (let round = 1; has('alone') && round <= rounds; round += 1) pairs.push(await movePair(ground, round));
    const bareSeconds = median(pairs.map(({ bareMs }) => bareMs)) / 1000;
    if (conversations / bareSeconds < ABSURD_PER_SECOND) {
      console.error(`bench: the baseline is absurdly slow: ${rounded(conversations / bareSeconds)} conversations a second`);
      return 2;
    }
    return report(conversations, pairs, foretold, has('live') ? await moveBesideLive(ground, perSecond) : null);
  } catch (error) {
    if (!(error instanceof NotTheSame)) throw error;
    console.error(`bench: the two moves have not written the same\n${error.message}`);
    return 1;
  } finally {
    await ground.stop();
  }
}

function report(conversations: number, pairs: readonly Pair[], foretold: Foretold | null, live: Live | null): number {
  const alone = pairs.length === 0 ? null : aloneRows(conversations, pairs);
  const beside = live === null ? null : liveRows(live);
  const before = foretold === null ? null : preflightRows(foretold);
  printTable([...(alone?.rows ?? []), ...(beside?.rows ?? []), ...(before?.rows ?? [])]);
  // What was not measured is not there.
  console.log(JSON.stringify({ ...alone?.figures, ...beside?.figures, ...before?.figures }));
  return 0;
}

interface Told {
  readonly figures: Readonly<Record<string, number>>;
  readonly rows: readonly Row[];
}

const NOTHING = { bare: '-', ratio: '-', wanted: '-' } as const;
const ms = (figure: number): string => `${rounded(figure)} ms`;

function aloneRows(conversations: number, pairs: readonly Pair[]): Told {
  const timeRatio = rounded(median(pairs.map(({ oursMs, bareMs }) => oursMs / bareMs)));
  const historyEvents = Math.max(...pairs.map((pair) => pair.historyEvents));
  const historyBytes = Math.max(...pairs.map((pair) => pair.historyBytes));
  const seconds = (way: 'oursMs' | 'bareMs'): number => median(pairs.map((pair) => pair[way])) / 1000;
  const shown = (way: 'oursMs' | 'bareMs'): string => `${rounded(seconds(way))} s`;
  const rate = (way: 'oursMs' | 'bareMs'): string => `${Math.round(conversations / seconds(way))}/s`;
  const megabytes = (which: keyof Pair['memory']): number => Math.round(Math.max(...pairs.map(({ memory }) => memory[which])) / 1_048_576);
  const memory = `${megabytes('start')} MB at the start, ${megabytes('peak')} at most, ${megabytes('end')} at the end`;
  return {
    figures: { timeRatio, historyEvents, historyBytes },
    rows: [
      {
        what: `move of ${conversations} conversations, ${pairs.length === 1 ? 'one pair' : `median of ${pairs.length}`}`,
        ours: shown('oursMs'),
        bare: `${shown('bareMs')}, one transaction by hand`,
        ratio: String(timeRatio),
        wanted: '≤ 1.25',
      },
      { ...NOTHING, what: 'conversations a second', ours: rate('oursMs'), bare: rate('bareMs') },
      { ...NOTHING, what: `events of the longest of ${Math.max(...pairs.map(({ runs }) => runs))} runs`, ours: String(historyEvents), wanted: '< 2,000' },
      { ...NOTHING, what: 'transactions of the walk', ours: String(median(pairs.map(({ batches }) => batches))), bare: '1' },
      { ...NOTHING, what: 'bytes of that history', ours: String(historyBytes) },
      { ...NOTHING, what: 'memory of the worker', ours: memory, wanted: 'flat' },
    ],
  };
}

function liveRows(live: Live): Told {
  const liveP99Ratio = rounded(percentile(live.beside, 0.99) / percentile(live.before, 0.99));
  const both = (times: readonly number[]): string => `${ms(percentile(times, 0.5))} and ${ms(percentile(times, 0.99))}`;
  return {
    figures: { liveP99Ratio },
    rows: [
      {
        what: `${live.beside.length} mails beside it, p50 and p99`,
        ours: both(live.beside),
        bare: `${both(live.before)}, before it`,
        ratio: String(liveP99Ratio),
        wanted: '≤ 3',
      },
      { ...NOTHING, what: `${live.after.length} mails after it, p50 and p99`, ours: both(live.after) },
      {
        ...NOTHING,
        what: live.over ? 'the move beside them' : 'the move beside them, NOT over when its time was',
        ours: `${Math.round(live.perSecond)}/s, ${rounded(live.seconds)} s, of them ${rounded(live.waitedMs / 1000)} s waiting`,
      },
      { ...NOTHING, what: 'pulled forward, arrived', ours: `${live.pulledForward}, ${live.arrived}` },
    ],
  };
}

function preflightRows({ ours, bare }: Foretold): Told {
  const preflightRatio = rounded(median(ours.map((time, index) => time / (bare[index] ?? Number.NaN))));
  return {
    figures: { preflightRatio },
    rows: [
      {
        what: 'preflight, all its parts',
        ours: ms(median(ours)),
        bare: `${ms(median(bare))}, one count(*)`,
        ratio: String(preflightRatio),
        wanted: '≤ 10, and ≤ 5 s',
      },
    ],
  };
}
