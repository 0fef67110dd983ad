import { createHmac, timingSafeEqual } from 'node:crypto';
import {
  ChannelFailure,
  CONTRACT_VERSION,
  definePlugin,
  type Capabilities,
  type Identity,
  type InboundEvent,
  type OutboundMessage,
  type Plugin,
  type PluginContext,
  type RawDelivery,
  type SendReceipt,
} from '@trunkline/channel-sdk';
import { z } from 'zod';

/**
 * A webhook channel for tests. Its deliveries are signed JSON (`testDelivery`), its provider is `fakeProvider()`. No I/O at import:
 * the parser's worker thread loads it by URL.
 */
const settingsSchema = z.strictObject({
  /** The connected address. */
  page: z.string().min(1),
  /** Where the fake provider answers. */
  provider: z.url().default('http://127.0.0.1:9'),
  appSecret: z.string().min(8),
  /** Milliseconds until an answer counts as lost. */
  sendTimeoutMs: z.int().min(1).default(300),
});
export type TestSettings = z.output<typeof settingsSchema>;

const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('message'),
    id: z.string(),
    from: z.string(),
    name: z.string().optional(),
    text: z.string().default(''),
    at: z.string().optional(),
    /** An echo of our own send: its `OutboundMessage.id`. */
    echoOf: z.string().optional(),
    automatic: z.enum(['auto-reply', 'bounce']).optional(),
  }),
  z.object({
    type: z.literal('receipt'),
    id: z.string(),
    state: z.enum(['sent', 'delivered', 'read', 'failed']),
    reason: z.string().optional(),
    outboundId: z.string().optional(),
  }),
  z.object({ type: z.literal('health'), id: z.string(), health: z.enum(['CONNECTED', 'DEGRADED', 'DISCONNECTED']), reason: z.string().default('') }),
]);
const payloadSchema = z.object({
  events: z.array(eventSchema).default([]),
  /** What `parse` does in place of parsing (PLUG-11). */
  misbehave: z.enum(['throw', 'loop', 'allocate']).optional(),
});
export type TestPayload = z.input<typeof payloadSchema>;

const capabilities: Capabilities = {
  identities: ['scoped-id'],
  address: 'opaque',
  threading: 'participant',
  joinsParticipantsOnly: false,
  inbound: ['webhook'],
  maxDeliveryBytes: 1_000_000,
  outbound: 'start',
  outboundContent: { maxTextLength: 2_000, html: false, subject: false, attachments: null },
  receipts: ['sent', 'delivered', 'read', 'failed'],
  windows: [],
  templates: false,
  typing: false,
  routing: { group: 'messaging', defaultMethod: 'least-busy' },
  sendRate: {},
  movable: { allowed: true },
  callControl: false,
};

/** `findSent: false`: a provider that can not be asked, so an unknown outcome stays `MAYBE_SENT`. */
export function createTestPlugin(key: string, options: { readonly findSent: boolean }): Plugin {
  return definePlugin<TestSettings>({
    key,
    name: 'Test hook',
    contract: CONTRACT_VERSION,
    settings: settingsSchema,
    secrets: ['appSecret'],
    capabilities,
    address: ({ page }) => page,
    verify,
    parse,
    send,
    ...(options.findSent ? { findSent } : {}),
  });
}

export default createTestPlugin('testhook', { findSent: true });
export const testhookMute = createTestPlugin('testhook-mute', { findSent: false });

const SIGNATURE = 'x-test-signature';

/** The body and headers of a delivery as the provider would send it. */
export function testDelivery(payload: TestPayload, appSecret: string): { readonly body: string; readonly headers: Record<string, string> } {
  const body = JSON.stringify(payload);
  return { body, headers: { [SIGNATURE]: sign(Buffer.from(body), appSecret), 'content-type': 'application/json' } };
}

function sign(body: Uint8Array, appSecret: string): string {
  return createHmac('sha256', appSecret).update(body).digest('hex');
}

async function verify(raw: RawDelivery, { channel }: PluginContext<TestSettings>) {
  const challenge = new URL(raw.url).searchParams.get('challenge');
  if (raw.method === 'GET' && challenge !== null) return { answer: new Response(challenge), store: false };
  const given = Buffer.from(raw.headers[SIGNATURE] ?? '');
  const wanted = Buffer.from(sign(raw.body, channel.settings.appSecret));
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new ChannelFailure({ code: 'Unauthentic' });
  return { answer: new Response('taken'), store: true };
}

async function parse(raw: RawDelivery): Promise<readonly InboundEvent[]> {
  const payload = payloadSchema.safeParse(readJson(raw.body));
  if (!payload.success) throw new ChannelFailure({ code: 'Malformed', where: payload.error.issues[0]?.path.join('.') ?? 'body' });
  misbehave(payload.data.misbehave);
  return payload.data.events.map((event): InboundEvent => {
    switch (event.type) {
      case 'message': {
        const contact: Identity = { kind: 'scoped-id', value: event.from, ...(event.name === undefined ? {} : { name: event.name }) };
        return {
          type: 'message',
          dedupeKey: `message:${event.id}`,
          direction: event.echoOf === undefined ? 'inbound' : 'echo',
          providerMessageId: event.id,
          contact,
          participants: [],
          thread: { joins: [`with:${event.from}`], keys: [`with:${event.from}`] },
          text: event.text,
          attachments: [],
          ...(event.at === undefined ? {} : { occurredAt: event.at }),
          ...(event.echoOf === undefined ? {} : { outboundId: event.echoOf }),
          ...(event.automatic === undefined ? {} : { automatic: event.automatic }),
        };
      }
      case 'receipt':
        return {
          type: 'receipt',
          dedupeKey: `receipt:${event.id}:${event.state}`,
          providerMessageId: event.id,
          state: event.state,
          ...(event.reason === undefined ? {} : { reason: event.reason }),
          ...(event.outboundId === undefined ? {} : { outboundId: event.outboundId }),
        };
      case 'health':
        return { type: 'health', dedupeKey: `health:${event.id}`, health: event.health, reason: event.reason };
    }
  });
}

function readJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

function misbehave(how: 'throw' | 'loop' | 'allocate' | undefined): void {
  if (how === 'throw') throw new Error('a plugin with a mistake');
  if (how === 'loop') for (;;) Math.random();
  if (how !== 'allocate') return;
  const piece = Array.from({ length: 1_000_000 }, () => 0.5);
  const held: unknown[] = [];
  // In large pieces: it is to reach the limit of memory long before that of time.
  for (;;) held.push(piece.slice());
}

async function send(message: OutboundMessage, context: PluginContext<TestSettings>): Promise<SendReceipt> {
  const { provider, sendTimeoutMs } = context.channel.settings;
  let response: Response;
  try {
    response = await context.fetch(`${provider}/send`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id: message.id, to: message.to.value, text: message.text }),
      signal: AbortSignal.timeout(sendTimeoutMs),
    });
  } catch {
    throw new ChannelFailure({ code: 'MaybeSent', reason: 'no answer' });
  }
  return receipt(response);
}

async function findSent(message: OutboundMessage, context: PluginContext<TestSettings>): Promise<SendReceipt | undefined> {
  const response = await context.fetch(`${context.channel.settings.provider}/sent/${message.id}`);
  return response.status === 404 ? undefined : receipt(response);
}

async function receipt(response: Response): Promise<SendReceipt> {
  switch (response.status) {
    case 200: {
      const { id } = z.object({ id: z.string() }).parse(await response.json());
      return { providerMessageId: id, keys: [], state: 'sent' };
    }
    case 429:
      throw new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: Number(response.headers.get('retry-after') ?? 1) });
    case 400:
      throw new ChannelFailure({ code: 'Rejected', reason: 'code 100' });
    case 401:
      throw new ChannelFailure({ code: 'Disconnected', reason: 'token revoked' });
    default:
      throw new ChannelFailure({ code: 'Unavailable', reason: `http ${response.status}` });
  }
}
