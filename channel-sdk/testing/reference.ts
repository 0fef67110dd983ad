import { createHmac, createHash, timingSafeEqual } from 'node:crypto';
import {
  ChannelFailure,
  CONTRACT_VERSION,
  definePlugin,
  isChannelFailure,
  outboundRefusal,
  type Capabilities,
  type OutboundMessage,
  type PageContext,
  type PluginContext,
  type RawDelivery,
  type ReservedIds,
  type SendReceipt,
  type Template,
} from '../index.ts';
import { eventsOf, readBody } from './reference-events.ts';
import { settingsSchema, type ReferenceSettings } from './reference-settings.ts';
import { isRecord } from './samples.ts';

export const SIGNATURE = 'x-reference-signature';

const capabilities: Capabilities = {
  identities: ['scoped-id'],
  address: 'opaque',
  threading: 'thread-id',
  joinsParticipantsOnly: false,
  inbound: ['webhook', 'catch-up', 'page'],
  maxDeliveryBytes: 10 * 1024 * 1024,
  outbound: 'start',
  outboundContent: {
    maxTextLength: 1_000,
    html: false,
    subject: false,
    attachments: { maxCount: 3, maxBytes: 100_000, maxTotalBytes: 200_000, types: ['text/plain', 'image/png'] },
  },
  receipts: ['delivered', 'read', 'failed'],
  windows: [
    { sender: 'person', hours: 24, afterwards: 'template' },
    { sender: 'automation', hours: 24, afterwards: 'nothing' },
  ],
  templates: true,
  typing: true,
  quickReplies: { maxCount: 3, maxLength: 20 },
  consent: true,
  routing: { group: 'messaging', defaultMethod: 'least-busy' },
  sendRate: {},
  movable: { allowed: true },
  callControl: false,
};

/** A whole channel for a provider that exists only in memory (`reference-provider.ts`): what the suite is tested with, and an example of every kind of function. */
export const reference = definePlugin<ReferenceSettings>({
  key: 'reference',
  name: 'Reference',
  contract: CONTRACT_VERSION,
  settings: settingsSchema,
  secrets: ['appSecret', 'token'],
  capabilities,
  address: ({ account }) => account,
  verify,
  parse: async (raw) => eventsOf(readBody(raw.body)),
  reserve,
  send,
  findSent,
  async listTemplates(context) {
    const { templates } = readBody(await bytesOf(context, '/templates'));
    return Array.isArray(templates) ? templates.filter(isRecord).map(templateOf) : [];
  },
  fetchAttachment: async ({ ref }, context) => bytesOf(context, `/files/${encodeURIComponent(ref)}`),
  async catchUp(cursor, context) {
    const page = readBody(await bytesOf(context, `/history?after=${encodeURIComponent(cursor ?? '0')}`));
    return { events: eventsOf(page), cursor: String(page['next']), more: page['more'] === true };
  },
  page,
});

async function verify(raw: RawDelivery, { channel }: PluginContext<ReferenceSettings>) {
  const challenge = new URL(raw.url).searchParams.get('challenge');
  if (raw.method === 'GET' && challenge !== null) return { answer: new Response(challenge), store: false };
  const given = Buffer.from(raw.headers[SIGNATURE] ?? '');
  const wanted = Buffer.from(createHmac('sha256', channel.settings.appSecret).update(raw.body).digest('hex'));
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new ChannelFailure({ code: 'Unauthentic' });
  return { answer: new Response('taken'), store: true };
}

function reserve({ id }: OutboundMessage, { sign }: PluginContext<ReferenceSettings>): ReservedIds {
  const own = sign(id).slice(0, 20);
  return { providerMessageId: `m-${own}`, keys: [`thread:${own}`] };
}

async function send(message: OutboundMessage, context: PluginContext<ReferenceSettings>): Promise<SendReceipt> {
  const refusal = outboundRefusal(message, capabilities, context.now());
  if (refusal !== undefined) throw new ChannelFailure(refusal);
  const { quickReplies } = message;
  const tooMany = quickReplies !== undefined && (quickReplies.length > 3 || quickReplies.some(({ label }) => label.length > 20));
  if (tooMany) throw new ChannelFailure({ code: 'Rejected', reason: 'quick replies over the limits' });
  const ids = reserve(message, context);
  const files = await Promise.all(message.attachments.map(async (file) => Buffer.from(await file.read()).toString('base64')));
  const { id: ours, to, text, template } = message;
  const body = JSON.stringify({ id: ids.providerMessageId, ours, to: to.value, text, template, choices: quickReplies, files });
  const answer = await context.fetch(`${context.channel.settings.provider}/messages`, { method: 'POST', body, headers: headersOf(context) }).then(
    async (response) => ({ response, text: await response.text() }),
    (error: unknown) => {
      // No connection was made: nothing was sent.
      if (isChannelFailure(error)) throw error;
      return undefined;
    },
  );
  // From here on the message may be out.
  if (answer === undefined) throw new ChannelFailure({ code: 'MaybeSent', reason: 'no answer' });
  refuse(answer.response);
  if (idIn(answer.text) !== ids.providerMessageId) throw new ChannelFailure({ code: 'MaybeSent', reason: 'an answer that can not be read' });
  return { ...ids, state: 'sent' };
}

async function findSent(message: OutboundMessage, context: PluginContext<ReferenceSettings>): Promise<SendReceipt | undefined> {
  const response = await context.fetch(`${context.channel.settings.provider}/messages/${message.id}`, { headers: headersOf(context) });
  if (response.status === 404) return undefined;
  refuse(response);
  return { ...reserve(message, context), state: 'sent' };
}

/** What a provider's answer means when it is no yes. */
function refuse({ ok, status, headers }: Response): void {
  if (ok) return;
  if (status === 429) throw new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: Math.max(1, Number(headers.get('retry-after')) || 30) });
  if (status === 401) throw new ChannelFailure({ code: 'Disconnected', reason: 'token revoked' });
  if (status >= 500) throw new ChannelFailure({ code: 'Unavailable', reason: `http ${status}` });
  throw new ChannelFailure({ code: 'Rejected', reason: `http ${status}` });
}

async function bytesOf(context: PluginContext<ReferenceSettings>, path: string): Promise<Uint8Array> {
  const response = await context.fetch(context.channel.settings.provider + path, { headers: headersOf(context) }).catch(() => {
    throw new ChannelFailure({ code: 'Unavailable', reason: 'no answer' });
  });
  refuse(response);
  return new Uint8Array(await response.arrayBuffer());
}

/** The provider counts no parameters: its texts show them as {{1}}, {{2}}. */
function templateOf({ name, language, text, approved }: Readonly<Record<string, unknown>>): Template {
  const whole = String(text);
  const parameters = new Set(whole.match(/\{\{\d+\}\}/g)).size;
  return { name: String(name), language: String(language), text: whole, parameters, approved: approved === true };
}

function headersOf({ channel }: PluginContext<ReferenceSettings>): Record<string, string> {
  return { authorization: `Bearer ${channel.settings.token}`, 'content-type': 'application/json' };
}

function idIn(text: string): unknown {
  try {
    return readBody(new TextEncoder().encode(text))['id'];
  } catch {
    return undefined;
  }
}

/** One page: a GET shows it, a POST of `{"text": …}` is a message. */
async function page(request: Request, context: PageContext<ReferenceSettings>): Promise<Response> {
  if (request.method === 'GET' || request.method === 'HEAD')
    return new Response('<!doctype html><title>Write to us</title>', { headers: { 'content-type': 'text/html' } });
  if (request.method !== 'POST') return new Response(null, { status: 405 });
  const body = new Uint8Array(await request.arrayBuffer());
  const id = createHash('sha256').update(body).digest('hex').slice(0, 32);
  try {
    const { text } = readBody(body);
    if (typeof text !== 'string' || !text.isWellFormed() || text.includes('\0')) return new Response(null, { status: 400 });
    const event = JSON.stringify({ events: [{ kind: 'message', id, from: 'a visitor', text }] });
    const raw = { method: 'POST', url: context.pageUrl, headers: {}, body: new TextEncoder().encode(event), receivedAt: new Date(context.now()).toISOString() };
    return await context.deliver(raw).then(
      () => new Response('taken', { status: 202 }),
      () => new Response(null, { status: 503 }),
    );
  } catch {
    return new Response(null, { status: 400 });
  }
}
