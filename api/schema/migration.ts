import { recount, type MigrationProgress, type MigrationReport, type Recount } from '#commands/migration-report.ts';
import { CursorTooOld, NotFound } from '#commands/refusals.ts';
import { builder, globalId } from '../builder.ts';
import type { ApiContext } from '../context.ts';
import { positionOf, writeCursor } from '../feed.ts';
import { newestOf } from '../notices.ts';
import { promised } from '../promised.ts';
import type { MigrationRow, MigrationSlaRow } from '../rows.ts';
import { watchEvents } from '../stream.ts';
import { MigrationHistoryEnum, MigrationPhaseEnum, MigrationStateEnum, ReevaluationStateEnum, WithdrawnWhyEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { ChannelRef, ConversationRef, MigrationConnection, MigrationRef, PipelineRef, RemainderConnection, RemainderRef, StatusRef, UserRef } from './refs.ts';
import { AFTER, items, unwrap } from './subscription.ts';

/** What a recount costs besides its fields: it reads every row of a move, so a query asks for one. */
const RECOUNT_COST = 10_001;
/** A report reads the rows of a move as well, in one go. */
const REPORT_COST = 100;

const ProgressRef = builder.objectRef<MigrationProgress>('MigrationProgress').implement({
  description: 'How far a move is.',
  fields: (t) => ({
    phase: t.field({ type: MigrationPhaseEnum, description: 'What it does now.', resolve: ({ phase }) => phase }),
    found: t.exposeInt('found', {
      description: 'All it is to move, as known by now: those of the channel when it began, and what joined it since, without what left.',
    }),
    moved: t.exposeInt('moved', { description: 'Conversations moved by now.' }),
    remaining: t.exposeInt('remaining', { description: 'Conversations still to be moved.' }),
    leftOver: t.exposeInt('leftOver', { description: 'Conversations that could not be moved yet: `remainder` lists them.' }),
    arrived: t.exposeInt('arrived', { description: 'Conversations that began in the help desk meanwhile.' }),
    ratePerSecond: t.exposeFloat('ratePerSecond', { nullable: true, description: 'Conversations moved a second; null: not known yet.' }),
    secondsLeft: t.exposeFloat('secondsLeft', { nullable: true, description: 'Seconds it will take at that rate; null: it is over, or not known yet.' }),
    waitedMs: t.exposeFloat('waitedMs', { description: 'Milliseconds for which it has let live work go first.' }),
    percent: t.exposeInt('percent', { description: 'Of the conversations, in whole percent; 100 once it is over.' }),
  }),
});

const ReportRef = builder.objectRef<MigrationReport>('MigrationReport').implement({
  description: 'What a move did, in conversations, as it noted it while it did it: found = movedWithTicket + movedWithNewTicket + leftOver.',
  fields: (t) => ({
    found: t.exposeInt('found', { description: 'All it was to move: those of the channel when it began, and `joined`, without `gone`.' }),
    joined: t.exposeInt('joined', { description: 'Of those found: came to the channel from another while it ran.' }),
    gone: t.exposeInt('gone', { description: 'Left the channel for another before their turn, and stay where they are; not among those found.' }),
    movedWithTicket: t.exposeInt('movedWithTicket', { description: 'Moved, with the ticket they had.' }),
    movedWithNewTicket: t.exposeInt('movedWithNewTicket', { description: 'Moved, and given a ticket.' }),
    pulledForward: t.exposeInt('pulledForward', { description: 'Of those moved: by a message before their turn.' }),
    leftOver: t.exposeInt('leftOver', { description: 'Could not be moved: they are usable in the inbox, and tried again by themselves.' }),
    arrived: t.exposeInt('arrived', { description: 'Began in the help desk while it ran; in none of the other numbers.' }),
    followed: t.exposeInt('followed', { description: 'Came to the channel from another after its end, and were moved then; in none of the other numbers.' }),
    unassigned: t.exposeInt('unassigned', { description: 'Of those moved: nobody’s since, for their owner has no access to the help desk.' }),
    addsUp: t.boolean({
      description: 'Whether found = movedWithTicket + movedWithNewTicket + leftOver; false while it runs.',
      resolve: ({ found, movedWithTicket, movedWithNewTicket, leftOver }) => found === movedWithTicket + movedWithNewTicket + leftOver,
    }),
    cancelsSurvived: t.exposeInt('cancelsSurvived', { description: 'Runs of its workflow in which somebody asked it to stop.' }),
    restarts: t.exposeInt('restarts', { description: 'How often it was started anew because its workflow was gone.' }),
    startedAt: t.field({ type: 'DateTime', nullable: true, description: 'When it began.', resolve: ({ startedAt }) => startedAt }),
    endedAt: t.field({ type: 'DateTime', nullable: true, description: 'When it was over; null: it is not.', resolve: ({ endedAt }) => endedAt }),
    ratePerSecond: t.exposeFloat('ratePerSecond', {
      nullable: true,
      description: 'Conversations moved a second without the time it waited; null: nothing was moved.',
    }),
    waitedMs: t.exposeFloat('waitedMs', { description: 'Milliseconds for which it let live work go first.' }),
  }),
});

const SlaRef = builder.objectRef<MigrationSlaRow>('MigrationSla').implement({
  description: 'How far the moved tickets have got their SLA goals. It begins when the move has ended, and holds nobody up.',
  fields: (t) => ({
    state: t.field({ type: ReevaluationStateEnum, description: 'How far it is.', resolve: (one) => one.state }),
    total: t.exposeInt('total', { description: 'Tickets that were to be looked at when it began.' }),
    lookedAt: t.exposeInt('looked_at', { description: 'Tickets looked at by now; until then each says `slaPending`.' }),
    startedAt: t.field({ type: 'DateTime', description: 'When it began.', resolve: (one) => one.started_at }),
    endedAt: t.field({ type: 'DateTime', nullable: true, description: 'When it was over; null: it is not.', resolve: (one) => one.ended_at }),
  }),
});

/** What was counted again, beside what the report says. */
interface Recounted extends Recount {
  readonly report: MigrationReport;
}

const RecountRef = builder.objectRef<Recounted>('MigrationRecount').implement({
  description: 'What a move did, in conversations, counted anew from the events and from where conversations and tickets are now.',
  fields: (t) => ({
    movedWithTicket: t.exposeInt('movedWithTicket', { description: 'Moved, with the ticket they had.' }),
    movedWithNewTicket: t.exposeInt('movedWithNewTicket', { description: 'Moved, and given a ticket.' }),
    leftOver: t.exposeInt('leftOver', { description: 'Could not be moved, and are in the inbox.' }),
    unassigned: t.exposeInt('unassigned', { description: 'Of those moved: nobody’s since, for their owner has no access to the help desk.' }),
    arrived: t.exposeInt('arrived', { description: 'Began in the help desk while it ran.' }),
    astray: t.exposeInt('astray', { description: 'Should be in the help desk with one ticket, and are not: 0, or something is wrong.' }),
    inInbox: t.exposeInt('inInbox', { description: 'Conversations of the channel that are in an inbox now, whatever the lists say.' }),
    agrees: t.boolean({
      description: 'Whether the report says the same, and nothing is astray. False while it runs.',
      resolve: ({ report, ...now }) => now.astray === 0 && SAID_BY_BOTH.every((number) => report[number] === now[number]),
    }),
  }),
});

const SAID_BY_BOTH = ['movedWithTicket', 'movedWithNewTicket', 'leftOver', 'unassigned', 'arrived'] as const;

builder.objectType(RemainderRef, {
  description: 'A conversation that could not be moved.',
  fields: (t) => ({
    conversationId: t.id({ description: 'Its global id.', resolve: ({ conversation_id: id }) => globalId('Conversation', id) }),
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'The conversation; null: not to be seen.',
      resolve: ({ conversation_id: id }, _args, { load }) => load.conversation.load(id),
    }),
    reason: t.exposeString('reason', { description: 'Why: the code of the database’s refusal, or one of the engine’s own.' }),
    tries: t.exposeInt('tries', { description: 'How often it was tried.' }),
    triedAt: t.field({ type: 'DateTime', description: 'When last. It is tried hourly, and when it changes.', resolve: ({ tried_at: at }) => at }),
  }),
});

builder.node(MigrationRef, {
  description: 'A move of a channel from an inbox to the help desk. Admins see it; everybody sees the notice of one that runs.',
  id: { resolve: (one) => one.id },
  loadOne: (id, { load }) => load.channelMigration.load(id),
  fields: (t) => ({
    channel: t.field({
      type: ChannelRef,
      description: 'Which channel.',
      resolve: async (one, _args, { load }) => promised(await load.channel.load(one.channel_id)),
    }),
    state: t.field({ type: MigrationStateEnum, description: 'How far it is.', resolve: (one) => one.state }),
    history: t.field({ type: MigrationHistoryEnum, description: 'Which conversations go along.', resolve: (one) => one.history }),
    pipeline: t.field({
      type: PipelineRef,
      nullable: true,
      description: 'Of the tickets that are made; null: no conversations go along.',
      resolve: (one, _args, { load }) => (one.pipeline_id === null ? null : load.pipeline.load(one.pipeline_id)),
    }),
    openStatus: t.field({
      type: StatusRef,
      nullable: true,
      description: 'The status of the tickets that open conversations get; null: none go along.',
      resolve: (one, _args, { load }) => (one.open_status_id === null ? null : load.status.load(one.open_status_id)),
    }),
    closedStatus: t.field({
      type: StatusRef,
      nullable: true,
      description: 'That of closed ones; null: none go along.',
      resolve: (one, _args, { load }) => (one.closed_status_id === null ? null : load.status.load(one.closed_status_id)),
    }),
    muted: t.exposeBoolean('muted', { description: 'Nobody is told of what it makes or assigns.' }),
    askedBy: t.field({ type: UserRef, description: 'Who set it.', resolve: async (one, _args, { load }) => promised(await load.user.load(one.asked_by)) }),
    askedAt: t.field({ type: 'DateTime', description: 'When they did.', resolve: (one) => one.asked_at }),
    startAt: t.field({ type: 'DateTime', nullable: true, description: 'For when it was set; null: at once.', resolve: (one) => one.start_at }),
    startedAt: t.field({ type: 'DateTime', nullable: true, description: 'When it began; null: it has not.', resolve: (one) => one.started_at }),
    endedAt: t.field({ type: 'DateTime', nullable: true, description: 'When it was over; null: it is not.', resolve: (one) => one.ended_at }),
    withdrawnAt: t.field({ type: 'DateTime', nullable: true, description: 'When it was withdrawn; null: it was not.', resolve: (one) => one.withdrawn_at }),
    withdrawnWhy: t.field({ type: WithdrawnWhyEnum, nullable: true, description: 'Why; null: it was not.', resolve: (one) => one.withdrawn_why }),
    progress: t.field({
      type: ProgressRef,
      nullable: true,
      description: 'How far it has come; null: it has not begun.',
      resolve: (one, _args, { load }) => (one.started_at === null ? null : load.progressOf.load(one.id)),
    }),
    report: t.field({
      type: ReportRef,
      nullable: true,
      description: 'What it did, as it was counted on the way; null: it has not begun.',
      complexity: { field: REPORT_COST, multiplier: 1 },
      resolve: (one, _args, { load }) => (one.started_at === null ? null : load.reportOf.load(one.id)),
    }),
    recount: t.field({
      type: RecountRef,
      nullable: true,
      description: 'What it did, counted anew from all rows as they are now, which takes a while: one at a time may be asked for. Null: it has not begun.',
      complexity: { field: RECOUNT_COST, multiplier: 1 },
      resolve: async ({ id, started_at: startedAt }, _args, { load, db }) =>
        startedAt === null ? null : { ...(await recount(db, id)), report: promised(await load.reportOf.load(id)) },
    }),
    sla: t.field({
      type: SlaRef,
      nullable: true,
      description: 'How far the moved tickets have got their SLA goals; null: the move has not ended, or made nothing to measure.',
      resolve: (one, _args, { load }) => load.migrationSlaOf.load(one.id),
    }),
    remainder: t.connection(
      {
        type: RemainderRef,
        description: 'The conversations that could not be moved, by their ids.',
        resolve: (one, args, { load, db }) =>
          load.nestedPage('migration.remainder', one.id, args, ORDERS.remainder, (parent) =>
            db.selectFrom('channel_migration_remainder').selectAll('channel_migration_remainder').where('migration_id', '=', parent),
          ),
      },
      RemainderConnection,
    ),
  }),
});

builder.queryField('channelMigration', (t) =>
  t.field({
    type: MigrationRef,
    nullable: true,
    description: 'The move of this id; null where there is none, and to those who are no admin.',
    args: { id: t.arg.globalID({ for: [MigrationRef], required: true, description: 'Its global id.' }) },
    resolve: (_root, { id }, { load }) => load.channelMigration.load(id.id),
  }),
);

builder.queryField('channelMigrations', (t) =>
  t.connection(
    {
      type: MigrationRef,
      description: 'The moves of channels, the newest first. Empty to those who are no admin.',
      args: {
        state: t.arg({ type: MigrationStateEnum, description: 'Only those that are so far; none: all.' }),
        channelId: t.arg.globalID({ for: [ChannelRef], description: 'Only those of this channel; none: of all.' }),
      },
      resolve: async (_root, { state, channelId, ...args }, { load, db, see }) => {
        let query = db
          .selectFrom('channel_migration')
          .selectAll('channel_migration')
          .where((await see()).channel_migration);
        if (state != null) query = query.where('state', '=', state);
        if (channelId != null) query = query.where('channel_id', '=', channelId.id);
        return load.page(args, ORDERS.channelMigration, query);
      },
    },
    MigrationConnection,
  ),
);

interface ProgressItem {
  readonly cursor: string;
  readonly migration: MigrationRow;
}

const ProgressItemRef = builder.objectRef<ProgressItem>('MigrationProgressItem').implement({
  description: 'A move as it is at a moment.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'Given as `after`, the stream goes on behind this item.' }),
    migration: t.field({ type: MigrationRef, description: 'The move.', resolve: ({ migration }) => migration }),
  }),
});

builder.subscriptionField('channelMigrationProgress', (t) =>
  t.field({
    type: ProgressItemRef,
    description: 'How far a move is, as it is now and about once a second while it runs. The last item is that of its end, or of its withdrawal.',
    errors: { types: [CursorTooOld, NotFound], union: { name: 'ChannelMigrationProgressItem', description: 'How far the move is, or why that is not told.' } },
    args: {
      id: t.arg.globalID({ for: [MigrationRef], required: true, description: 'The global id of the move.' }),
      after: t.arg.string({ description: AFTER }),
    },
    subscribe: (_root, { id, after }, context) =>
      items(
        () => watchProgress(context, id.id, after),
        (item) => item,
      ),
    resolve: (item) => unwrap(item),
  }),
);

/** The move as it is now, and the newest state whenever it changes, to its end. Throws `NotFound` and `CursorTooOld` before the first. */
async function watchProgress(context: ApiContext, id: string, after: string | null | undefined): Promise<AsyncGenerator<ProgressItem, void, undefined>> {
  const { load } = context;
  if ((await load.channelMigration.load(id)) === null) throw new NotFound('move', id);
  // The place comes first: what happens from there on is told again.
  const from = after ?? writeCursor(await context.deps.feed.head());
  const events = await watchEvents(context, from, {
    stillSeen: async () => (await load.channelMigration.load(id)) !== null,
    only: ({ kind, data }) => kind === 'MIGRATION_CHANGED' && data['migrationId'] === id,
  });
  return progressBy(context, id, from, events);
}

const OVER: ReadonlySet<string> = new Set(['WITHDRAWN', 'COMPLETED', 'COMPLETED_WITH_REMAINDER']);

async function* progressBy(context: ApiContext, id: string, from: string, events: Awaited<ReturnType<typeof watchEvents>>) {
  const changes = newestOf(events);
  let cursor = from;
  try {
    for (;;) {
      // What its fields load must be as it is now.
      context.refresh();
      const migration = await context.load.channelMigration.load(id);
      if (migration === null) return;
      yield { cursor, migration };
      if (OVER.has(migration.state)) return;
      const { value, done } = await changes.next();
      if (done === true) return;
      cursor = writeCursor(positionOf(value));
    }
  } finally {
    await changes.return();
  }
}
