import type { MoveView } from '#activities/migration.ts';

/** What Temporal UI shows of a move: its state in words, and a table that adds up. Ids and counts only (OPS-4). */
export function migrationDetails(channelKey: string, view: MoveView | null, waiting: boolean): string {
  if (view === null) return `There is no move of channel \`${channelKey}\`.`;
  return [`**${headline(channelKey, view)}**`, '', ...rest(view, waiting), '', LAST_LINE].join('\n');
}

/** Temporal UI shows details in a frame that is too low for them by about a line: it is this one that is cut off. */
const LAST_LINE = '\u00a0';

function headline(channelKey: string, { state, startAtIso, startsInMs, progress }: MoveView): string {
  switch (state) {
    case 'SCHEDULED':
      return startsInMs > 0
        ? `Channel ${channelKey} will be moved to the help desk at ${moment(startAtIso)}`
        : `Channel ${channelKey} is to be moved now, and waits for its turn`;
    case 'WITHDRAWN':
      return `The move of channel ${channelKey} was withdrawn: nothing was changed`;
    case 'RUNNING':
      return `Channel ${channelKey} is being moved to the help desk: ${progress.percent} %`;
    case 'COMPLETED':
      return `Channel ${channelKey} is moved to the help desk`;
    case 'COMPLETED_WITH_REMAINDER':
      return `Channel ${channelKey} is moved, but for ${progress.leftOver} that could not be: listed, and tried again every hour`;
  }
}

function rest({ migrationId, state, history, progress }: MoveView, waiting: boolean): readonly string[] {
  if (state === 'SCHEDULED') {
    const which = history === 'NONE' ? 'Without its conversations: those stay in the inbox.' : 'With all of its conversations.';
    return [`${which} Until it starts it can be withdrawn: \`withdrawChannelMigration\`.`];
  }
  if (state === 'WITHDRAWN') return [];
  if (history === 'NONE') return ['Without its conversations: those stay in the inbox, new ones come to the help desk.'];
  const { found, moved, remaining, leftOver, arrived, ratePerSecond, secondsLeft, waitedMs } = progress;
  return [
    '| found | moved | still to move | left over | arrived meanwhile |',
    '| --- | --- | --- | --- | --- |',
    `| ${found} | ${moved} | ${remaining} | ${leftOver} | ${arrived} |`,
    '',
    `- ${rate(state, ratePerSecond)}${secondsLeft === null ? '' : `, about ${secondsLeft} s left`}.`,
    `- ${waited(waitedMs, waiting)}.`,
    ...(state === 'RUNNING' ? ['- It can not be stopped: a cancel is noted and changes nothing; ended in another way it goes on within 90 s.'] : []),
    `- Its id is \`${migrationId}\`.`,
  ];
}

function rate(state: MoveView['state'], ratePerSecond: number | null): string {
  if (ratePerSecond === null) return 'Nothing tells yet how fast it is';
  return `It ${state === 'RUNNING' ? 'moves' : 'moved'} ${ratePerSecond} conversations a second`;
}

function waited(waitedMs: number, waiting: boolean): string {
  if (waitedMs === 0 && !waiting) return 'It never had to let live work go first';
  return `It let live work go first for ${Math.round(waitedMs / 1000)} s${waiting ? ', **and does so now**' : ''}`;
}

/** As Temporal UI writes its own; a whole one would be broken over two lines. */
function moment(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}
