import type { RawDelivery } from '@trunkline/channel-sdk';
import { z } from 'zod';
import { LIMITS } from './limits.ts';

const delivery = z.object({
  method: z.string(),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.instanceof(Uint8Array),
  receivedAt: z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'not a moment'),
});

const page = z.object({
  // Checked by themselves, where a delivery's are.
  events: z.array(z.unknown()).max(LIMITS.eventsPerDelivery),
  deliveries: z.array(delivery).max(LIMITS.deliveriesPerPage).optional(),
  cursor: z.string().max(20_000).optional(),
  more: z.boolean(),
});

/** A page before its events are looked at. */
interface UncheckedPage {
  readonly events: readonly unknown[];
  readonly deliveries: readonly RawDelivery[];
  readonly cursor: string | undefined;
  readonly more: boolean;
}

/** What a plugin gave, if it is a page; else where it is not: a path, never a value. One that says there is more must say from where, or it would be asked for ever. */
export function checkPage(given: unknown, from: string | null): { readonly page: UncheckedPage } | { readonly where: string } {
  const result = page.safeParse(given);
  if (!result.success) return { where: `page.${result.error.issues[0]?.path.map(String).join('.') ?? ''}` };
  const { events, deliveries = [], cursor, more } = result.data;
  if (more && (cursor === undefined || cursor === from)) return { where: 'page.cursor: more, and from the same place' };
  return { page: { events, deliveries, cursor, more } };
}
