import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import {
  ChannelFailure,
  CONTRACT_VERSION,
  definePlugin,
  outboundRefusal,
  type Capabilities,
  type Identity,
  type InboundEvent,
  type PageContext,
  type PageNews,
  type PluginContext,
  type RawDelivery,
  type VisibleMessage,
} from '../index.ts';
import { readBody } from './reference-events.ts';
import { liveSettingsSchema, type LiveSettings } from './reference-live-settings.ts';
import { isRecord } from './samples.ts';

const capabilities: Capabilities = {
  identities: ['visitor', 'email-address'],
  address: 'opaque',
  threading: 'participant',
  joinsParticipantsOnly: false,
  inbound: ['page'],
  maxDeliveryBytes: 1_000_000,
  outbound: 'reply',
  outboundContent: { maxTextLength: 500, html: false, subject: false, attachments: null },
  inboundAttachments: { maxCount: 1, maxBytes: 100_000, types: '*' },
  receipts: [],
  windows: [],
  templates: false,
  typing: true,
  live: true,
  quickReplies: { maxCount: 5, maxLength: 40 },
  repliesThrough: 'email-address',
  routing: { group: 'messaging', defaultMethod: 'least-busy' },
  sendRate: {},
  movable: { allowed: true },
  callControl: false,
};

type Context = PageContext<LiveSettings>;

/** A page on which a visitor and an agent write to each other, in as few lines as there can be: streams, proofs, files in the delivery, what settings alone say. */
export const liveReference = definePlugin<LiveSettings>({
  key: 'reference-live',
  name: 'Live reference',
  contract: CONTRACT_VERSION,
  settings: liveSettingsSchema,
  secrets: [],
  capabilities,
  address: ({ site }) => site,
  parse,
  async extractAttachments(refs, raw) {
    const file = fileIn(readBody(raw.body));
    return refs.map(({ ref }) => (ref === 'file' && file !== undefined ? Uint8Array.from(Buffer.from(file, 'base64')) : null));
  },
  // The visitor's page reads it from the engine: nobody is asked, and nothing can fail.
  async send(message, context) {
    const refusal = outboundRefusal(message, capabilities, context.now());
    if (refusal !== undefined) throw new ChannelFailure(refusal);
    return { providerMessageId: message.id, keys: [], state: 'sent' };
  },
  page,
  snippet: (_settings, pageUrl) => `<script async src="${escaped(pageUrl)}/script.js"></script>`,
  transcripts: ({ mailsTranscripts, answersBy }) => ({ onClose: mailsTranscripts, ...(answersBy === undefined ? {} : { from: answersBy }) }),
  replyChannel: ({ answersBy }) => answersBy,
  preview: ({ greeting }, { fullName }) => [
    { label: 'Greeting', text: greeting, html: `<p>${escaped(greeting)}</p>` },
    { label: 'Name', text: fullName, html: `<b>${escaped(fullName)}</b>` },
  ],
});

/** What the page stored: who wrote was proven then. */
async function parse(raw: RawDelivery): Promise<readonly InboundEvent[]> {
  const body = readBody(raw.body);
  const { visitor, id, text, choice, email } = body;
  if (!isWord(visitor) || !isWord(id) || !isText(text)) throw new ChannelFailure({ code: 'Malformed', where: 'body' });
  const contact: Identity = { kind: 'visitor', value: visitor };
  const key = `visitor:${visitor}`;
  const message: InboundEvent = {
    type: 'message',
    direction: 'inbound',
    dedupeKey: `message:${visitor}:${id}`,
    providerMessageId: id,
    contact,
    participants: [],
    thread: { joins: [key], keys: [key] },
    text,
    attachments: fileIn(body) === undefined ? [] : [{ ref: 'file', fileName: 'file.bin', type: 'application/octet-stream' }],
    ...(isText(choice) ? { choice } : {}),
  };
  if (!isWord(email)) return [message];
  return [message, { type: 'identity-added', dedupeKey: `email:${visitor}:${id}`, contact, added: { kind: 'email-address', value: email } }];
}

async function page(request: Request, context: Context): Promise<Response> {
  const path = new URL(request.url).pathname.slice(new URL(context.pageUrl).pathname.length);
  const asked = `${request.method === 'HEAD' ? 'GET' : request.method} ${path}`;
  if (asked === 'GET /') return new Response(`<!doctype html><title>${escaped(context.channel.name)}</title>`, { headers: { 'content-type': 'text/html' } });
  if (asked === 'POST /visitor') return arrive(context);
  if (asked === 'GET /stream') {
    const visitor = provenBy(request, context);
    return visitor === undefined ? answer(401) : streamTo(visitor, request.headers.get('last-event-id') ?? undefined, context);
  }
  if (asked !== 'POST /messages' && asked !== 'POST /typing' && asked !== 'GET /here') return answer(404);
  const visitor = provenBy(request, context);
  if (visitor === undefined) return answer(401);
  if (asked === 'POST /messages') return keep(visitor, request, context);
  context.tell(visitor, asked === 'GET /here' ? 'here' : 'typing');
  return answer(204);
}

function arrive(context: PluginContext<LiveSettings>): Response {
  const id = randomBytes(16).toString('hex');
  return Response.json({ proof: `${id}.${context.sign(`visitor ${id}`)}` }, { status: 201 });
}

/** Whom the proof names, in constant time. */
function provenBy(request: Request, context: PluginContext<LiveSettings>): Identity | undefined {
  const [id = '', given = ''] = (request.headers.get('authorization') ?? '').split('.');
  const wanted = context.sign(`visitor ${id}`);
  const digests = [given, wanted].map((text) => createHash('sha256').update(text).digest()) as [Buffer, Buffer];
  return timingSafeEqual(...digests) ? { kind: 'visitor', value: id } : undefined;
}

async function keep(visitor: Identity, request: Request, context: Context): Promise<Response> {
  let said: Readonly<Record<string, unknown>>;
  try {
    said = readBody(new Uint8Array(await request.arrayBuffer()));
  } catch {
    return answer(400);
  }
  const { id, text, choice, email, file } = said;
  if (!isWord(id) || !isText(text) || !(choice === undefined || isText(choice)) || !(email === undefined || isWord(email))) return answer(422);
  const body = new TextEncoder().encode(JSON.stringify({ visitor: visitor.value, id, text, choice, email, file }));
  const raw = { method: 'PAGE', url: `${context.pageUrl}/messages`, headers: {}, body, receivedAt: new Date(context.now()).toISOString() };
  return context.deliver(raw).then(
    () => answer(202),
    () => answer(503),
  );
}

/** News are listened to before history is read; what was said in between comes twice and not never. */
async function streamTo(visitor: Identity, after: string | undefined, context: Context): Promise<Response> {
  const stop = new AbortController();
  const news = context.news(visitor, stop.signal);
  const lines = linesOf(news, visitor, after, context);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await lines.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: () => stop.abort(),
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' } });
}

async function* linesOf(news: AsyncIterable<PageNews>, visitor: Identity, after: string | undefined, context: Context): AsyncGenerator<string, void> {
  let last = after;
  for (let found = await context.history(visitor, last); found.length > 0; found = await context.history(visitor, last)) {
    for (const message of found) yield messageLine(message);
    last = found.at(-1)?.id;
  }
  for await (const one of news) yield one.type === 'message' ? messageLine(one.message) : `data: ${JSON.stringify(one)}\n\n`;
}

function messageLine(message: VisibleMessage): string {
  return `id: ${message.id}\ndata: ${JSON.stringify({ type: 'message', message })}\n\n`;
}

function fileIn({ file }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof file === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(file) ? file : undefined;
}

function answer(status: number): Response {
  return new Response(null, { status });
}

/** Short and without anything that would need care. */
function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^[\w.@-]{1,100}$/.test(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.isWellFormed() && !value.includes('\0');
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** For the samples: what a page would send. */
export function isProof(value: unknown): value is { readonly proof: string } {
  return isRecord(value) && typeof value['proof'] === 'string';
}
