import { readNotices, readOwnShare, type MigrationNotice, type OwnShare } from '#commands/migration-notices.ts';
import { CursorTooOld } from '#commands/refusals.ts';
import { builder, globalId } from '../builder.ts';
import { watchNotices, type Notices } from '../notices.ts';
import { promised } from '../promised.ts';
import { MigrationStateEnum, NoticeSurfaceEnum } from './enums.ts';
import { MigrationRef, UserRef } from './refs.ts';
import { AFTER, items, unwrap } from './subscription.ts';

const OwnShareRef = builder.objectRef<OwnShare>('MigrationOwnShare').implement({
  description: 'The viewer’s own conversations in a move, open and closed.',
  fields: (t) => ({
    moved: t.exposeInt('moved', { description: 'That were theirs when they were moved.' }),
    toMove: t.exposeInt('toMove', { description: 'That are theirs and still to be moved.' }),
    unassigned: t.exposeInt('unassigned', { description: 'Of those moved: nobody’s since, for the viewer has no access to the help desk.' }),
  }),
});

const NoticeRef = builder.objectRef<MigrationNotice>('MigrationNotice');

builder.node(NoticeRef, {
  description: 'That a channel is being moved to the help desk. Everybody is told, whatever they have access to; it is there as long as the move runs.',
  id: { resolve: (notice) => notice.migrationId },
  loadOne: async (id, { db }) => (await readNotices(db)).find(({ migrationId }) => migrationId === id) ?? null,
  fields: (t) => ({
    surfaces: t.field({ type: [NoticeSurfaceEnum], description: 'Where it is to be shown.', resolve: () => ['SETTINGS', 'INBOX'] as const }),
    channelId: t.id({ description: 'The global id of the channel, which not everybody sees.', resolve: ({ channelId }) => globalId('Channel', channelId) }),
    channelKey: t.exposeString('channelKey', { description: 'Its key.' }),
    channelName: t.exposeString('channelName', { description: 'Its name, for people.' }),
    since: t.field({ type: 'DateTime', description: 'When the move began.', resolve: ({ since }) => since }),
    by: t.field({ type: UserRef, description: 'Who started it.', resolve: async ({ userId }, _args, { load }) => promised(await load.user.load(userId)) }),
    state: t.field({
      type: MigrationStateEnum,
      description: 'How far it is: RUNNING, for before and after there is no notice.',
      resolve: ({ progress }) => progress.state,
    }),
    found: t.int({
      description: 'All it is to move, as known by now: those of the channel when it began, and what joined it since, without what left.',
      resolve: ({ progress }) => progress.found,
    }),
    moved: t.int({ description: 'Moved by now.', resolve: ({ progress }) => progress.moved }),
    remaining: t.int({ description: 'Still to be moved.', resolve: ({ progress }) => progress.remaining }),
    ratePerSecond: t.float({
      nullable: true,
      description: 'Conversations moved a second since it began, without the time it waited; null: not known yet.',
      resolve: ({ progress }) => progress.ratePerSecond,
    }),
    secondsLeft: t.float({
      nullable: true,
      description: 'Seconds it will take at that rate; null: not known yet.',
      resolve: ({ progress }) => progress.secondsLeft,
    }),
    own: t.field({
      type: OwnShareRef,
      description: 'How the viewer’s own conversations fare.',
      resolve: (notice, _args, { db, viewer }) => readOwnShare(db, notice, viewer.userId),
    }),
    migration: t.field({
      type: MigrationRef,
      nullable: true,
      description: 'The move itself; null to those who are no admin.',
      resolve: ({ migrationId }, _args, { load }) => load.channelMigration.load(migrationId),
    }),
  }),
});

builder.queryField('notices', (t) =>
  t.field({
    type: [NoticeRef],
    description: 'The move that runs, if one does: whatever the viewer’s role and places are.',
    resolve: async (_root, _args, { db }) => [...(await readNotices(db))],
  }),
);

const NoticesRef = builder.objectRef<Notices>('Notices').implement({
  description: 'All notices there are at a moment.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'Given as `after`, the stream goes on behind this item.' }),
    notices: t.field({ type: [NoticeRef], description: 'Each of them; none: no move runs.', resolve: ({ notices }) => [...notices] }),
  }),
});

builder.subscriptionField('notices', (t) =>
  t.field({
    type: NoticesRef,
    description: 'The notices as they are now, and again when that changes, about once a second while a move runs; the last item after its end has none.',
    errors: { types: [CursorTooOld], union: { name: 'NoticesItem', description: 'The notices, or why there are none.' } },
    args: { after: t.arg.string({ description: AFTER }) },
    subscribe: (_root, { after }, context) =>
      items(
        () => watchNotices(context, after),
        (notices) => notices,
      ),
    resolve: (item) => unwrap(item),
  }),
);
