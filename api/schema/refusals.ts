import * as refusals from '#commands/refusals.ts';
import type { Db } from '#db/database.ts';
import { builder, globalId } from '../builder.ts';
import { MoveObstacleRef } from './move-obstacle.ts';

/** Every refusal has these. */
const RefusalRef = builder.interfaceRef<Error>('Refusal').implement({
  description: 'Why something was not done. Nothing has changed then.',
  fields: (t) => ({ message: t.exposeString('message', { description: 'In words, for developers; ids at most, no content.' }) }),
});

const interfaces = [RefusalRef];

builder.objectType(refusals.NotFound, {
  name: 'NotFound',
  description: 'It does not exist, or the viewer may not see it.',
  interfaces,
  fields: (t) => ({ what: t.exposeString('what', { description: 'Which kind of thing: “conversation”.' }) }),
});
builder.objectType(refusals.Forbidden, {
  name: 'Forbidden',
  description: 'The viewer sees it but may not do this.',
  interfaces,
  fields: (t) => ({ needs: t.exposeString('needs', { description: 'What they lack: “the role admin”.' }) }),
});
export const ProblemRef = builder.objectRef<refusals.Problem>('InputProblem').implement({
  description: 'One wrong field.',
  fields: (t) => ({
    path: t.exposeString('path', { description: 'Where, with dots: “settings.smtp.port”.' }),
    message: t.exposeString('message', { description: 'What is wrong with it, for people.' }),
  }),
});
builder.objectType(refusals.InvalidInput, {
  name: 'InvalidInput',
  description: 'The input can not be used; every wrong field is named.',
  interfaces,
  fields: (t) => ({ problems: t.field({ type: [ProblemRef], description: 'Every wrong field.', resolve: (error) => [...error.problems] }) }),
});
builder.objectType(refusals.AddressTaken, {
  name: 'AddressTaken',
  description: 'This address is connected already, or is a user’s own mailbox.',
  interfaces,
  fields: (t) => ({
    channelKey: t.exposeString('channelKey', { nullable: true, description: 'The channel that has it; null: it is a user’s own mailbox.' }),
  }),
});
const ProviderRefusalEnum = builder.enumType('ProviderRefusal', {
  description: 'What a channel’s provider answered.',
  values: {
    REJECTED: { description: 'It said no: trying again can not help until something is changed.' },
    UNAVAILABLE: { description: 'It could not be asked, or wants patience: trying again can help.' },
  } as const,
});
builder.objectType(refusals.ProviderRefused, {
  name: 'ProviderRefused',
  description: 'The channel’s provider said no or could not be asked.',
  interfaces,
  fields: (t) => ({
    code: t.field({ type: ProviderRefusalEnum, description: 'Which of the two.', resolve: (error) => error.code }),
    reason: t.exposeString('reason', { description: 'The provider’s code or a fixed phrase of the plugin’s, for people.' }),
  }),
});
builder.objectType(refusals.AlreadyExists, {
  name: 'AlreadyExists',
  description: 'A name or address that must be unique is in use.',
  interfaces,
  fields: (t) => ({ what: t.exposeString('what', { description: 'Which kind of thing there is already.' }) }),
});
builder.objectType(refusals.ChangedMeanwhile, {
  name: 'ChangedMeanwhile',
  description: 'Somebody else changed it first.',
  interfaces,
  fields: (t) => ({
    what: t.exposeString('what', { description: 'Which kind of thing changed.' }),
    ownerId: t.id({
      nullable: true,
      description: 'Where the owner changed, the global id of who has it now.',
      resolve: (error) => (error.ownerId === null ? null : globalId('User', error.ownerId)),
    }),
  }),
});
const IneligibleReasonEnum = builder.enumType('IneligibleReason', {
  description: 'Why somebody can not be assigned.',
  values: {
    NO_SEAT: { description: 'No paid seat.' },
    NO_ACCESS: { description: 'No access to the place.' },
    DEACTIVATED: { description: 'Deactivated.' },
    UNKNOWN: { description: 'There is no such user or team.' },
    NO_PRIMARY_MEMBER: { description: 'The team has no primary member who can be assigned here.' },
  } as const,
});
const IneligibleRef = builder.objectRef<refusals.IneligibleTarget>('IneligibleTarget').implement({
  description: 'A user or a team that can not be assigned.',
  fields: (t) => ({
    userId: t.id({
      nullable: true,
      description: 'The global id of the user; null: it is a team.',
      resolve: (target) => (target.userId === null ? null : globalId('User', target.userId)),
    }),
    teamId: t.id({
      nullable: true,
      description: 'The global id of the team; null: it is a user.',
      resolve: (target) => (target.teamId === null ? null : globalId('Team', target.teamId)),
    }),
    reason: t.field({ type: IneligibleReasonEnum, description: 'Why not.', resolve: (target) => target.reason }),
  }),
});
builder.objectType(refusals.NotAssignable, {
  name: 'NotAssignable',
  description: 'Users or teams that can not be assigned, each with why.',
  interfaces,
  fields: (t) => ({ targets: t.field({ type: [IneligibleRef], description: 'Each of them.', resolve: (error) => [...error.targets] }) }),
});
builder.objectType(refusals.NotPossible, {
  name: 'NotPossible',
  description: 'The thing is not in a state that allows it, or its channel can not do it.',
  interfaces,
  fields: (t) => ({ reason: t.exposeString('reason', { description: 'A code: CHANNEL_DISCONNECTED, CHANNEL_CANNOT_SEND, HAS_TICKET, …' }) }),
});
builder.objectType(refusals.NoReplyChannel, {
  name: 'NoReplyChannel',
  description: 'The conversation’s channel can not send; answers go through another one, and which is not certain.',
  interfaces,
  fields: (t) => ({
    reason: t.exposeString('reason', {
      description:
        'A code: NONE_CONNECTED, no connected channel that the viewer may use writes to such contacts; CHOOSE_ONE, there are several: name one of the conversation’s reply channels.',
    }),
  }),
});
builder.objectType(refusals.OutsideWindow, {
  name: 'OutsideWindow',
  description: 'The contact wrote too long ago: the channel takes no free words any more. Nothing was written.',
  interfaces,
  fields: (t) => ({
    closedAt: t.field({ type: 'DateTime', description: 'When the window closed.', resolve: (error) => error.closedAt }),
    templates: t.exposeBoolean('templates', { description: 'Whether an approved template may still be sent.' }),
  }),
});
const RefusedFileRef = builder.objectRef<refusals.RefusedFile>('RefusedFile').implement({
  description: 'A file that can not go along.',
  fields: (t) => ({
    uploadId: t.exposeString('uploadId', { description: 'The upload, as it was named.' }),
    code: t.exposeString('code', { description: 'NOT_FOUND, NONE_TAKEN, TYPE_NOT_TAKEN, TOO_MANY, TOO_LARGE or TOO_LARGE_TOGETHER.' }),
    limit: t.float({
      nullable: true,
      description: 'The limit it exceeds, in files or bytes; null: it is refused for something else.',
      resolve: (file) => file.most,
    }),
    reason: t.exposeString('reason', { description: 'Why, for people.' }),
  }),
});
builder.objectType(refusals.FilesRefused, {
  name: 'FilesRefused',
  description: 'Files the channel does not take, or that are no unused uploads of the viewer’s. Nothing was written.',
  interfaces,
  fields: (t) => ({ files: t.field({ type: [RefusedFileRef], description: 'Each of them, with why.', resolve: (error) => [...error.files] }) }),
});
builder.objectType(refusals.IdempotencyKeyReused, {
  name: 'IdempotencyKeyReused',
  description: 'The same idempotency key came with another operation or other arguments.',
  interfaces,
  fields: (t) => ({ operation: t.exposeString('operation', { description: 'The operation it was used for.' }) }),
});
builder.objectType(refusals.CursorTooOld, {
  name: 'CursorTooOld',
  description: 'The feed does not reach back to this cursor, or it is not one of ours: read the state anew and go on without a cursor.',
  interfaces,
});
builder.objectType(refusals.ChannelNotMovable, {
  name: 'ChannelNotMovable',
  description: 'The channel can not be moved to the help desk as it is now. Nothing has changed.',
  interfaces,
  fields: (t) => ({ obstacles: t.field({ type: [MoveObstacleRef], description: 'All that stands in the way.', resolve: ({ obstacles }) => [...obstacles] }) }),
});
builder.objectType(refusals.MigrationAlreadyRunning, {
  name: 'MigrationAlreadyRunning',
  description: 'A channel is being moved, and one is moved at a time. Everybody is told which, whatever they have access to.',
  interfaces,
  fields: (t) => ({
    migrationId: t.id({ description: 'The global id of the move that runs.', resolve: ({ migrationId }) => globalId('ChannelMigration', migrationId) }),
    channelId: t.id({ description: 'The global id of its channel.', resolve: ({ channelId }) => globalId('Channel', channelId) }),
    channelKey: t.string({ description: 'The channel’s key.', resolve: async ({ channelId }, _args, { db }) => (await channelNamed(db, channelId)).key }),
    channelName: t.string({ description: 'Its name, for people.', resolve: async ({ channelId }, _args, { db }) => (await channelNamed(db, channelId)).name }),
  }),
});
builder.objectType(refusals.AlreadyStarted, {
  name: 'AlreadyStarted',
  description: 'The move has begun: it can neither be withdrawn nor stopped nor undone.',
  interfaces,
  fields: (t) => ({
    migrationId: t.id({ description: 'The global id of the move.', resolve: ({ migrationId }) => globalId('ChannelMigration', migrationId) }),
  }),
});

/** Told whoever asks: a channel is never removed. */
async function channelNamed(db: Db, id: string) {
  return db.selectFrom('channel').select(['key', 'name']).where('id', '=', id).executeTakeFirstOrThrow();
}
