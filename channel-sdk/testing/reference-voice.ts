import { createHmac, timingSafeEqual } from 'node:crypto';
import {
  ChannelFailure,
  CONTRACT_VERSION,
  definePlugin,
  isChannelFailure,
  type CallInstruction,
  type Capabilities,
  type OutboundCall,
  type PluginContext,
  type RawDelivery,
  type Verdict,
} from '../index.ts';
import { readBody } from './reference-events.ts';
import { voiceEventsOf, questionIn, numbersIn } from './reference-voice-events.ts';
import { voiceSettingsSchema, type VoiceSettings } from './reference-voice-settings.ts';
import { isRecord } from './samples.ts';

export const VOICE_SIGNATURE = 'x-voice-signature';

const capabilities: Capabilities = {
  identities: ['phone-number'],
  address: 'phone-number',
  threading: 'participant',
  joinsParticipantsOnly: false,
  inbound: ['webhook'],
  maxDeliveryBytes: 1_000_000,
  outbound: 'none',
  outboundContent: { maxTextLength: null, html: false, subject: false, attachments: null },
  receipts: [],
  windows: [],
  templates: false,
  typing: false,
  routing: { group: 'voice', defaultMethod: 'least-busy' },
  sendRate: {},
  movable: { allowed: true },
  callControl: true,
};

type Context = PluginContext<VoiceSettings>;

/** What a channel keeps between calls: what a session gives, until it expires. */
interface Kept {
  readonly token: string;
  /** Signs what the provider sends. */
  readonly signingKey: string;
}

/** A telephone line: calls decided while they ring, one door for all lines, a session that is renewed and kept, targets named by the settings. */
export const voiceReference = definePlugin<VoiceSettings>({
  key: 'reference-voice',
  name: 'Voice reference',
  contract: CONTRACT_VERSION,
  settings: voiceSettingsSchema,
  secrets: ['apiKey'],
  capabilities,
  address: ({ number }) => number,
  sharedDoor: ({ method, body }) => (method === 'GET' ? 'any' : numbersIn(body)),
  verify,
  parse: async (raw, { channel }) => voiceEventsOf(readBody(raw.body), channel.address),
  answerCall: (_question, instruction) => new Response(inXml(instruction), { headers: { 'content-type': 'application/xml' } }),
  placeCall,
  async connect(context) {
    try {
      await beginSession(context);
      await tell(context, 'PUT', '/subscription', { url: context.webhookUrl });
    } catch (error) {
      // Nothing is connected yet that could be gone: what the admin typed is wrong.
      if (error instanceof ChannelFailure && error.failure.code === 'Disconnected') throw new ChannelFailure({ code: 'Rejected', reason: 'api key refused' });
      throw error;
    }
  },
  async update(context) {
    await tell(context, 'PUT', '/greeting', { text: context.channel.settings.greeting }).catch((error: unknown) => {
      if (error instanceof ChannelFailure && error.failure.code === 'Disconnected') throw new ChannelFailure({ code: 'Rejected', reason: 'api key refused' });
      throw error;
    });
  },
  disconnect: async (context) => void (await tell(context, 'DELETE', '/subscription')),
  check: async (context) => void (await tell(context, 'GET', '/account')),
  async renew(context) {
    await beginSession(context);
    await tell(context, 'PUT', '/subscription', { url: context.webhookUrl });
  },
  async fetchAttachment({ ref }, context) {
    return new Uint8Array(await (await tell(context, 'GET', `/recordings/${encodeURIComponent(ref)}`)).arrayBuffer());
  },
  routingTargets: ({ operators, teams }) => ({ userIds: operators, teamIds: teams }),
  migrationProblems: ({ teams }) => (teams.length === 0 ? ['A line that rings no team has no place in the help desk.'] : []),
});

/** By the key the session gave. Where it is not there yet, nobody can tell: the provider comes again, and `renew` brings it. */
async function verify(raw: RawDelivery, { state }: Context): Promise<Verdict> {
  const challenge = new URL(raw.url).searchParams.get('challenge');
  if (raw.method === 'GET' && challenge !== null) return { answer: new Response(challenge), store: false };
  const kept = await keptIn(state);
  if (kept === undefined) throw new ChannelFailure({ code: 'Unavailable', reason: 'no signing key yet' });
  const given = Buffer.from(raw.headers[VOICE_SIGNATURE] ?? '');
  const wanted = Buffer.from(createHmac('sha256', kept.signingKey).update(raw.body).digest('hex'));
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new ChannelFailure({ code: 'Unauthentic' });
  const call = questionIn(raw.body);
  return { answer: new Response('<wait/>'), store: true, ...(call === undefined ? {} : { call }) };
}

/** In the provider's words, which are XML. */
function inXml(instruction: CallInstruction): string {
  const said = instruction.announcement === null ? '' : `<say>${escaped(instruction.announcement)}</say>`;
  if (instruction.type !== 'ring') return `<${instruction.type}>${said}</${instruction.type}>`;
  const { target, seconds, record } = instruction;
  return `<ring number="${escaped(target.value)}" seconds="${seconds}" record="${record}">${said}</ring>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

async function placeCall({ id, agent, to }: OutboundCall, context: Context): Promise<{ readonly providerMessageId: string }> {
  const response = await ask(context, 'POST', '/calls', { id, agent: agent.value, to: to.value }).catch((error: unknown) => {
    // No connection was made: no telephone rings.
    if (isChannelFailure(error)) throw error;
    return undefined;
  });
  // From here on a telephone may ring.
  if (response === undefined) throw new ChannelFailure({ code: 'MaybeSent', reason: 'no answer' });
  refuse(response);
  const answer: unknown = await response.json().catch(() => undefined);
  if (!isRecord(answer) || typeof answer['id'] !== 'string') throw new ChannelFailure({ code: 'MaybeSent', reason: 'an answer that can not be read' });
  return { providerMessageId: answer['id'] };
}

/** Trades the key for what is good for a day. Whoever does it at the same time gets as good a one. */
async function beginSession(context: Context): Promise<void> {
  const { apiKey, number } = context.channel.settings;
  const response = await asked(context.fetch(`${context.channel.settings.provider}/session`, { method: 'POST', body: JSON.stringify({ apiKey, number }) }));
  refuse(response);
  const given: unknown = await response.json().catch(() => undefined);
  if (!isKept(given)) throw new ChannelFailure({ code: 'Unavailable', reason: 'an answer that can not be read' });
  const { token, signingKey } = given;
  await context.state?.update(() => ({ token, signingKey }));
}

/** Asks with the token that is kept; no yes is a failure. */
async function tell(context: Context, method: string, path: string, body?: unknown): Promise<Response> {
  const response = await asked(ask(context, method, path, body));
  refuse(response);
  return response;
}

async function ask(context: Context, method: string, path: string, body?: unknown): Promise<Response> {
  const { token = '' } = (await keptIn(context.state)) ?? {};
  const headers = { authorization: `Bearer ${token}` };
  return context.fetch(context.channel.settings.provider + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

/** Where nothing can have happened, no answer is a failure like any other. */
function asked(answer: Promise<Response>): Promise<Response> {
  return answer.catch(() => {
    throw new ChannelFailure({ code: 'Unavailable', reason: 'no answer' });
  });
}

function refuse({ ok, status, headers }: Response): void {
  if (ok) return;
  if (status === 429) throw new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: Math.max(1, Number(headers.get('retry-after')) || 30) });
  if (status === 401) throw new ChannelFailure({ code: 'Disconnected', reason: 'token refused' });
  if (status >= 500) throw new ChannelFailure({ code: 'Unavailable', reason: `http ${status}` });
  throw new ChannelFailure({ code: 'Rejected', reason: `http ${status}` });
}

async function keptIn(state: Context['state']): Promise<Kept | undefined> {
  const kept = await state?.read();
  return isKept(kept) ? kept : undefined;
}

function isKept(value: unknown): value is Kept {
  return isRecord(value) && typeof value['token'] === 'string' && typeof value['signingKey'] === 'string';
}
