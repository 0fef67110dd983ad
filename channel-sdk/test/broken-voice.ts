import type { CallInstruction, ChannelState, Plugin, PluginContext } from '../index.ts';
import { ChannelFailure, isChannelFailure, type Failure } from '../index.ts';
import { voiceSamples } from '../testing/reference-voice-samples.ts';
import { voiceReference } from '../testing/reference-voice.ts';
import { there, type Broken } from './broken.ts';

type Context = PluginContext<unknown>;
type Asks = 'connect' | 'update' | 'disconnect' | 'check' | 'renew';

const verify = there(voiceReference.verify);
const sharedDoor = there(voiceReference.sharedDoor);
const answerCall = there(voiceReference.answerCall);
const placeCall = there(voiceReference.placeCall);
const renew = there(voiceReference.renew);
const connect = there(voiceReference.connect);
const fetchAttachment = there(voiceReference.fetchAttachment);
const settingsOf = (settings: unknown) => ({ ...(typeof settings === 'object' ? settings : {}) }) as Readonly<Record<string, unknown>>;

/** A telephone line with one mistake, by the check that must find it. */
export const BROKEN_VOICE: Readonly<Record<string, Broken>> = {
  'tells the provider to come again where it lacks what it needs to tell': voice(
    {
      verify: (raw, context) => verify(raw, context).catch((error: unknown) => fail(error, 'Unavailable', { code: 'Unauthentic' })),
    },
    /is Unauthentic while state holds nothing/,
  ),
  'subscribes once, and leaves nothing behind': voice({ disconnect: async () => undefined }, /1 subscriptions after disconnect/),
  'renews as often as it is asked, also twice at once': voice(
    {
      // A new subscription at every renewal but the first two: the one of connecting and the first daily one.
      renew: async (context) => {
        await renew(context);
        if (more(context) > 2) await context.fetch(`${String(settingsOf(context.channel.settings)['provider'])}/subscription`, await subscribing(context));
      },
    },
    /[2-9] subscriptions after renewing 4 times/,
  ),
  'reads back what it has refreshed, in every process': voice(
    // Keeps it in the process that fetched it, until the process ends.
    { renew: async (context) => renew((await context.state?.read()) === null ? context : { ...context, state: forgetful(await context.state?.read()) }) },
    /renew keeps nothing of what it refreshed/,
  ),
  'connect says by a typed failure why it could not be done': voice(
    { connect: (context) => connect(context).catch((error: unknown) => fail(error, 'Rejected', { code: 'Disconnected', reason: 'token refused' })) },
    /connect at "reject" is Disconnected, not Rejected/,
  ),
  'update says by a typed failure why it could not be done': asking('update', 'Unavailable', { code: 'MaybeSent', reason: 'no answer' }),
  'disconnect says by a typed failure why it could not be done': voice(
    {
      disconnect: async (context) => {
        if (!(await context.fetch(`${String(settingsOf(context.channel.settings)['provider'])}/subscription`, await subscribing(context, 'DELETE'))).ok)
          throw new TypeError('not ok');
      },
    },
    /disconnect at "rate-limit" threw TypeError/,
  ),
  'check says by a typed failure why it could not be done': asking('check', 'Disconnected', { code: 'Rejected', reason: 'token refused' }),
  'renew says by a typed failure why it could not be done': asking('renew', 'Disconnected', { code: 'Unavailable', reason: 'http 401' }),

  'tells at the shared door which channels a delivery speaks of': voice(
    {
      sharedDoor: (raw) => {
        const found = sharedDoor(raw);
        return found === 'any' ? found : found.slice(0, 1);
      },
    },
    /does not name both channels/,
  ),
  'parses only its own part of a delivery to several channels': voice(
    {
      // Its own first, and the rest as well where there is something of its own.
      parse: async (raw, context) => {
        const numbers = sharedDoor(raw);
        const own = await voiceReference.parse(raw, context);
        if (numbers === 'any' || own.length === 0) return own;
        const lines = await Promise.all(numbers.map((address) => voiceReference.parse(raw, { ...context, channel: { ...context.channel, address } })));
        return lines.flat().map((event, index) => ({ ...event, dedupeKey: `${event.dedupeKey}:${index}` }));
      },
    },
    /its part of a delivery to two channels: 2 events in place of 1/,
  ),

  'asks what is to become of a call, under the id of its events': voice(
    {
      verify: async (raw, context) => {
        const { call, ...verdict } = await verify(raw, context);
        return call === undefined ? verdict : { ...verdict, call: { ...call, callId: `call ${call.callId}` } };
      },
    },
    /does not ask what its sample says/,
  ),
  'puts every decision on a call into words the provider understands': voice(
    { answerCall: (question, instruction, context) => answerCall(question, withoutQuotes(instruction), context) },
    /answerCall of "a call that rings" with ring is understood otherwise/,
  ),
  'calls back once, and says by a typed failure why not': voice(
    {
      placeCall: (call, context) => placeCall(call, context).catch((error: unknown) => fail(error, 'MaybeSent', { code: 'Unavailable', reason: 'no answer' })),
    },
    /placeCall at "garbage" is Unavailable, not MaybeSent/,
  ),

  'answers routingTargets from the settings alone': voice(
    { routingTargets: (settings) => ({ userIds: [String(settingsOf(settings)['operators'])], teamIds: [String(Math.random())] }) },
    /routingTargets gives another answer the second time/,
  ),
  'answers migrationProblems from the settings alone': voice(
    { migrationProblems: (settings) => [`The line ${String(settingsOf(settings)['apiKey'])} stays.`] },
    /migrationProblems: quotes the settings/,
  ),
};

/** Checks that have another mistake to find, too. */
export const ALSO_BROKEN_VOICE: readonly (readonly [string, Broken])[] = [
  [
    'calls back once, and says by a typed failure why not',
    voice(
      {
        placeCall: (call, context) =>
          placeCall(call, context).catch((error: unknown) => fail(error, 'Unavailable', { code: 'MaybeSent', reason: 'no answer' })),
      },
      /placeCall at "refused" is MaybeSent, not Unavailable/,
    ),
  ],
  [
    'calls back once, and says by a typed failure why not',
    voice(
      {
        placeCall: (call, context) =>
          placeCall(call, context).catch((error: unknown) => {
            if (isOpen(error)) return placeCall(call, context);
            throw error;
          }),
      },
      /placeCall at "garbage": the provider took it 2 times/,
    ),
  ],
  [
    'gives attachments as they were sent',
    voice({ fetchAttachment: async (ref, context, raw) => (await fetchAttachment(ref, context, raw)).slice(1) }, /attachment 0 is not what was sent/),
  ],
  [
    'lets no secret into an error, a log line or an event',
    voice(
      {
        check: async (context) => {
          context.log('asking', { key: String(settingsOf(context.channel.settings)['apiKey']) });
          await voiceReference.check?.(context);
        },
      },
      /a secret stands in a log line/,
    ),
  ],
  [
    'asks what is to become of a call, under the id of its events',
    voice(
      { verify: (raw, context) => (Buffer.from(raw.body).includes('"asks"') ? verify(raw, context).catch(() => taken()) : verify(raw, context)) },
      /without a signature is taken/,
    ),
  ],
];

function voice(members: Partial<Plugin>, says: RegExp): Broken {
  return { plugin: { ...voiceReference, ...members }, samples: voiceSamples, says };
}

/** Calls one failure of this function another. */
function asking(member: Asks, code: Failure['code'], other: Failure): Broken {
  const own = there(voiceReference[member]);
  return voice(
    { [member]: (context: Context) => own(context).catch((error: unknown) => fail(error, code, other)) },
    new RegExp(`${member} at "[a-z-]+" is ${other.code}, not `),
  );
}

function fail(error: unknown, code: Failure['code'], other: Failure): never {
  throw isChannelFailure(error) && error.failure.code === code ? new ChannelFailure(other) : error;
}

function isOpen(error: unknown): boolean {
  return isChannelFailure(error) && error.failure.code === 'MaybeSent';
}

async function taken() {
  return { answer: new Response('taken'), store: true };
}

/** What many forget to escape. */
function withoutQuotes(instruction: CallInstruction): CallInstruction {
  return instruction.type === 'ring' ? { ...instruction, announcement: instruction.announcement?.replaceAll('"', '') ?? null } : instruction;
}

const renewals = new WeakMap<object, number>();

/** How often this channel's state was seen. */
function more({ state }: Context): number {
  if (state === undefined) return 0;
  const count = (renewals.get(state) ?? 0) + 1;
  renewals.set(state, count);
  return count;
}

async function subscribing({ state }: Context, method = 'PUT'): Promise<RequestInit> {
  const headers = { authorization: `Bearer ${String(settingsOf(await state?.read())['token'])}` };
  return { method, headers, ...(method === 'PUT' ? { body: JSON.stringify({ url: `https://help.acme.example/${Math.random()}` }) } : {}) };
}

function forgetful(kept: unknown): ChannelState {
  let own = kept;
  return { read: async () => own, update: async (change) => void (own = change(own)) };
}
