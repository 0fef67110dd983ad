import { IDENTITY_KINDS, type InboundEvent } from '@trunkline/channel-sdk';
import { z } from 'zod';
import type { SafeParts } from '#commands/safe-html.ts';
import { LIMITS } from './limits.ts';

/** A moment that a calendar of four digits has: PostgreSQL reads no other the way JavaScript writes it. */
const moment = z
  .string()
  .refine((text) => !Number.isNaN(Date.parse(text)), { error: 'not a moment', params: { fault: 'shape' }, abort: true })
  .refine((text) => Date.parse(text) >= FIRST_MOMENT && Date.parse(text) <= LAST_MOMENT, 'before the year 1 or after the year 9999');
const FIRST_MOMENT = Date.parse('0001-01-01T00:00:00Z');
const LAST_MOMENT = Date.parse('9999-12-31T23:59:59.999Z');
/** What stands in an index: PostgreSQL takes so many bytes there, and a character may have four. */
const indexed = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= LIMITS.keyBytes, 'too long');
const key = indexed;
/** Characters of a text or of HTML: more than any delivery that a door takes can hold. */
const body = z.string().max(LIMITS.bodyCharacters);
const keys = z.array(key).max(LIMITS.threadKeys);
const identity = z.object({ kind: z.enum(IDENTITY_KINDS), value: indexed, name: z.string().exactOptional() });
const attachment = z.object({
  ref: z.string(),
  fileName: z.string(),
  type: z.string(),
  bytes: z.number().int().nonnegative().exactOptional(),
  contentId: z.string().exactOptional(),
});
const word = z.string().min(1).max(100);
const authentication = z.object({
  verdict: z.enum(['pass', 'fail', 'unknown']),
  by: word,
  checks: z.record(word, word).refine((checks) => Object.keys(checks).length <= LIMITS.authenticationChecks, 'too many checks'),
});
const base = { dedupeKey: key, occurredAt: moment.exactOptional() };
const outboundId = z.string().exactOptional();

const message = z.object({
  ...base,
  type: z.literal('message'),
  direction: z.enum(['inbound', 'echo']),
  providerMessageId: key,
  contact: identity.nullable(),
  author: identity.exactOptional(),
  participants: z.array(identity),
  thread: z.object({ proven: keys.exactOptional(), joins: keys, keys }),
  subject: z.string().exactOptional(),
  text: body,
  html: body.exactOptional(),
  quoted: z.object({ text: body, html: body.exactOptional() }).exactOptional(),
  originalHtml: body.exactOptional(),
  authentication: authentication.exactOptional(),
  attachments: z.array(attachment),
  outboundId,
  choice: z.string().exactOptional(),
  entryPoint: z.string().exactOptional(),
  ticketDescription: body.exactOptional(),
  fields: z.array(z.object({ name: z.string(), label: z.string(), value: z.string(), hidden: z.boolean() })).exactOptional(),
  automatic: z.enum(['auto-reply', 'bounce']).exactOptional(),
});

const event = z.discriminatedUnion('type', [
  message,
  z.object({
    ...base,
    type: z.literal('receipt'),
    providerMessageId: key,
    state: z.enum(['sent', 'delivered', 'read', 'failed']),
    reason: z.string().exactOptional(),
    outboundId,
  }),
  z.object({
    ...base,
    type: z.literal('call'),
    providerMessageId: key,
    direction: z.enum(['inbound', 'outbound']),
    contact: identity.nullable(),
    phase: z.enum(['ringing', 'answered', 'missed', 'voicemail', 'ended']),
    durationSeconds: z.number().nonnegative().exactOptional(),
    recording: attachment.exactOptional(),
  }),
  z.object({ ...base, type: z.literal('typing'), contact: identity }),
  z.object({ ...base, type: z.literal('watermark'), contact: identity, state: z.enum(['delivered', 'read']), through: moment }),
  z.object({ ...base, type: z.literal('identity-changed'), old: identity, new: identity }),
  z.object({ ...base, type: z.literal('identity-added'), contact: identity, added: identity }),
  z.object({ ...base, type: z.literal('consent'), contact: identity, purpose: z.enum(['processing', 'business-initiated']), given: z.boolean() }),
  z.object({ ...base, type: z.literal('presence'), contact: identity, here: z.boolean() }),
  z.object({ ...base, type: z.literal('catch-up'), why: z.enum(['news', 'gap']) }),
  z.object({ ...base, type: z.literal('health'), health: z.enum(['CONNECTED', 'DEGRADED', 'DISCONNECTED']), reason: z.string() }),
]);

const events: z.ZodType<readonly InboundEvent[]> = z.array(event).max(LIMITS.eventsPerDelivery);

const safe: z.ZodType<readonly (SafeParts | null)[]> = z.array(z.object({ html: z.string().nullable(), quoted: z.string().nullable() }).nullable());

/** What the thread says may be shown; of what has another shape nothing is shown. */
export function checkSafe(given: unknown): readonly (SafeParts | null)[] {
  const result = safe.safeParse(given);
  return result.success ? result.data : [];
}

/**
 * What a plugin gave, if it is what the contract says; else where it is not: a path, never a value. `oversized`: the positions of those events that have the
 * right shape and hold something too large or too far away to be kept, which is whoever wrote it, and no fault of the plugin.
 */
export function checkEvents(given: unknown): { readonly events: readonly InboundEvent[] } | { readonly where: string; readonly oversized: readonly number[] } {
  const result = events.safeParse(given);
  if (result.success) return { events: result.data };
  const { issues } = result.error;
  const path = issues[0]?.path.map(String).join('.') ?? '';
  const positions = (some: typeof issues): Set<number> => new Set(some.flatMap(({ path: [at] }) => (typeof at === 'number' ? [at] : [])));
  const misshapen = positions(issues.filter((issue) => !isOfSize(issue)));
  return { where: path === '' ? 'events' : `events.${path}`, oversized: [...positions(issues)].filter((at) => !misshapen.has(at)) };
}

function isOfSize(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'too_big' || (issue.code === 'custom' && issue.params?.['fault'] !== 'shape');
}
