import { ChannelFailure, type CallEvent, type CallQuestion, type Identity, type InboundEvent } from '../index.ts';
import { readBody } from './reference-events.ts';
import { isRecord } from './samples.ts';

type Fields = Readonly<Record<string, unknown>>;

const PHASES: readonly CallEvent['phase'][] = ['ringing', 'answered', 'missed', 'voicemail', 'ended'];
const STEPS: readonly CallQuestion['step'][] = ['new', 'not-answered', 'recorded'];

/** The steps of calls of this number; what is of another line is for that line to read. */
export function voiceEventsOf({ calls }: Fields, number: string): readonly InboundEvent[] {
  if (!Array.isArray(calls)) throw new ChannelFailure({ code: 'Malformed', where: 'calls' });
  const found = new Map<string, CallEvent>();
  for (const [index, call] of calls.entries()) {
    const where = `calls.${index}`;
    const fields: Fields = isRecord(call) ? call : {};
    if (textOf(fields, 'number', where) !== number) continue;
    const phase = PHASES.find((one) => one === fields['phase']);
    if (phase === undefined) continue;
    const id = textOf(fields, 'id', where);
    const { seconds, recording } = fields;
    const event: CallEvent = {
      type: 'call',
      dedupeKey: `${phase}:${id}`,
      providerMessageId: id,
      direction: fields['outbound'] === true ? 'outbound' : 'inbound',
      contact: callerOf(fields),
      phase,
      ...(typeof seconds === 'number' && seconds >= 0 ? { durationSeconds: seconds } : {}),
      ...(isStorable(recording) ? { recording: { ref: recording, fileName: `${recording}.wav`, type: 'audio/wav' } } : {}),
    };
    if (!found.has(event.dedupeKey)) found.set(event.dedupeKey, event);
  }
  return [...found.values()];
}

/** The numbers a delivery speaks of; bytes that can not be read speak of none. */
export function numbersIn(body: Uint8Array): readonly string[] {
  const { calls } = readBody(body);
  if (!Array.isArray(calls)) return [];
  const numbers = calls.map((call: unknown) => (isRecord(call) ? call['number'] : undefined));
  return [...new Set(numbers.filter((number) => typeof number === 'string'))];
}

/** What the provider waits for, if it does. */
export function questionIn(body: Uint8Array): CallQuestion | undefined {
  const { asks, calls } = readBody(body);
  const step = STEPS.find((one) => one === asks);
  const first: unknown = Array.isArray(calls) ? calls[0] : undefined;
  if (step === undefined || !isRecord(first)) return undefined;
  return { callId: textOf(first, 'id', 'calls.0'), contact: callerOf(first), step };
}

/** Null: the number is withheld. */
function callerOf({ with: other }: Fields): Identity | null {
  return typeof other === 'string' && /^\+\d{5,15}$/.test(other) ? { kind: 'phone-number', value: other } : null;
}

function textOf(fields: Fields, name: string, where: string): string {
  const value = fields[name];
  if (isStorable(value)) return value;
  throw new ChannelFailure({ code: 'Malformed', where: `${where}.${name}` });
}

function isStorable(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.isWellFormed() && !value.includes('\0');
}
