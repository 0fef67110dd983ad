import { definePlugin, type Capabilities, type InboundMessage, type Plugin } from '@trunkline/channel-sdk';
import type { Db } from '#db/database.ts';
import type { Step } from '#domain/chatflow.ts';
import { advanceRun, readRun } from '#commands/chatflow-runs.ts';
import { inbound, makeChannel, plainCapabilities, plainPlugin, type MadeChannel, type TestChannel } from './fixtures.ts';

/** A channel that runs chatflows and shows up to five quick replies. */
export const flowCapabilities: Capabilities = {
  ...plainCapabilities,
  identities: ['visitor', 'email-address'],
  threading: 'participant',
  chatflows: true,
  quickReplies: { maxCount: 5, maxLength: 40 },
};
export const flowPlugin: Plugin = definePlugin({ ...plainPlugin, key: 'flows', name: 'Flows', capabilities: flowCapabilities });

/** A greeting, a name, an address, then people. */
export const BOT: { readonly start: string; readonly steps: readonly Step[] } = {
  start: 'hello',
  steps: [
    { id: 'hello', type: 'say', text: 'Hello', next: 'name' },
    { id: 'name', type: 'ask', text: 'Who are you?', of: 'contact', property: 'name', answer: { type: 'text' }, next: 'email' },
    { id: 'email', type: 'ask', text: 'Your address?', of: 'contact', property: 'email', answer: { type: 'email' }, next: 'people' },
    { id: 'people', type: 'hand-off', text: 'One moment', rule: { kind: 'NOBODY' } },
  ],
};

/** A connected channel with one chatflow, written straight into the rows. */
export async function makeFlowChannel(db: Db, definition: object = BOT, options: TestChannel = {}): Promise<MadeChannel & { readonly flowId: string }> {
  const channel = await makeChannel(db, { plugin: flowPlugin.key, ...options });
  return { ...channel, flowId: await makeFlow(db, channel.id, definition) };
}

export async function makeFlow(db: Db, channelId: string, definition: object, entryPoint: string | null = null): Promise<string> {
  const { id } = await db
    .insertInto('chatflow')
    .values({
      channel_id: channelId,
      name: 'A chatflow',
      kind: 'steps' in definition ? 'BOT' : 'LIVE',
      entry_point: entryPoint,
      definition: JSON.stringify(definition),
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** What a visitor writes; one thread for each visitor. */
export function said(visitor: string, text: string, more: Partial<InboundMessage> = {}): InboundMessage {
  const key = `visitor:${visitor}`;
  return inbound('', { contact: { kind: 'visitor', value: visitor }, thread: { joins: [key], keys: [key] }, text, ...more });
}

/** Does what is due until nothing is, as the workflow does. Returns what was done, in order. */
export async function settleRun(db: Db, conversationId: string): Promise<string[]> {
  const done: string[] = [];
  for (;;) {
    const run = await readRun(db, conversationId);
    if (run?.due == null) return done;
    const { value } = await advanceRun(db, { conversationId, version: run.version, due: run.due });
    if (value.done) done.push(run.due);
  }
}

/** The newest conversation of a visitor. */
export async function conversationOf(db: Db, channel: MadeChannel, visitor: string): Promise<string> {
  const row = await db
    .selectFrom('thread_key')
    .select('conversation_id')
    .where('channel_id', '=', channel.id)
    .where('key', '=', `visitor:${visitor}`)
    .executeTakeFirstOrThrow();
  return row.conversation_id;
}
