import { InvalidInput, NotFound } from '#commands/refusals.ts';
import { previewRouting } from '#commands/routing-preview.ts';
import { EXPLAINED, type CandidateNote, type CapacityLimit } from '#domain/routing.ts';
import { explainInWords, type StoredExplanation } from '#domain/routing-words.ts';
import { builder } from '../builder.ts';
import { PriorityEnum } from './enums.ts';
import { ChannelRef, ContactRef, ConversationRef, DecisionRef, PipelineRef, SkillRef, TicketRef, UserRef } from './refs.ts';

const LimitRef = builder.objectRef<CapacityLimit>('RoutingLimit').implement({
  description: 'A limit on the open tickets of a candidate.',
  fields: (t) => ({
    of: t.string({ description: 'Which tickets it counts: total, or those of the channel’s group: voice, messaging, written.', resolve: (limit) => limit.of }),
    open: t.exposeInt('open', { description: 'Open tickets that were theirs.' }),
    limit: t.exposeInt('limit', { description: 'From how many on they get no other.' }),
  }),
});

const CandidateRef = builder.objectRef<CandidateNote>('RoutingCandidate').implement({
  description: 'Somebody the rule names or finds, and how they fared.',
  fields: (t) => ({
    user: t.field({ type: UserRef, nullable: true, description: 'Who.', resolve: (note, _args, { load }) => load.user.load(note.userId) }),
    outcome: t.string({ description: 'CHOSEN, ELIGIBLE or LEFT_OUT.', resolve: (note) => note.outcome }),
    reason: t.string({
      nullable: true,
      description:
        'Why they were left out: DEACTIVATED, NO_SEAT, NO_ACCESS, AWAY, AT_CAPACITY, MISSING_SKILL, NOT_RECOGNISED (the contact whose owner they are); null: they were not.',
      resolve: (note) => note.reason,
    }),
    as: t.string({ description: 'Why they were considered: NAMED, OWNER, DEFAULT_USER.', resolve: (note) => note.as }),
    open: t.exposeInt('open', { nullable: true, description: 'Open conversations and tickets that were theirs; null: not compared.' }),
    active: t.exposeBoolean('active', {
      nullable: true,
      description: 'Whether they had asked for something of the place in the last two minutes; null: not compared.',
    }),
    lastAssignedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When they had last been given something; null: never, or not compared.',
      resolve: ({ lastAssignedAt }) => (lastAssignedAt === null ? null : new Date(lastAssignedAt)),
    }),
    limits: t.field({
      type: [LimitRef],
      description: 'Their limits, and what they owned of each; none: they have none.',
      resolve: ({ limits = [] }) => limits,
    }),
    missingSkills: t.field({
      type: [SkillRef],
      description: 'Of the skills that were asked for, those they lack.',
      resolve: async ({ missing = [] }, _args, { load }) => (await Promise.all(missing.map((id) => load.skill.load(id)))).filter((skill) => skill !== null),
    }),
    lastTurn: t.int({
      nullable: true,
      description: 'Round robin: the number of their last turn, counted over all members; null: they had never had one, or it was not compared.',
      resolve: ({ turn }) => turn?.last ?? null,
    }),
    served: t.boolean({
      nullable: true,
      description: 'Round robin: whether they had had their turn of the running cycle; null: not compared.',
      resolve: ({ turn }) => turn?.served ?? null,
    }),
  }),
});

interface LeftOut {
  readonly reason: string;
  readonly count: number;
}

const LeftOutRef = builder.objectRef<LeftOut>('RoutingLeftOut').implement({
  description: 'How many were left out for one reason, those who are not listed one by one too.',
  fields: (t) => ({
    reason: t.exposeString('reason', { description: 'As in RoutingCandidate.reason.' }),
    count: t.exposeInt('count', { description: 'How many.' }),
  }),
});

/** What a field costs that holds all candidates: an explanation is as long as its longest list, each of its notes about half a field. */
const WHOLE = 25;
const EACH_CANDIDATE = { field: 1, multiplier: EXPLAINED } as const;

const DECIDED_BY =
  'What decided between the chosen and the next: OPEN, ACTIVE, LAST_ASSIGNED (least busy), TURN (round robin), ID (either), RANDOM, ONLY_ONE, OWNER, DEFAULT_USER; null: nobody was chosen, or not known.';

builder.node(DecisionRef, {
  description: 'One automatic routing decision; it is kept with all that it rested on.',
  id: { resolve: (decision) => decision.id },
  loadOne: (id, { load }) => load.decision.load(id),
  fields: (t) => ({
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'What was decided on; null: a ticket without a conversation.',
      resolve: (decision, _args, { load }) => (decision.conversation_id === null ? null : load.conversation.load(decision.conversation_id)),
    }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'What was decided on; null: a conversation without a ticket.',
      resolve: (decision, _args, { load }) => (decision.ticket_id === null ? null : load.ticket.load(decision.ticket_id)),
    }),
    chosen: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who got it; null: nobody.',
      resolve: (decision, _args, { load }) => (decision.chosen_user_id === null ? null : load.user.load(decision.chosen_user_id)),
    }),
    outcome: t.string({ description: 'ASSIGNED, RULE_IS_NOBODY, NOBODY_ELIGIBLE or NO_OWNER.', resolve: ({ explanation }) => explanation.outcome }),
    decidedBy: t.string({ nullable: true, description: DECIDED_BY, resolve: ({ explanation }) => explanation.decidedBy ?? null }),
    eligible: t.int({ description: 'How many could have got it.', resolve: ({ explanation }) => explanation.eligible }),
    words: t.string({ description: 'The same in one sentence, by ids of rows.', resolve: ({ explanation }) => explainInWords(explanation) }),
    explanation: t.field({
      type: 'JSONObject',
      complexity: WHOLE,
      description: 'All of it, as it was decided, by ids of rows (not global ids): the rule, the numbers compared, counts of those left out by reason.',
      resolve: ({ explanation }) => ({ ...explanation }),
    }),
    candidates: t.field({
      type: [CandidateRef],
      complexity: EACH_CANDIDATE,
      description:
        'The chosen, then the eligible, then who was left out, the nearest to getting it first: MISSING_SKILL, AT_CAPACITY, AWAY, NO_ACCESS and so on. At most 50.',
      resolve: ({ explanation }) => explanation.candidates ?? [],
    }),
    leftOut: t.field({ type: [LeftOutRef], description: 'Everybody who was left out, counted by reason.', resolve: ({ explanation }) => counted(explanation) }),
    decidedAt: t.field({ type: 'DateTime', description: 'When it was decided.', resolve: (decision) => decision.decided_at }),
  }),
});

const PreviewRef = builder.objectRef<StoredExplanation>('RoutingPreview').implement({
  description: 'Who would get a channel’s next conversation, or a ticket.',
  fields: (t) => ({
    chosen: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who would get it; null: nobody, or one of the eligible at random.',
      resolve: ({ ownerId }, _args, { load }) => (ownerId === null ? null : load.user.load(ownerId)),
    }),
    outcome: t.string({
      description: 'ASSIGNED, RULE_IS_NOBODY, NOBODY_ELIGIBLE or NO_OWNER; CHANNEL_OFF: the channel is switched off or disconnected, so nobody gets anything.',
      resolve: ({ outcome }) => outcome,
    }),
    decidedBy: t.string({ nullable: true, description: DECIDED_BY, resolve: ({ decidedBy }) => decidedBy ?? null }),
    eligible: t.int({ description: 'How many could get it.', resolve: ({ eligible }) => eligible }),
    words: t.string({ description: 'The same in one sentence, by ids of rows.', resolve: (explanation) => explainInWords(explanation) }),
    explanation: t.field({
      type: 'JSONObject',
      complexity: WHOLE,
      description: 'All of it, as a decision would store it.',
      resolve: (explanation) => ({ ...explanation }),
    }),
    candidates: t.field({
      type: [CandidateRef],
      complexity: EACH_CANDIDATE,
      description: 'Who would be chosen, then the eligible, then who would be left out, in the order of RoutingDecision.candidates: at most 50.',
      resolve: ({ candidates = [] }) => candidates,
    }),
    leftOut: t.field({ type: [LeftOutRef], description: 'Everybody who would be left out, counted by reason.', resolve: counted }),
  }),
});

builder.queryField('previewRouting', (t) =>
  t.field({
    type: PreviewRef,
    description:
      'Who would get the next conversation of a channel now, or a ticket that there is if it were decided now, and why. Nothing is assigned. Give one of `channelId` and `ticketId`.',
    errors: {
      types: [NotFound, InvalidInput],
      union: { name: 'PreviewRoutingResult', description: 'What previewRouting answers: the decision, or why there is none.' },
    },
    args: {
      channelId: t.arg.globalID({ for: [ChannelRef], description: 'Of which channel the next conversation.' }),
      ticketId: t.arg.globalID({
        for: [TicketRef],
        description: 'This very ticket, as it stands: by the rule, channel and contact of its conversation, with its pipeline, priority and properties.',
      }),
      contactId: t.arg.globalID({
        for: [ContactRef],
        description:
          'Of a channel, for CONTACT_OWNER: of this contact, taken as recognised where the channel can recognise anybody (a page into which addresses are typed can not); none: of somebody unknown.',
      }),
      pipelineId: t.arg.globalID({ for: [PipelineRef], description: 'Of a channel: the pipeline of the ticket, in place of the channel’s default.' }),
      priority: t.arg({ type: PriorityEnum, description: 'Of a channel: the priority of the ticket, in place of the channel’s default.' }),
      properties: t.arg({
        type: 'JSONObject',
        description: 'Of a channel: the properties of the ticket, in place of the channel’s defaults, to see which skills would be asked for.',
      }),
    },
    complexity: 50,
    resolve: async (_root, { channelId, ticketId, contactId, pipelineId, ...facts }, { db, deps, load }) => {
      if (channelId != null && (await load.channel.load(channelId.id)) === null) throw new NotFound('channel', channelId.id);
      if (ticketId != null && (await load.ticket.load(ticketId.id)) === null) throw new NotFound('ticket', ticketId.id);
      if (contactId != null && (await load.contact.load(contactId.id)) === null) throw new NotFound('contact', contactId.id);
      const ids = { channelId: channelId?.id, ticketId: ticketId?.id, contactId: contactId?.id, pipelineId: pipelineId?.id };
      return (await previewRouting(db, deps.plugins, { ...ids, ...facts })).explanation;
    },
  }),
);

function counted({ leftOut }: StoredExplanation): LeftOut[] {
  return Object.entries(leftOut).map(([reason, count]) => ({ reason, count }));
}
