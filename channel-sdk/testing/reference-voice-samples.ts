import { createHmac } from 'node:crypto';
import type { CallInstruction, ChannelInfo, RawDelivery } from '../index.ts';
import { SAMPLE_NOW } from './bench.ts';
import { createVoiceProvider } from './reference-voice-provider.ts';
import { VOICE_SIGNATURE } from './reference-voice.ts';
import type { ConformanceSamples } from './samples.ts';

/** Bytes that no text survives as. */
const RECORDING = Uint8Array.of(0x00, 0xff, 0x0d, 0x0a, 0x80, 0x1a);
const SIGNING_KEYS = { valid: 'a key the session gave', second: 'another key the session gave' };

const typed = {
  number: '+493012345',
  provider: 'https://voice.example',
  apiKey: 'correct horse',
  greeting: 'Acme, how can we help?',
  operators: ['user-1'],
  teams: ['team-1'],
};
const second = { ...typed, number: '+493067890', apiKey: 'another horse', teams: [] };

const numberOf = (n: number) => `+49170${String(n).padStart(6, '0')}`;
const call = (n: number, { address }: ChannelInfo<unknown>, phase: string) => ({ number: address, id: `call-${n}`, with: numberOf(n), phase });

function raw(calls: readonly unknown[] | undefined, more: object = {}): RawDelivery {
  return {
    method: 'POST',
    url: 'https://help.acme.example/hooks/reference-voice/sample-1',
    headers: { 'content-type': 'application/json' },
    body: new TextEncoder().encode(JSON.stringify({ calls, ...more })),
    receivedAt: new Date(SAMPLE_NOW).toISOString(),
  };
}

/** What the provider makes of an answer. */
async function understands(answer: Response): Promise<CallInstruction> {
  const text = await answer.text();
  const [, type = '', attributes = '', said] = /^<([a-z-]+)([^>]*)>(?:<say>([^<]*)<\/say>)?<\/\1>$/.exec(text) ?? [];
  const plain = (escaped: string) => escaped.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
  const attribute = (name: string) => plain(new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1] ?? '');
  const announcement = said === undefined ? null : plain(said);
  if (type === 'ring') {
    const target = { kind: 'phone-number', value: attribute('number') } as const;
    return { type, target, seconds: Number(attribute('seconds')), record: attribute('record') === 'true', announcement };
  }
  if (type === 'voicemail') return { type, announcement: announcement ?? '' };
  if (type === 'hang-up') return { type, announcement };
  throw new Error('the provider hangs up: it does not understand');
}

/** The voice reference channel's samples. */
export const voiceSamples: ConformanceSamples = {
  settings: {
    valid: typed,
    second,
    invalid: [
      { name: 'without a number', settings: { ...typed, number: 'Acme' }, path: 'number' },
      { name: 'with a key that is too short', settings: { ...typed, apiKey: 'short' }, path: 'apiKey' },
    ],
  },
  deliveries: [
    {
      name: 'a call that was missed',
      raw: (n, channel) => raw([call(n, channel, 'missed')]),
      gives: (n) => [{ type: 'call', providerMessageId: `call-${n}`, phase: 'missed', contact: { value: numberOf(n) } }],
    },
    {
      name: 'a call that was recorded, and its end',
      raw: (n, channel) =>
        raw([
          { ...call(n, channel, 'voicemail'), recording: 'recording-1' },
          { ...call(n, channel, 'ended'), seconds: 42 },
        ]),
      gives: () => [
        { type: 'call', phase: 'voicemail', recording: { ref: 'recording-1' } },
        { type: 'call', phase: 'ended', durationSeconds: 42 },
      ],
      files: () => [RECORDING],
    },
  ],
  unknownFields: (channel) => raw([{ ...call(0, channel, 'missed'), mood: { good: [true] } }, call(1, channel, 'humming')], { version: 9 }),
  missingFields: [
    { name: 'no calls', raw: () => raw(undefined), gives: 'Malformed' },
    { name: 'a withheld number', raw: (channel) => raw([{ ...call(1, channel, 'missed'), with: undefined }]), gives: [{ type: 'call', contact: null }] },
  ],
  batch: (count, channel) => raw(Array.from({ length: count }, (_, n) => call(n, channel, 'missed'))),
  webhook: {
    sign(delivery, { key }) {
      const signature = createHmac('sha256', key === 'sample-1' ? SIGNING_KEYS.valid : SIGNING_KEYS.second).update(delivery.body);
      return { ...delivery, headers: { ...delivery.headers, [VOICE_SIGNATURE]: signature.digest('hex') } };
    },
    handshakes: [
      {
        name: 'the challenge',
        raw: () => ({ ...raw([]), method: 'GET', url: 'https://help.acme.example/hooks/reference-voice/sample-1?challenge=4711' }),
        answer: { status: 200, body: '4711' },
      },
    ],
  },
  shared: (one, two) => raw([call(0, one, 'missed'), call(0, two, 'missed')]),
  provider: (which) => {
    const settings = which === 'valid' ? typed : second;
    return { ...createVoiceProvider(settings.apiKey, SIGNING_KEYS[which], new Map([['recording-1', RECORDING]])), settings };
  },
  connection: { subscribes: true, refreshes: true },
  calls: {
    questions: [
      { name: 'a call that rings', raw: (n, channel) => raw([call(n, channel, 'ringing')], { asks: 'new' }), asks: (n) => question(n, 'new') },
      { name: 'nobody picked up', raw: (n, channel) => raw([call(n, channel, 'missed')], { asks: 'not-answered' }), asks: (n) => question(n, 'not-answered') },
    ],
    understands,
    call: { agent: { kind: 'phone-number', value: '+4930111' }, to: { kind: 'phone-number', value: '+4930222' } },
  },
};

function question(n: number, step: 'new' | 'not-answered') {
  return { callId: `call-${n}`, contact: { kind: 'phone-number', value: numberOf(n) }, step } as const;
}
