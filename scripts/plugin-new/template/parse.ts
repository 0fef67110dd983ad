import { ChannelFailure, type InboundEvent, type RawDelivery } from '@trunkline/channel-sdk';

type Json = Readonly<Record<string, unknown>>;

/** A stored delivery to events. From its bytes alone: it is called again, for old deliveries too, once a mistake in it is mended. */
export async function parse(raw: RawDelivery): Promise<readonly InboundEvent[]> {
  const { events } = readJson(raw.body);
  if (!Array.isArray(events)) throw malformed('events');
  return events.flatMap((event: unknown, index) => eventOf(record(event, `events.${index}`), `events.${index}`));
}

function eventOf(event: Json, where: string): readonly InboundEvent[] {
  switch (event['type']) {
    case 'message': {
      const id = text(event, 'id', where);
      const from = text(event, 'from', where);
      const { name, at } = event;
      return [
        {
          type: 'message',
          direction: 'inbound',
          // The same delivery again gives the same key, so that it is one message however often it comes.
          dedupeKey: `message:${id}`,
          providerMessageId: id,
          contact: { kind: 'scoped-id', value: from, ...(typeof name === 'string' && name !== '' ? { name } : {}) },
          participants: [],
          thread: { joins: [`with:${from}`], keys: [`with:${from}`] },
          text: text(event, 'text', where),
          attachments: [],
          ...(typeof at === 'string' && Number.isFinite(Date.parse(at)) ? { occurredAt: new Date(at).toISOString() } : {}),
        },
      ];
    }
    case 'delivered':
    case 'failed': {
      const id = text(event, 'id', where);
      const { type } = event;
      return [{ type: 'receipt', dedupeKey: `${type}:${id}`, providerMessageId: id, state: type }];
    }
    default:
      // What the provider adds tomorrow is no reason to lose what stands beside it.
      return [];
  }
}

function readJson(body: Uint8Array): Json {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw malformed('body');
  }
  return record(value, 'body');
}

function record(value: unknown, where: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(where);
  return { ...value };
}

function text(event: Json, field: string, where: string): string {
  const value = event[field];
  if (typeof value !== 'string' || value === '') throw malformed(`${where}.${field}`);
  return value;
}

/** Says where, never what stands there. */
function malformed(where: string): ChannelFailure {
  return new ChannelFailure({ code: 'Malformed', where });
}
