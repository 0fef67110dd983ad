import { runningMigration } from '#commands/migration-notices.ts';
import { startMigration, withdrawMigration } from '#commands/migrations.ts';
import { AlreadyExists, AlreadyStarted, ChannelNotMovable, MigrationAlreadyRunning, NotFound } from '#commands/refusals.ts';
import type { ApiContext } from '../../context.ts';
import { MigrationHistoryEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { ChannelRef, MigrationRef, StatusRef } from '../refs.ts';

const migration = ({ migrationId }: { readonly migrationId: string }, { load }: ApiContext) => load.channelMigration.load(migrationId);

mutation('startChannelMigration', {
  description:
    'Moves a channel from an inbox to the help desk, now or at a set time. Once it has begun it can not be stopped or undone: ask channelMigrationPreflight before. Whoever asks while another channel moves is told which.',
  type: MigrationRef,
  refusals: [ChannelNotMovable, MigrationAlreadyRunning, AlreadyExists],
  input: (t) => ({
    channelId: t.globalID({ for: [ChannelRef], required: true, description: 'Which channel.' }),
    history: t.field({ type: MigrationHistoryEnum, required: true, description: 'Which of its conversations go along. It can not be asked for again later.' }),
    openStatusId: t.globalID({ for: [StatusRef], description: 'With ALL: the status of the tickets that open conversations get; an open one.' }),
    closedStatusId: t.globalID({
      for: [StatusRef],
      description: 'With ALL: that of closed ones; a closed one of the same pipeline, which is the new tickets’ pipeline.',
    }),
    muted: t.boolean({ defaultValue: false, description: 'Nobody is told of what the move makes or assigns; what arrives meanwhile is told as always.' }),
    startAt: t.field({ type: 'DateTime', description: 'When it is to begin; none, or in the past: now. Until then it can be withdrawn.' }),
  }),
  lacking: async ({ channelId: { id }, startAt }, { db, load }) => {
    if ((await load.channel.load(id)) === null) throw new NotFound('channel', id);
    const running = startAt != null && startAt > new Date() ? undefined : await runningMigration(db);
    if (running !== undefined) throw new MigrationAlreadyRunning(running.id, running.channelId);
  },
  work: ({ channelId, history, openStatusId, closedStatusId, muted, startAt }, { unit, context: { deps } }) =>
    startMigration(unit, deps, {
      channelId: channelId.id,
      history,
      openStatusId: openStatusId?.id ?? null,
      closedStatusId: closedStatusId?.id ?? null,
      muted: muted ?? false,
      startAt: startAt?.toISOString() ?? null,
    }),
  read: migration,
});

mutation('withdrawChannelMigration', {
  description: 'Takes back a move that is set for later. One that has begun goes on: AlreadyStarted.',
  type: MigrationRef,
  refusals: [AlreadyStarted],
  input: (t) => ({ migrationId: t.globalID({ for: [MigrationRef], required: true, description: 'Which move.' }) }),
  lacking: async ({ migrationId: { id } }, { load }) => {
    if ((await load.channelMigration.load(id)) === null) throw new NotFound('move', id);
  },
  work: ({ migrationId }, { unit }) => withdrawMigration(unit, { migrationId: migrationId.id }),
  read: migration,
});
