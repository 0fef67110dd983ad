import type { Plugin } from '@trunkline/channel-sdk';
import type { Db } from '#db/database.ts';
import type { Priority } from '#db/schema.ts';
import { decideOwner, foretold, type Candidate, type Decision } from '#domain/routing.ts';
import type { TicketFacts } from '#domain/conditions.ts';
import { groupedWith } from './capacity.ts';
import type { OwnedBy } from './contact-owner.ts';
import { InvalidInput, NotFound, type Problem } from './refusals.ts';
import { noRule, readCandidates, readRule, withSkillRule } from './routing.ts';
import { flipDueNow } from './user-availability.ts';

/** Of what is asked who would get it: a channel's next conversation, or a ticket that there is. */
export interface PreviewInput {
  /** With a ticket it may be left out. */
  readonly channelId?: string | null | undefined;
  /** This very ticket, if it were decided now: with its own contact, pipeline, priority and properties. */
  readonly ticketId?: string | null | undefined;
  /** For *contact owner*: of this contact, taken as recognised where the channel's plugin can recognise anybody; none: of somebody unknown. */
  readonly contactId?: string | null | undefined;
  /** In place of the channel's defaults, so that skill rules can be tried. */
  readonly priority?: Priority | null | undefined;
  readonly pipelineId?: string | null | undefined;
  readonly properties?: Readonly<Record<string, unknown>> | null | undefined;
}

/**
 * Who would get it now, and why, without assigning anything or waiting for anybody (ROUTE-14). Of several at random it names none; while the channel is
 * off nobody gets it. Throws `NotFound`, `InvalidInput`.
 */
export async function previewRouting(db: Db, plugins: readonly Plugin[], input: PreviewInput): Promise<Decision> {
  const about = input.ticketId == null ? await nextOf(db, plugins, input) : await ticketOf(db, input.ticketId, input);
  await flipDueNow(db);
  const rule = withSkillRule(about.ruleOf === null ? await noRule(db) : await readRule(db, about.ruleOf), about.facts);
  const { placeId, of } = about;
  const pool = await readCandidates(db, plugins, rule, { placeId, grouped: groupedWith(plugins, about.plugin), of });
  const candidates = about.recognisable ? pool.candidates : pool.candidates.map(unrecognised);
  return foretold(decideOwner(rule, candidates, rule.now, 0, pool.further), { off: about.off });
}

interface About {
  readonly placeId: string;
  readonly plugin: string | null;
  /** Null: it came by no channel of ours. */
  readonly ruleOf: { readonly channelId: string } | { readonly conversationId: string } | null;
  /** Null: there will be no ticket, so no skills are asked for. */
  readonly facts: TicketFacts | null;
  readonly of: OwnedBy;
  readonly recognisable: boolean;
  readonly off: boolean;
}

async function nextOf(db: Db, plugins: readonly Plugin[], { channelId, contactId, priority, pipelineId, properties }: PreviewInput): Promise<About> {
  if (channelId == null) throw new InvalidInput([{ path: 'channelId', message: 'a channel or a ticket' }]);
  const channel = await db
    .selectFrom('channel')
    .select(['place_id', 'place', 'plugin', 'create_tickets', 'default_pipeline_id', 'default_priority', 'default_properties', 'enabled', 'disconnected_at'])
    .where('id', '=', channelId)
    .executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', channelId);
  const ticketless = channel.place === 'INBOX' && !channel.create_tickets;
  const problems: Problem[] = ticketless ? given({ priority, pipelineId, properties }, 'the channel makes no tickets') : [];
  if (problems.length === 0 && pipelineId != null) {
    const pipeline = await db.selectFrom('pipeline').select('id').where('id', '=', pipelineId).executeTakeFirst();
    if (pipeline === undefined) problems.push({ path: 'pipelineId', message: 'there is no such pipeline' });
  }
  if (problems.length > 0) throw new InvalidInput(problems);
  const { default_pipeline_id: ofPipeline, default_priority: ofPriority, default_properties: ofProperties } = channel;
  return {
    placeId: channel.place_id,
    plugin: channel.plugin,
    ruleOf: { channelId },
    facts: ticketless ? null : { pipelineId: pipelineId ?? ofPipeline, priority: priority ?? ofPriority, properties: properties ?? ofProperties },
    of: contactId == null ? null : { contactId },
    recognisable: recognisesAnybody(plugins, channel.plugin),
    off: !channel.enabled || channel.disconnected_at !== null,
  };
}

async function ticketOf(db: Db, ticketId: string, { channelId, contactId, priority, pipelineId, properties }: PreviewInput): Promise<About> {
  const problems = given({ contactId, priority, pipelineId, properties }, 'a ticket has its own');
  const ticket = await db
    .selectFrom('ticket')
    .leftJoin('conversation', 'conversation.id', 'ticket.conversation_id')
    .leftJoin('channel', 'channel.id', 'conversation.channel_id')
    .select(['ticket.pipeline_id', 'ticket.priority', 'ticket.properties', 'ticket.conversation_id', 'conversation.place_id'])
    .select(['channel.id as channel_id', 'channel.plugin', 'channel.enabled'])
    .select((eb) => eb.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').as('help_desk_id'))
    .where('ticket.id', '=', ticketId)
    .executeTakeFirst();
  if (ticket === undefined) throw new NotFound('ticket', ticketId);
  if (channelId != null && channelId !== ticket.channel_id) problems.push({ path: 'channelId', message: 'is not the channel of this ticket' });
  if (problems.length > 0) throw new InvalidInput(problems);
  const placeId = ticket.place_id ?? ticket.help_desk_id;
  if (placeId === null) throw new Error('an account without a help desk');
  const { conversation_id: conversationId } = ticket;
  return {
    placeId,
    plugin: ticket.plugin,
    ruleOf: conversationId === null ? null : { conversationId },
    facts: { pipelineId: ticket.pipeline_id, priority: ticket.priority, properties: ticket.properties },
    of: conversationId === null ? null : { conversationId },
    // Whether its contact is recognised is asked of what they wrote.
    recognisable: true,
    off: ticket.enabled === false,
  };
}

/** Each that was given though it says nothing here. */
function given(fields: Readonly<Record<string, unknown>>, message: string): Problem[] {
  return Object.entries(fields).flatMap(([path, value]) => (value == null ? [] : [{ path, message }]));
}

/** Whether a channel of it can know anybody for certain: visitors by the token that their page keeps, others by their identity unless it is typed into a page. */
function recognisesAnybody(plugins: readonly Plugin[], plugin: string): boolean {
  const capabilities = plugins.find(({ key }) => key === plugin)?.capabilities;
  return capabilities !== undefined && (capabilities.identities.includes('visitor') || !capabilities.inbound.includes('page'));
}

function unrecognised(candidate: Candidate): Candidate {
  return candidate.as === 'OWNER' ? { ...candidate, recognised: false } : candidate;
}
