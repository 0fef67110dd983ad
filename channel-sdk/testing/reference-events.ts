import { ChannelFailure, type AttachmentRef, type Identity, type InboundEvent } from '../index.ts';
import { isRecord } from './samples.ts';

type Fields = Readonly<Record<string, unknown>>;

const STATES = ['delivered', 'read', 'failed'] as const;

/** The object a body holds; anything else is Malformed. */
export function readBody(body: Uint8Array): Fields {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new ChannelFailure({ code: 'Malformed', where: 'body' });
  }
  if (!isRecord(value)) throw new ChannelFailure({ code: 'Malformed', where: 'body' });
  return value;
}

/** What the provider calls `events`, as the engine's. Kinds it may invent are left out. */
export function eventsOf({ events }: Fields): readonly InboundEvent[] {
  if (!Array.isArray(events)) throw new ChannelFailure({ code: 'Malformed', where: 'events' });
  const found = new Map<string, InboundEvent>();
  for (const [index, fields] of events.entries()) {
    const event = eventOf(isRecord(fields) ? fields : {}, `events.${index}`);
    if (event !== undefined && !found.has(event.dedupeKey)) found.set(event.dedupeKey, event);
  }
  return [...found.values()];
}

function eventOf(fields: Fields, where: string): InboundEvent | undefined {
  switch (fields['kind']) {
    case 'message':
    case 'echo':
      return messageOf(fields, where);
    case 'receipt': {
      const state = STATES.find((one) => one === fields['state']);
      if (state === undefined) throw new ChannelFailure({ code: 'Malformed', where: `${where}.state` });
      const id = textOf(fields, 'of', where);
      return { type: 'receipt', dedupeKey: `receipt:${id}:${state}`, providerMessageId: id, state };
    }
    case 'typing':
      return { type: 'typing', dedupeKey: `typing:${textOf(fields, 'id', where)}`, contact: fromOf(fields, where) };
    case 'seen': {
      const through = textOf(fields, 'through', where);
      if (!Number.isFinite(Date.parse(through))) throw new ChannelFailure({ code: 'Malformed', where: `${where}.through` });
      const contact = fromOf(fields, where);
      const at = new Date(through).toISOString();
      return { type: 'watermark', dedupeKey: `seen:${contact.value}:${at}`, contact, state: 'read', through: at };
    }
    case 'agreed':
    case 'declined': {
      const given = fields['kind'] === 'agreed';
      return { type: 'consent', dedupeKey: `consent:${textOf(fields, 'id', where)}`, contact: fromOf(fields, where), purpose: 'processing', given };
    }
    case 'moved': {
      const contact: Identity = { kind: 'scoped-id', value: textOf(fields, 'now', where) };
      const old = fromOf(fields, where);
      if (old.value === contact.value) return undefined;
      return { type: 'identity-changed', dedupeKey: `moved:${old.value}:${contact.value}`, old, new: contact };
    }
    case 'revoked':
      return { type: 'health', dedupeKey: `revoked:${textOf(fields, 'id', where)}`, health: 'DISCONNECTED', reason: 'token revoked' };
    case 'missed':
      return { type: 'catch-up', dedupeKey: `missed:${textOf(fields, 'id', where)}`, why: 'gap' };
    default:
      return undefined;
  }
}

function fromOf(fields: Fields, where: string): Identity {
  return { kind: 'scoped-id', value: textOf(fields, 'from', where) };
}

function messageOf(fields: Fields, where: string): InboundEvent {
  const id = textOf(fields, 'id', where);
  const { thread, ours, choice } = fields;
  const joins = typeof thread === 'string' && storable(thread) ? [thread] : [];
  return {
    type: 'message',
    // A page's text and the provider's may share an id, never with another kind of event.
    dedupeKey: `message:${id}`,
    direction: fields['kind'] === 'echo' ? 'echo' : 'inbound',
    providerMessageId: id,
    contact: fromOf(fields, where),
    participants: [],
    thread: { joins, keys: [`message:${id}`] },
    text: fields['text'] === undefined ? '' : textOf(fields, 'text', where, true),
    attachments: filesOf(fields),
    ...(typeof choice === 'string' && storable(choice) ? { choice } : {}),
    ...(typeof ours === 'string' && storable(ours) ? { outboundId: ours } : {}),
  };
}

function filesOf({ files }: Fields): AttachmentRef[] {
  if (!Array.isArray(files)) return [];
  return files
    .filter((file): file is string => typeof file === 'string' && storable(file))
    .map((file) => ({ ref: file, fileName: `${file}.txt`, type: 'text/plain' }));
}

function textOf(fields: Fields, name: string, where: string, mayBeEmpty = false): string {
  const value = fields[name];
  if (typeof value === 'string' && (mayBeEmpty || value !== '') && storable(value)) return value;
  throw new ChannelFailure({ code: 'Malformed', where: `${where}.${name}` });
}

function storable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}
