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

/** The move of a channel: its whole time beside one hand-written transaction, live intake beside it, and what a preflight costs. `--conversations`: how many, a million unless given. */
export async function run(): Promise<number> {
  const { values } = parseArgs({ args: process.argv.slice(3), options: { conversations: { type: 'string', default: String(CONVERSATIONS) } } });
  const wanted = Number(values.conversations);
  if (!Number.isInteger(wanted) || wanted < 1_000) {
    console.error('bench: --conversations is a whole number from 1000 on');
    return 2;
  }
  const ground = await layMigrationGround(wanted);
  try {
    const { conversations } = ground.order;
    const foretold = await foretellMove(ground);
    const rounds = conversations <= THRICE ? 3 : 1;
    console.log(`${conversations} conversations, ${rounds === 1 ? 'one pair of moves' : `${rounds} pairs of moves, median`}`);
    const pairs: Pair[] = [];
    for (let round = 1; round <= rounds; round += 1) pairs.push(await movePair(ground, round));
    const bareSeconds = median(pairs.map(({ bareMs }) => bareMs)) / 1000;
    if (conversations / bareSeconds < ABSURD_PER_SECOND) {
      console.error(`bench: the baseline is absurdly slow: ${rounded(conversations / bareSeconds)} conversations a second`);
      return 2;
    }
    return report(conversations, pairs, foretold, await moveBesideLive(ground));
  } catch (error) {
    if (!(error instanceof NotTheSame)) throw error;
    console.error(`bench: the two moves have not written the same\n${error.message}`);
    return 1;
  } finally {
    await ground.stop();
  }
}

function report(conversations: number, pairs: readonly Pair[], foretold: Foretold, live: Live): number {
  const figures = {
    timeRatio: rounded(median(pairs.map(({ oursMs, bareMs }) => oursMs / bareMs))),
    historyEvents: Math.max(...pairs.map(({ historyEvents }) => historyEvents)),
    historyBytes: Math.max(...pairs.map(({ historyBytes }) => historyBytes)),
    liveP99Ratio: rounded(percentile(live.beside, 0.99) / percentile(live.before, 0.99)),
    preflightRatio: rounded(median(foretold.ours.map((time, index) => time / (foretold.bare[index] ?? Number.NaN)))),
  };
  const ms = (figure: number): string => `${rounded(figure)} ms`;
  const seconds = (way: 'oursMs' | 'bareMs'): string => `${rounded(median(pairs.map((pair) => pair[way])) / 1000)} s`;
  const perSecond = (way: 'oursMs' | 'bareMs'): string => `${Math.round((conversations * 1000) / median(pairs.map((pair) => pair[way])))}/s`;
  const megabytes = (which: keyof Pair['memory']): number => Math.round(Math.max(...pairs.map(({ memory }) => memory[which])) / 1_048_576);
  const both = (times: readonly number[]): string => `${ms(percentile(times, 0.5))} and ${ms(percentile(times, 0.99))}`;
  const rows: readonly Row[] = [
    {
      what: `move of ${conversations} conversations, ${pairs.length === 1 ? 'one pair' : `median of ${pairs.length}`}`,
      ours: seconds('oursMs'),
      bare: `${seconds('bareMs')}, one transaction by hand`,
      ratio: String(figures.timeRatio),
      wanted: '≤ 1.25',
    },
    { what: 'conversations a second', ours: perSecond('oursMs'), bare: perSecond('bareMs'), ratio: '-', wanted: '-' },
    {
      what: `events of the longest of ${Math.max(...pairs.map(({ runs }) => runs))} runs`,
      ours: String(figures.historyEvents),
      bare: '-',
      ratio: '-',
      wanted: '< 2,000',
    },
    { what: 'its bytes', ours: String(figures.historyBytes), bare: '-', ratio: '-', wanted: '-' },
    {
      what: 'memory of the worker',
      ours: `${megabytes('start')} MB at the start, ${megabytes('peak')} at most, ${megabytes('end')} at the end`,
      bare: '-',
      ratio: '-',
      wanted: 'flat',
    },
    {
      what: `${live.beside.length} mails beside it, p50 and p99`,
      ours: both(live.beside),
      bare: `${both(live.before)}, before it`,
      ratio: String(figures.liveP99Ratio),
      wanted: '≤ 3',
    },
    { what: `${live.after.length} mails after it, p50 and p99`, ours: both(live.after), bare: '-', ratio: '-', wanted: '-' },
    {
      what: 'the move beside them',
      ours: `${Math.round(live.perSecond)}/s, ${rounded(live.seconds)} s, of them ${rounded(live.waitedMs / 1000)} s waiting`,
      bare: '-',
      ratio: '-',
      wanted: '-',
    },
    { what: 'pulled forward, arrived', ours: `${live.pulledForward}, ${live.arrived}`, bare: '-', ratio: '-', wanted: '-' },
    {
      what: 'preflight, all its parts',
      ours: ms(median(foretold.ours)),
      bare: `${ms(median(foretold.bare))}, one count(*)`,
      ratio: String(figures.preflightRatio),
      wanted: '≤ 10, and ≤ 5 s',
    },
  ];
  printTable(rows);
  console.log(JSON.stringify(figures));
  return 0;
}
