import {
  ChannelFailure,
  definePlugin,
  type CatchUpPage,
  type InboundEvent,
  type InboundMessage,
  type Plugin,
  type PluginContext,
} from '@trunkline/channel-sdk';
import { z } from 'zod';
import type { HeldItem } from './held-provider.ts';

/**
 * A channel whose provider holds what was said and is asked for it. Its deliveries are JSON: an item, or `{ "catchUp": "news" | "gap" }`. No I/O at
 * import: the parser's worker thread loads it by URL.
 */
const settingsSchema = z.object({ page: z.string(), provider: z.url(), pageSize: z.int().default(3) });
type Settings = z.output<typeof settingsSchema>;

const itemSchema = z.object({ id: z.string(), from: z.string(), text: z.string(), whole: z.boolean().exactOptional(), file: z.string().exactOptional() });
const answerSchema = z.object({
  items: z.array(itemSchema).default([]),
  next: z.string().optional(),
  more: z.boolean().default(false),
  broken: z.string().optional(),
});

const held: Plugin = definePlugin<Settings>({
  key: 'held',
  name: 'Held',
  contract: 1,
  settings: settingsSchema,
  secrets: [],
  capabilities: {
    identities: ['scoped-id'],
    address: 'opaque',
    threading: 'participant',
    joinsParticipantsOnly: false,
    inbound: ['webhook', 'catch-up'],
    maxDeliveryBytes: 1_000_000,
    outbound: 'reply',
    outboundContent: { maxTextLength: 2_000, html: false, subject: false, attachments: { maxCount: 5, maxBytes: 10_000, types: '*' } },
    receipts: [],
    windows: [],
    templates: false,
    typing: false,
    routing: { group: 'messaging', defaultMethod: 'random' },
    sendRate: {},
    movable: { allowed: true },
    callControl: false,
  },
  address: ({ page }) => page,
  verify: async () => ({ answer: new Response('taken'), store: true }),
  parse: async (raw): Promise<readonly InboundEvent[]> => {
    const given: unknown = JSON.parse(Buffer.from(raw.body).toString());
    const asked = z.object({ catchUp: z.enum(['news', 'gap']), id: z.string() }).safeParse(given);
    if (asked.success) return [{ type: 'catch-up', dedupeKey: `catch-up:${asked.data.id}`, why: asked.data.catchUp }];
    return [toEvent(itemSchema.parse(given))];
  },
  send: async ({ id }) => ({ providerMessageId: id, keys: [], state: 'sent' as const }),
  check: async (context) => void (await ask(context, '/history?after=999999&limit=0')),
  catchUp,
  fetchAttachment: async ({ ref }, context, raw) => {
    const answer = await ask(context, `/files/${ref}`);
    return Buffer.from(`${await answer.text()}${raw === null ? '' : ' with its delivery'}`);
  },
});
export default held;

async function catchUp(cursor: string | undefined, context: PluginContext<Settings>): Promise<CatchUpPage> {
  const answer = await ask(context, `/history?after=${cursor ?? ''}&limit=${context.channel.settings.pageSize}`);
  const { items, next, more, broken } = answerSchema.parse(await answer.json());
  if (broken === 'stands-still') return { events: [], more: true, ...(cursor === undefined ? {} : { cursor }) };
  // What no compiler would let through.
  if (broken === 'unknown-event')
    return JSON.parse(JSON.stringify({ events: [{ ...toEvent({ id: 'x', from: 'x', text: 'PLANTED' }), direction: 'sideways' }], more: false }));
  if (broken !== undefined) throw new Error('PLANTED words of a provider');
  return {
    events: items.flatMap((item) => (item.whole === true ? [] : [toEvent(item)])),
    deliveries: items.flatMap((item) =>
      item.whole === true
        ? [{ method: 'HELD', url: `held:${item.id}`, headers: {}, body: Buffer.from(JSON.stringify(item)), receivedAt: new Date(context.now()).toISOString() }]
        : [],
    ),
    ...(next === undefined ? {} : { cursor: next }),
    more,
  };
}

async function ask({ fetch, channel, signal }: PluginContext<Settings>, path: string): Promise<Response> {
  const answer = await fetch(channel.settings.provider + path, { signal }).catch((cause: unknown) => {
    throw new ChannelFailure({ code: 'Unavailable', reason: 'no connection' }, { cause });
  });
  if (answer.status === 429) throw new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: Number(answer.headers.get('retry-after')) });
  if (answer.status === 401) throw new ChannelFailure({ code: 'Disconnected', reason: 'http 401' });
  if (answer.status !== 200) throw new ChannelFailure({ code: 'Unavailable', reason: `http ${answer.status}` });
  return answer;
}

function toEvent({ id, from, text, file }: HeldItem): InboundMessage {
  return {
    type: 'message',
    direction: 'inbound',
    dedupeKey: `message:${id}`,
    providerMessageId: id,
    contact: { kind: 'scoped-id', value: from },
    participants: [],
    thread: { joins: [`with:${from}`], keys: [`with:${from}`] },
    text,
    attachments: file === undefined ? [] : [{ ref: file, fileName: `${file}.txt`, type: 'text/plain' }],
  };
}
