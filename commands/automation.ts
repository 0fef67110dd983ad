import type { Capabilities, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { writeAutomated } from './automated-message.ts';
import type { Problem } from './refusals.ts';
import type { Subject } from './subjects.ts';
import type { Unit } from './unit.ts';

/** What a channel does by itself with tickets and their conversations (CH-8): null takes one away, what is left out stays. */
export interface AutomationInput {
  /** An open status of the pipeline of the ticket defaults. */
  readonly onContactReplyStatusId?: string | null;
  /** Likewise. */
  readonly onAgentReplyStatusId?: string | null;
  /** Plain text; sent to the contact when a person closes. */
  readonly onCloseMessage?: string | null;
}

/** As it stands in the channel's row. */
export interface Automation {
  readonly on_contact_reply_status_id: string | null;
  readonly on_agent_reply_status_id: string | null;
  readonly on_close_message: string | null;
}

export interface AutomationOf {
  /** The pipeline of the channel's ticket defaults, as it will be; null: these are wrong themselves. */
  readonly pipelineId: string | null;
  /** Undefined: the channel's plugin is not configured. */
  readonly capabilities: Capabilities | undefined;
  /** What stands there now; undefined: the channel is new. */
  readonly before?: Automation;
}

const NONE: Automation = { on_contact_reply_status_id: null, on_agent_reply_status_id: null, on_close_message: null };
/** Characters, where the channel itself has no limit. */
const LONGEST_TEXT = 10_000;

/** What was chosen over what stood there. Every wrong field is a problem, also a status that new ticket defaults leave behind in another pipeline. */
export async function chooseAutomation(
  tx: Tx,
  input: AutomationInput,
  { pipelineId, capabilities, before = NONE }: AutomationOf,
): Promise<Automation | { readonly problems: readonly Problem[] }> {
  const chosen: Automation = {
    on_contact_reply_status_id: orBefore(input.onContactReplyStatusId, before.on_contact_reply_status_id),
    on_agent_reply_status_id: orBefore(input.onAgentReplyStatusId, before.on_agent_reply_status_id),
    on_close_message: orBefore(input.onCloseMessage?.trim() ?? input.onCloseMessage, before.on_close_message),
  };
  const problems = [
    ...(await statusProblems(tx, pipelineId, [
      ['automation.onContactReplyStatusId', chosen.on_contact_reply_status_id],
      ['automation.onAgentReplyStatusId', chosen.on_agent_reply_status_id],
    ])),
    ...(input.onCloseMessage == null ? [] : textProblems(chosen.on_close_message ?? '', capabilities)),
  ];
  return problems.length > 0 ? { problems } : chosen;
}

function orBefore<Value>(given: Value | undefined, before: Value): Value {
  return given === undefined ? before : given;
}

async function statusProblems(tx: Tx, pipelineId: string | null, named: readonly (readonly [path: string, id: string | null])[]): Promise<readonly Problem[]> {
  const ids = named.flatMap(([, id]) => (id === null ? [] : [id]));
  if (ids.length === 0) return [];
  const found = await tx
    .selectFrom('ticket_status')
    .select(['id', 'pipeline_id', 'category'])
    .where(sql<string>`id::text`, 'in', ids)
    .execute();
  return named.flatMap(([path, id]) => {
    if (id === null) return [];
    const status = found.find((one) => one.id === id);
    if (status === undefined) return [{ path, message: 'there is no such status' }];
    if (pipelineId !== null && status.pipeline_id !== pipelineId) {
      return [{ path, message: 'is a status of another pipeline than that of the ticket defaults: name one of theirs, or null' }];
    }
    return status.category === 'OPEN' ? [] : [{ path, message: 'is a closed status: a reply keeps a ticket open' }];
  });
}

function textProblems(text: string, capabilities: Capabilities | undefined): readonly Problem[] {
  const path = 'automation.onCloseMessage';
  if (text === '') return [{ path, message: 'must not be empty; null takes it away' }];
  if (capabilities === undefined || capabilities.outbound === 'none') return [{ path, message: 'this channel sends nothing' }];
  const limit = capabilities.outboundContent.maxTextLength ?? LONGEST_TEXT;
  return text.length > limit ? [{ path, message: `is ${text.length} characters long, this channel takes ${limit}` }] : [];
}

/**
 * The contact has written in conversations that were there before, and not by a machine: their open tickets get the status the current channel names.
 * Decided after a closed one was reopened (MODEL-6). The caller holds the conversations' locks.
 */
export async function onContactReply(unit: Unit, conversationIds: readonly string[]): Promise<void> {
  await setStatus(unit, conversationIds, 'on_contact_reply_status_id');
}

/** A person has answered. The caller holds the conversation's lock; the channel that counts is the one the reply goes by. */
export async function onAgentReply(unit: Unit, subject: Pick<Subject, 'conversationId'>): Promise<void> {
  if (subject.conversationId !== null) await setStatus(unit, [subject.conversationId], 'on_agent_reply_status_id');
}

/** One statement for any number; a ticket of another pipeline than the named status stays as it is, for nobody meant it. */
async function setStatus(unit: Unit, conversationIds: readonly string[], column: 'on_contact_reply_status_id' | 'on_agent_reply_status_id'): Promise<void> {
  if (conversationIds.length === 0) return;
  const status = sql.ref(`h.${column}`);
  const { rows } = await sql<{
    ticket_id: string;
    number: number;
    before: string;
    after: string;
    conversation_id: string;
    place_id: string;
    channel_id: string;
    key: string;
    plugin: string;
  }>`
    update ticket t set status_id = ${status}, version = t.version + 1
    from conversation c join channel h on h.id = c.channel_id
    where t.conversation_id = c.id and c.id = any(${[...conversationIds]}::uuid[])
      and t.closed_at is null and t.pipeline_id = h.default_pipeline_id and t.status_id <> ${status}
    returning t.id as ticket_id, t.number, old.status_id as before, new.status_id as after, c.id as conversation_id, c.place_id, h.id as channel_id, h.key, h.plugin`.execute(
    unit.tx,
  );
  for (const row of rows) {
    unit.record({
      kind: 'STATUS_CHANGED',
      by: { actor: 'SYSTEM' },
      channelId: row.channel_id,
      conversationId: row.conversation_id,
      ticketId: row.ticket_id,
      placeId: row.place_id,
      why: 'AUTOMATION',
      data: { from: row.before, to: row.after, category: 'OPEN' },
    });
    unit.wake({ kind: 'ticket', number: row.number, channelKey: row.key, plugin: row.plugin });
  }
}

/** The status that the contact's writing gives a ticket which it reopens (MODEL-13); undefined: the channel names none of the ticket's pipeline. */
export async function reopeningStatus(tx: Tx, subject: Pick<Subject, 'conversationId' | 'pipelineId'>) {
  if (subject.conversationId === null) return undefined;
  return tx
    .selectFrom('conversation')
    .innerJoin('channel', 'channel.id', 'conversation.channel_id')
    .innerJoin('ticket_status', 'ticket_status.id', 'channel.on_contact_reply_status_id')
    .selectAll('ticket_status')
    .where('conversation.id', '=', subject.conversationId)
    .where('ticket_status.pipeline_id', '=', subject.pipelineId)
    .executeTakeFirst();
}

/**
 * A person has just closed a conversation: its current channel's message goes out, once, in this transaction. Not where a machine closed it, where the
 * channel is off (CH-9) or disconnected, or where there is nobody to write to. The caller holds the channel shared and the conversation's lock.
 */
export async function onClose(unit: Unit, subject: Subject, plugins: readonly Plugin[]): Promise<void> {
  if (unit.actor.actor !== 'USER' || subject.channelId === null) return;
  const channel = await unit.tx
    .selectFrom('channel')
    .select('on_close_message')
    .where('id', '=', subject.channelId)
    .where('enabled', '=', true)
    .where('disconnected_at', 'is', null)
    .executeTakeFirst();
  if (channel === undefined || channel.on_close_message === null) return;
  await writeAutomated(unit, subject, {
    text: channel.on_close_message,
    why: 'ON_CLOSE',
    windows: plugins.find(({ key }) => key === subject.plugin)?.capabilities.windows ?? [],
  });
}
