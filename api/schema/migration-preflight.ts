import type { ConversationsToMove, MoveSample, OpenAndClosed, OwnersWithoutAccess, OwnerWithoutAccess } from '#commands/migration-census.ts';
import type { MoveDuration } from '#commands/migration-duration.ts';
import type { MoveObstacle } from '#commands/migration-obstacles.ts';
import {
  preflight,
  PREFLIGHT_PARTS,
  type AlsoMove,
  type InboundVolume,
  type Preflight,
  type PreflightInput,
  type PreflightPart,
  type RoutingLack,
  type SlaPreflight,
} from '#commands/migration-preflight.ts';
import type { Irreversible } from '#commands/migration-words.ts';
import { Forbidden, NotFound } from '#commands/refusals.ts';
import { VOLUME_HOURS, type HourCount } from '#domain/quiet-window.ts';
import { viewerNow } from '../access.ts';
import { builder, globalId, isUuid } from '../builder.ts';
import type { ApiContext } from '../context.ts';
import { LIMITS } from '../limits.ts';
import { promised } from '../promised.ts';
import { reaches, ROLE_NAMES } from '../roles.ts';
import { LackEnum, MigrationHistoryEnum } from './enums.ts';
import { MoveObstacleRef } from './move-obstacle.ts';
import { ChannelRef, ChatflowRef, ConversationRef, MigrationRef, StatusRef, TeamRef, TicketRef, UserRef } from './refs.ts';
import { unwrap } from './subscription.ts';

/** Conversations that are shown, with what becomes of them, at the most. */
const SAMPLES = 20;
/** What is shown of a list that says how many there are. */
const FIRST = { defaultValue: LIMITS.defaultPageSize, description: `How many, at most ${LIMITS.pageSize}.` } as const;
const top = <Item>(list: readonly Item[], first: number | null | undefined): Item[] =>
  list.slice(0, Math.min(Math.max(first ?? LIMITS.defaultPageSize, 0), LIMITS.pageSize));
const cost = ({ first }: { readonly first?: number | null | undefined }) => ({ field: 1, multiplier: first ?? LIMITS.defaultPageSize });

const EligibilityRef = builder.objectRef<readonly MoveObstacle[]>('PreflightEligibility').implement({
  description: 'Whether a channel can be moved.',
  fields: (t) => ({
    movable: t.boolean({ description: 'Nothing stands in the way.', resolve: (obstacles) => obstacles.length === 0 }),
    obstacles: t.field({ type: [MoveObstacleRef], description: 'All that does.', resolve: (obstacles) => [...obstacles] }),
  }),
});

const OpenAndClosedRef = builder.objectRef<OpenAndClosed>('PreflightOpenAndClosed').implement({
  description: 'A number of conversations, by whether they are open.',
  fields: (t) => ({
    open: t.exposeInt('open', { description: 'Open ones.' }),
    closed: t.exposeInt('closed', { description: 'Closed ones.' }),
  }),
});

const ConversationsRef = builder.objectRef<ConversationsToMove>('PreflightConversations').implement({
  description: 'The conversations that would be moved: those whose current channel it is and that live in an inbox.',
  fields: (t) => ({
    total: t.exposeInt('total', { description: 'All of them.' }),
    withTicket: t.field({ type: OpenAndClosedRef, description: 'With a ticket, which stays as it is.', resolve: (one) => one.withTicket }),
    withoutTicket: t.field({ type: OpenAndClosedRef, description: 'Without one: they get one.', resolve: (one) => one.withoutTicket }),
  }),
});

const OwnerRef = builder.objectRef<OwnerWithoutAccess>('PreflightOwner').implement({
  description: 'An owner who has no access to the help desk.',
  fields: (t) => ({
    user: t.field({ type: UserRef, description: 'Who.', resolve: async ({ userId }, _args, { load }) => promised(await load.user.load(userId)) }),
    becomeUnassigned: t.exposeInt('becomeUnassigned', { description: 'New tickets that would be nobody’s.' }),
    keptTickets: t.exposeInt('keptTickets', { description: 'Tickets that they own, could no longer see, and would own all the same.' }),
  }),
});

const OwnersRef = builder.objectRef<OwnersWithoutAccess>('PreflightOwners').implement({
  description: 'Owners who have no access to the help desk: give it to them before, or know what becomes of theirs.',
  fields: (t) => ({
    becomeUnassigned: t.exposeInt('becomeUnassigned', { description: 'New tickets that would be nobody’s, of all of them.' }),
    keptTickets: t.exposeInt('keptTickets', { description: 'Tickets that would keep such an owner, of all of them.' }),
    count: t.int({ description: 'How many owners these are.', resolve: ({ owners }) => owners.length }),
    owners: t.field({
      type: [OwnerRef],
      description: 'Those with the most new tickets first.',
      args: { first: t.arg.int(FIRST) },
      complexity: cost,
      resolve: ({ owners }, { first }) => top(owners, first),
    }),
  }),
});

const AgentsRef = builder.objectRef<readonly string[]>('PreflightAgents').implement({
  description: 'Users who see the channel’s conversations where it lives now and would not in the help desk.',
  fields: (t) => ({
    count: t.int({ description: 'How many.', resolve: (ids) => ids.length }),
    users: t.field({
      type: [UserRef],
      description: 'Who.',
      args: { first: t.arg.int(FIRST) },
      complexity: cost,
      resolve: async (ids, { first }, { load }) => (await Promise.all(top(ids, first).map((id) => load.user.load(id)))).filter((user) => user !== null),
    }),
  }),
});

const WhereEnum = builder.enumType('PreflightNamedBy', {
  description: 'What names somebody.',
  values: {
    RULE: { description: 'The channel’s routing rule.' },
    DEFAULT_USER: { description: 'The same, as its default user.' },
    HAND_OFF: { description: 'A chatflow’s step that hands off.' },
    SETTINGS: { description: 'The settings of the channel.' },
  } as const,
});

const LackRef = builder.objectRef<RoutingLack>('PreflightRoutingLack').implement({
  description: 'A user or a team that is named and that the help desk could give nothing.',
  fields: (t) => ({
    where: t.field({ type: WhereEnum, description: 'By what they are named.', resolve: ({ where }) => where }),
    chatflow: t.field({
      type: ChatflowRef,
      nullable: true,
      description: 'Of HAND_OFF.',
      resolve: ({ chatflowId }, _args, { load }) => (chatflowId === null ? null : load.chatflow.load(chatflowId)),
    }),
    step: t.exposeString('step', { nullable: true, description: 'Of HAND_OFF: the id of the step.' }),
    user: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who; with `team`: as a primary member of it. Null: it is about the team, or there is no such user.',
      resolve: ({ userId }, _args, { load }) => (isUuid(userId) ? load.user.load(userId) : null),
    }),
    team: t.field({
      type: TeamRef,
      nullable: true,
      description: 'The team that is named; null: a user is, or there is no such team.',
      resolve: ({ teamId }, _args, { load }) => (isUuid(teamId) ? load.team.load(teamId) : null),
    }),
    why: t.field({ type: LackEnum, description: 'Why it could give them nothing.', resolve: ({ lack }) => lack }),
  }),
});

const RoutingRef = builder.objectRef<readonly RoutingLack[]>('PreflightRouting').implement({
  description: 'Whom the channel’s rule, chatflows and settings name, as far as the help desk could give them nothing. The rule moves as it is.',
  fields: (t) => ({
    count: t.int({ description: 'How many.', resolve: (lacks) => lacks.length }),
    lacks: t.field({
      type: [LackRef],
      description: 'Each of them.',
      args: { first: t.arg.int(FIRST) },
      complexity: cost,
      resolve: (lacks, { first }) => top(lacks, first),
    }),
  }),
});

const SlaWarningEnum = builder.enumType('PreflightSlaWarning', {
  description: 'What an admin should know of the deadlines.',
  values: { NO_SLA_POLICY: { description: 'There is no SLA policy: no moved ticket gets a deadline.' } } as const,
});

const SlaRef = builder.objectRef<SlaPreflight>('PreflightSla').implement({
  description: 'Which deadlines moved tickets would get.',
  fields: (t) => ({
    policies: t.exposeInt('policies', { description: 'SLA policies that there are.' }),
    warning: t.field({ type: SlaWarningEnum, nullable: true, description: 'Null: there is nothing to warn of.', resolve: ({ warning }) => warning }),
  }),
});

const AlsoMoveRef = builder.objectRef<AlsoMove>('PreflightAlsoMove').implement({
  description: 'A channel by which agents answered what came in on this one: its conversations would stay in an inbox.',
  fields: (t) => ({
    channel: t.field({
      type: ChannelRef,
      description: 'Which channel.',
      resolve: async ({ channelId }, _args, { load }) => promised(await load.channel.load(channelId)),
    }),
    conversations: t.exposeInt('conversations', { description: 'Conversations that began on this one and go on there.' }),
  }),
});

const HourRef = builder.objectRef<HourCount>('PreflightHour').implement({
  description: 'What came in within an hour.',
  fields: (t) => ({
    at: t.field({ type: 'DateTime', description: 'When the hour began.', resolve: ({ at }) => at }),
    messages: t.int({ description: 'Messages of contacts.', resolve: ({ count }) => count }),
  }),
});

const VolumeRef = builder.objectRef<InboundVolume>('PreflightVolume').implement({
  description: 'When the channel is quiet.',
  fields: (t) => ({
    hours: t.field({ type: [HourRef], description: `The last ${VOLUME_HOURS} full hours, four weeks, the oldest first.`, resolve: ({ hours }) => [...hours] }),
    quietestStart: t.field({
      type: 'DateTime',
      description: 'The full hour of the next seven days from which on, for as long as the move takes, the fewest messages came in these weeks.',
      resolve: ({ quiet }) => quiet.startAt,
    }),
    expectedMessages: t.float({ description: 'Messages to be expected from then until it is over.', resolve: ({ quiet }) => quiet.expected }),
  }),
});

const BasisEnum = builder.enumType('PreflightDurationBasis', {
  description: 'What a duration is reckoned by.',
  values: {
    LAST_MOVE: { description: 'The rate of the last move.' },
    MEASURED: { description: 'The rate measured on a thousand of the conversations just now, in temporary tables; the real ones take longer.' },
    NOTHING_TO_MOVE: { description: 'Nothing: there are no conversations to move.' },
  } as const,
});

const DurationRef = builder.objectRef<MoveDuration>('PreflightDuration').implement({
  description: 'How long the move would take, were it to start now and nothing else to happen.',
  fields: (t) => ({
    basis: t.field({ type: BasisEnum, description: 'What it is reckoned by.', resolve: ({ basis }) => basis }),
    migration: t.field({
      type: MigrationRef,
      nullable: true,
      description: 'Of LAST_MOVE: that move.',
      resolve: ({ migrationId }, _args, { load }) => (migrationId === null ? null : load.channelMigration.load(migrationId)),
    }),
    ratePerSecond: t.exposeFloat('ratePerSecond', { nullable: true, description: 'Conversations a second; null: there are none to move.' }),
    seconds: t.float({ description: 'How long it would take.', resolve: ({ estimatedMs }) => estimatedMs / 1_000 }),
  }),
});

const SampleOwnerEnum = builder.enumType('PreflightSampleOwner', {
  description: 'Whose a conversation is.',
  values: {
    WITH_ACCESS: { description: 'Somebody’s with access to the help desk.' },
    WITHOUT_ACCESS: { description: 'Somebody’s without.' },
    NOBODY: { description: 'Nobody’s.' },
  } as const,
});

const SampleWhyEnum = builder.enumType('PreflightSampleWhy', {
  description: 'Why a moved conversation has the owner it has.',
  values: {
    TICKET_KEPT: { description: 'It has a ticket, which stays as it is, its owner with it.' },
    OWNER_HAS_ACCESS: { description: 'Its owner has access to the help desk.' },
    OWNER_WITHOUT_ACCESS: { description: 'Its owner has none, so it is nobody’s.' },
    NOBODY_HAD_IT: { description: 'It was nobody’s.' },
  } as const,
});

const SampleRef = builder.objectRef<MoveSample>('PreflightSample').implement({
  description: 'A conversation that there is, and what would become of it.',
  fields: (t) => ({
    conversationId: t.id({ description: 'Its global id.', resolve: ({ conversationId }) => globalId('Conversation', conversationId) }),
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'The conversation; null: not to be seen.',
      resolve: ({ conversationId }, _args, { load }) => load.conversation.load(conversationId),
    }),
    open: t.exposeBoolean('open', { description: 'Whether it is open.' }),
    hasTicket: t.boolean({ description: 'Whether it has a ticket, which is kept; otherwise it gets one.', resolve: ({ ticketId }) => ticketId !== null }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The ticket that is kept; null: it gets one, or not to be seen.',
      resolve: ({ ticketId }, _args, { load }) => (ticketId === null ? null : load.ticket.load(ticketId)),
    }),
    owner: t.field({ type: SampleOwnerEnum, description: 'Whose it is now.', resolve: ({ owner }) => owner }),
    ownerNow: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who that is; null: nobody.',
      resolve: ({ ownerId }, _args, { load }) => (ownerId === null ? null : load.user.load(ownerId)),
    }),
    ownerThen: t.field({
      type: UserRef,
      nullable: true,
      description: 'Whose conversation and ticket would be; null: nobody’s.',
      resolve: ({ becomes }, _args, { load }) => (becomes.ownerId === null ? null : load.user.load(becomes.ownerId)),
    }),
    why: t.field({ type: SampleWhyEnum, description: 'Why that one.', resolve: ({ becomes }) => becomes.why }),
    statusThen: t.field({
      type: StatusRef,
      nullable: true,
      description: 'The status its ticket would have; null: none was chosen for such conversations.',
      resolve: ({ becomes }, _args, { load }) => (becomes.statusId === null ? null : load.status.load(becomes.statusId)),
    }),
    ticketCreatedAt: t.field({ type: 'DateTime', description: 'The date of creation its ticket would have.', resolve: ({ createdAt }) => createdAt }),
    sentence: t.exposeString('sentence', { description: 'All of it in a sentence, for people; with ids and without names.' }),
  }),
});

const IrreversibleEnum = builder.enumType('PreflightIrreversibleCode', {
  description: 'What can not be undone.',
  values: {
    NOT_STOPPED: { description: 'The move itself.' },
    STAYS_IN_HELP_DESK: { description: 'That the channel lives in the help desk.' },
    HISTORY_ASKED_ONCE: { description: 'That conversations stay behind.' },
    HELP_DESK_ACCESS: { description: 'Who sees what is moved.' },
    TICKETS_MADE: { description: 'The tickets that are made.' },
    ADDRESS_BEGINS_ANEW: { description: 'That the address, elsewhere, is a new channel.' },
  } as const,
});

const IrreversibleRef = builder.objectRef<Irreversible>('PreflightIrreversible').implement({
  description: 'One thing that nobody can take back once the move has begun.',
  fields: (t) => ({
    code: t.field({ type: IrreversibleEnum, description: 'What.', resolve: ({ code }) => code }),
    text: t.exposeString('text', { description: 'In a sentence, for people.' }),
  }),
});

/** Of a stream’s item one part alone has a value. */
interface Shown {
  readonly parts: Preflight;
  readonly only: PreflightPart | null;
}

const part =
  <Part extends PreflightPart>(name: Part) =>
  ({ parts, only }: Shown): ReturnType<Preflight[Part]> | null => {
    // A union of functions is called with what each takes: nothing.
    return only === null || only === name ? (parts[name]() as ReturnType<Preflight[Part]>) : null;
  };
const list = async <Item>(read: Promise<readonly Item[]> | null): Promise<Item[] | null> => (read === null ? null : [...(await read)]);

const PreflightRef = builder.objectRef<Shown>('ChannelMigrationPreflight').implement({
  description:
    'What a move would do, before anything happens. Each part is read when it is asked for; it is null where it could not be read in time, or, in channelMigrationPreflightProgress, where the item tells another.',
  fields: (t) => ({
    eligibility: t.field({ type: EligibilityRef, nullable: true, description: 'Whether it can be moved, or why not.', resolve: part('eligibility') }),
    irreversible: t.field({
      type: [IrreversibleRef],
      nullable: true,
      description: 'What can not be undone.',
      resolve: (shown) => list(part('irreversible')(shown)),
    }),
    agents: t.field({ type: AgentsRef, nullable: true, description: 'Who would no longer see its conversations.', resolve: part('agents') }),
    routing: t.field({ type: RoutingRef, nullable: true, description: 'Whom its rule and steps name in vain.', resolve: part('routing') }),
    sla: t.field({ type: SlaRef, nullable: true, description: 'Which deadlines there would be.', resolve: part('sla') }),
    alsoMove: t.field({
      type: [AlsoMoveRef],
      nullable: true,
      description: 'Channels that are worth moving too.',
      resolve: (shown) => list(part('alsoMove')(shown)),
    }),
    conversations: t.field({ type: ConversationsRef, nullable: true, description: 'What would be moved.', resolve: part('conversations') }),
    owners: t.field({ type: OwnersRef, nullable: true, description: 'Whose conversations would become nobody’s.', resolve: part('owners') }),
    samples: t.field({
      type: [SampleRef],
      nullable: true,
      complexity: { field: 1, multiplier: SAMPLES },
      description: `Up to ${SAMPLES} conversations across the cases, with what each would become and why.`,
      resolve: (shown) => list(part('samples')(shown)),
    }),
    duration: t.field({ type: DurationRef, nullable: true, description: 'How long it would take.', resolve: part('duration') }),
    volume: t.field({ type: VolumeRef, nullable: true, description: 'When it would disturb the least.', resolve: part('volume') }),
  }),
});

builder.queryField('channelMigrationPreflight', (t) =>
  t.field({
    type: PreflightRef,
    description: 'What the move of a channel to the help desk would do. Nothing is changed by it. Needs the role admin.',
    errors: { types: [NotFound, Forbidden], union: { name: 'ChannelMigrationPreflightResult', description: 'What a move would do, or why that is not told.' } },
    args: {
      channelId: t.arg.globalID({ for: [ChannelRef], required: true, description: 'Which channel.' }),
      history: t.arg({ type: MigrationHistoryEnum, description: 'Which of its conversations are to go along; ALL unless given.' }),
      openStatusId: t.arg.globalID({ for: [StatusRef], description: 'The status of the tickets that open conversations are to get, if it is chosen yet.' }),
      closedStatusId: t.arg.globalID({ for: [StatusRef], description: 'That of closed ones.' }),
    },
    resolve: async (_root, { channelId, history, openStatusId, closedStatusId }, context) => ({
      parts: await foretell(context, { channelId: channelId.id, history, openStatusId: openStatusId?.id, closedStatusId: closedStatusId?.id }),
      only: null,
    }),
  }),
);

/** Throws `NotFound` for a channel that the viewer does not see, `Forbidden` for another unless they are an admin. */
async function foretell({ db, deps, load, viewer }: ApiContext, input: Asked): Promise<Preflight> {
  if ((await load.channel.load(input.channelId)) === null) throw new NotFound('channel', input.channelId);
  if (!reaches(viewer.role, 'ADMIN')) throw new Forbidden(`the role ${ROLE_NAMES.ADMIN}`);
  const { channelId, history = null, openStatusId = null, closedStatusId = null } = input;
  return preflight(db, deps, { channelId, history, openStatusId, closedStatusId });
}

type Asked = { readonly [Field in keyof PreflightInput]: PreflightInput[Field] | undefined } & { readonly channelId: string };

const PartEnum = builder.enumType('PreflightPart', {
  description: 'A part of a preflight, named as its field is.',
  values: {
    ELIGIBILITY: { value: 'eligibility', description: 'The field `eligibility`.' },
    IRREVERSIBLE: { value: 'irreversible', description: 'The field `irreversible`.' },
    AGENTS: { value: 'agents', description: 'The field `agents`.' },
    ROUTING: { value: 'routing', description: 'The field `routing`.' },
    SLA: { value: 'sla', description: 'The field `sla`.' },
    ALSO_MOVE: { value: 'alsoMove', description: 'The field `alsoMove`.' },
    CONVERSATIONS: { value: 'conversations', description: 'The field `conversations`.' },
    OWNERS: { value: 'owners', description: 'The field `owners`.' },
    SAMPLES: { value: 'samples', description: 'The field `samples`.' },
    DURATION: { value: 'duration', description: 'The field `duration`.' },
    VOLUME: { value: 'volume', description: 'The field `volume`.' },
  } as const,
});

interface PartItem extends Shown {
  readonly only: PreflightPart;
  readonly done: number;
}

const PartItemRef = builder.objectRef<PartItem>('PreflightPartItem').implement({
  description: 'A part of a preflight that is there.',
  fields: (t) => ({
    part: t.field({ type: PartEnum, description: 'Which part.', resolve: ({ only }) => only }),
    done: t.exposeInt('done', { description: 'How many parts are there now, this one included.' }),
    of: t.int({ description: 'How many there are to be.', resolve: () => PREFLIGHT_PARTS.length }),
    preflight: t.field({ type: PreflightRef, description: 'The part, in the field of its name; all others are null.', resolve: (item) => item }),
  }),
});

builder.subscriptionField('channelMigrationPreflightProgress', (t) =>
  t.field({
    type: PartItemRef,
    description:
      'The same as channelMigrationPreflight, part by part as each is there, what takes long last. It ends with the last part. Needs the role admin.',
    errors: {
      types: [NotFound, Forbidden],
      union: { name: 'ChannelMigrationPreflightProgressItem', description: 'A part of what a move would do, or why that is not told.' },
    },
    args: {
      channelId: t.arg.globalID({ for: [ChannelRef], required: true, description: 'Which channel.' }),
      history: t.arg({ type: MigrationHistoryEnum, description: 'Which of its conversations are to go along; ALL unless given.' }),
      openStatusId: t.arg.globalID({ for: [StatusRef], description: 'The status of the tickets that open conversations are to get, if it is chosen yet.' }),
      closedStatusId: t.arg.globalID({ for: [StatusRef], description: 'That of closed ones.' }),
    },
    subscribe: (_root, { channelId, history, openStatusId, closedStatusId }, context) =>
      inParts(context, { channelId: channelId.id, history, openStatusId: openStatusId?.id, closedStatusId: closedStatusId?.id }),
    resolve: (item) => unwrap(item),
  }),
);

/** One part after the other. It ends where the viewer may no longer be told; what can not be read is told with the item that should have it. */
async function* inParts(context: ApiContext, asked: Asked): AsyncGenerator<PartItem | Error, void, undefined> {
  let parts: Preflight;
  try {
    parts = await foretell(context, asked);
  } catch (error) {
    if (!(error instanceof NotFound || error instanceof Forbidden)) throw error;
    yield error;
    return;
  }
  for (const [index, only] of PREFLIGHT_PARTS.entries()) {
    await parts[only]().catch(() => undefined);
    const viewer = await viewerNow(context.db, context.viewer);
    if (context.signal.aborted || viewer === null || !reaches(viewer.role, 'ADMIN')) return;
    context.refresh(viewer);
    yield { parts, only, done: index + 1 };
  }
}
