import { createHash } from 'node:crypto';
import {
  canonicalAddress,
  ChannelFailure,
  type AttachmentRef,
  type Identity,
  type InboundEvent,
  type InboundMessage,
  type PluginContext,
  type RawDelivery,
} from '@trunkline/channel-sdk';
import { checkSubmission, type Answer } from './check.ts';
import { cleanLine, labelled } from './clean.ts';
import { definitionOf, definitionSchema, KEPT, type Definition } from './definition.ts';
import type { FormSettings } from './settings.ts';
import { readSubmission, type Submitted } from './submitted.ts';

/** A stored submission to one message, by the form as it was when it was sent (FORM-4). What was taken in is not refused any more, whatever is wrong with it by now. */
export async function parse(raw: RawDelivery, context: PluginContext<FormSettings>): Promise<readonly InboundEvent[]> {
  const definition = definitionIn(raw) ?? definitionOf(context.channel.settings);
  const submitted = read(raw);
  const { answers, files } = checkSubmission(definition, submitted);
  const id = raw.headers[KEPT.id] ?? createHash('sha256').update(raw.body).digest('hex').slice(0, 32);
  const valueOf = (name: string | null): string => answers.find((answer) => answer.name === name)?.value ?? '';
  const description = valueOf(definition.description);
  const message: InboundMessage = {
    type: 'message',
    direction: 'inbound',
    dedupeKey: id,
    providerMessageId: id,
    contact: sender(valueOf(definition.senderEmail), valueOf(definition.senderName)),
    participants: [],
    thread: { joins: [], keys: [id] },
    subject: cleanLine(valueOf(definition.subject), 1_000) || definition.title,
    text: inWords(answers),
    ...(description === '' ? {} : { ticketDescription: description }),
    attachments: files.map((file): AttachmentRef => ({ ref: String(file.part), fileName: file.fileName, type: file.type, bytes: file.content.byteLength })),
    fields: answers,
  };
  return [message];
}

/** The files of a stored submission, which is read once for all; null where it has none at that place. */
export async function extractAttachments(refs: readonly AttachmentRef[], raw: RawDelivery): Promise<(Uint8Array | null)[]> {
  const { files } = read(raw);
  return refs.map(({ ref }) => files.find((file) => String(file.part) === ref)?.content ?? null);
}

function read(raw: RawDelivery): Submitted {
  const submitted = readSubmission(raw.headers['content-type'] ?? '', raw.body);
  if ('status' in submitted) throw new ChannelFailure({ code: 'Malformed', where: 'body' });
  return submitted;
}

function definitionIn(raw: RawDelivery): Definition | undefined {
  const kept = raw.headers[KEPT.definition];
  if (kept === undefined) return undefined;
  const parsed = definitionSchema.safeParse(JSON.parse(kept));
  if (!parsed.success) throw new ChannelFailure({ code: 'Malformed', where: KEPT.definition });
  return parsed.data;
}

/** Nobody where no address was given, or where it is none: never matched to anybody. */
function sender(address: string, name: string): Identity | null {
  const value = canonicalAddress(address);
  if (value === undefined) return null;
  const display = cleanLine(name, 200);
  return { kind: 'email-address', value, ...(display === '' ? {} : { name: display }) };
}

/** What an agent reads (FORM-3): the visible fields, one after the other; of several lines begin below their label. */
function inWords(answers: readonly Answer[]): string {
  const shown = answers.filter(({ hidden }) => !hidden);
  return shown.map(({ label, value }) => (value.includes('\n') ? `${labelled(label, '').trimEnd()}\n${value}\n` : labelled(label, value))).join('\n');
}
