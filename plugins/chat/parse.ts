import { ChannelFailure, type InboundEvent, type PluginContext, type RawDelivery } from '@trunkline/channel-sdk';
import { KEPT } from './kept.ts';
import { readSaid, readThrough } from './said.ts';
import type { ChatSettings } from './settings.ts';
import { visitorWith } from './token.ts';

/** What a visitor's page sent to events: a message, with it the address that was typed, or how far the visitor has read. */
export async function parse(raw: RawDelivery, _context: PluginContext<ChatSettings>): Promise<readonly InboundEvent[]> {
  const id = raw.headers[KEPT.visitor];
  // The page wrote it there once it had checked the token.
  if (id === undefined || !/^[a-z2-7]{26}$/.test(id)) throw malformed(KEPT.visitor);
  switch (raw.headers[KEPT.what]) {
    case 'message':
      return message(raw, id);
    case 'read':
      return read(raw, id);
    default:
      throw malformed(KEPT.what);
  }
}

function message(raw: RawDelivery, visitorId: string): readonly InboundEvent[] {
  const outcome = readSaid(raw.body);
  if ('problems' in outcome) throw malformed(`body.${outcome.problems[0]?.field ?? ''}`);
  const { id, text, choice, email, name, entryPoint } = outcome.said;
  const visitor = visitorWith(visitorId);
  const contact = name === undefined ? visitor : { ...visitor, name };
  const thread = [`visitor:${visitorId}`];
  const said: InboundEvent = {
    type: 'message',
    direction: 'inbound',
    dedupeKey: `message:${visitorId}:${id}`,
    providerMessageId: id,
    contact,
    participants: [],
    thread: { joins: thread, keys: thread },
    text,
    attachments: [],
    ...(choice === undefined ? {} : { choice }),
    ...(entryPoint === undefined ? {} : { entryPoint }),
  };
  if (email === undefined) return [said];
  // After the message: there is a contact by then, and a conversation to take part in.
  return [said, { type: 'identity-added', dedupeKey: `address:${visitorId}:${id}`, contact, added: { kind: 'email-address', value: email } }];
}

function read(raw: RawDelivery, visitorId: string): readonly InboundEvent[] {
  const outcome = readThrough(raw.body);
  if ('problems' in outcome) throw malformed('body.through');
  // By a clock of the visitor's it may be tomorrow there; what is written meanwhile has not been read.
  const through = outcome.through < raw.receivedAt ? outcome.through : raw.receivedAt;
  return [{ type: 'watermark', dedupeKey: `read:${visitorId}:${through}`, contact: visitorWith(visitorId), state: 'read', through }];
}

function malformed(where: string): ChannelFailure {
  return new ChannelFailure({ code: 'Malformed', where });
}
