import { createHash } from 'node:crypto';
import type { PageContext, RawDelivery } from '@trunkline/channel-sdk';
import type { Checked } from './check.ts';
import { definitionOf, KEPT } from './definition.ts';
import { OWN } from './embedded.ts';
import type { FormSettings } from './settings.ts';
import { readSubmission, type Submitted, type Unreadable } from './submitted.ts';

export interface ReadRequest {
  /** Empty where it can not be read. */
  readonly submitted: Submitted;
  readonly unreadable: Unreadable | undefined;
  readonly contentType: string;
  readonly body: Uint8Array;
}

const EMPTY: Submitted = { values: new Map(), files: [], wrongTypes: new Set() };

export async function readRequest(request: Request): Promise<ReadRequest> {
  const contentType = request.headers.get('content-type') ?? '';
  const body = new Uint8Array(await request.arrayBuffer());
  const submitted = readSubmission(contentType, body);
  return 'status' in submitted ? { submitted: EMPTY, unreadable: submitted, contentType, body } : { submitted, unreadable: undefined, contentType, body };
}

/** The first value of a name, or the empty text. */
export function firstValue({ values }: Submitted, name: string): string {
  return values.get(name)?.[0] ?? '';
}

/**
 * Somebody filled in what nobody sees. They are told that it is taken, and nothing is: who is refused tries the next trick, and a person
 * never comes here, for the field is out of sight, out of the order of keys and out of a browser's memory.
 */
export function isRobot(submitted: Submitted, context: PageContext<FormSettings>): boolean {
  if (firstValue(submitted, OWN.trap) === '') return false;
  context.log('a submission by a robot was dropped');
  return true;
}

/** The same for the same content and seed: a double click is one message, and what is sent after going back and changing it is another (MODEL-4). */
export function submissionId(seed: string, { answers, files }: Checked): string {
  const hash = createHash('sha256').update(seed).update('\0').update(JSON.stringify(answers));
  for (const { field, fileName, content } of files) hash.update(JSON.stringify([field, fileName, content.byteLength])).update(content);
  return hash.digest('hex').slice(0, 32);
}

/** Takes it in as it came, with the form as it is now. False: it could not be stored. */
export async function storeSubmission(
  context: PageContext<FormSettings>,
  { contentType, body }: Pick<ReadRequest, 'contentType' | 'body'>,
  id: string,
): Promise<boolean> {
  const raw: RawDelivery = {
    method: 'POST',
    url: context.pageUrl,
    headers: { 'content-type': contentType, [KEPT.definition]: JSON.stringify(definitionOf(context.channel.settings)), [KEPT.id]: id },
    body,
    receivedAt: new Date(context.now()).toISOString(),
  };
  try {
    await context.deliver(raw);
    return true;
  } catch {
    context.log('a submission could not be stored');
    return false;
  }
}

/** Counts a request against its origin's limit. */
export function mayCome(request: Request, context: PageContext<FormSettings>): Promise<boolean> {
  return context.allow(request.headers.get('origin') ?? 'none');
}

/** What is said where nothing is wrong with what was sent. */
export const SAYINGS = {
  tooMany: 'Too much was sent from your network. Please wait a minute and send it again.',
  unstored: 'We could not take it in just now. Please send it again in a moment.',
  foreign: 'This form does not take what that site sends. Please look it over and send it from here.',
} as const;

/** Headers of an answer that asks to come again: after the limit's window, after a moment. */
export const AFTER_A_MINUTE = { 'retry-after': '60' } as const;
export const AFTER_A_MOMENT = { 'retry-after': '5' } as const;
