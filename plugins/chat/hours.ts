import { isTimeZone, WEEKDAYS } from '@trunkline/channel-sdk';
import { z } from 'zod';

const MOST_PERIODS = 50;
const MOST_DAYS_CLOSED = 400;

const time = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'must be a time like 09:00');

const period = z
  .strictObject({ day: z.enum(WEEKDAYS, { error: `must be one of ${WEEKDAYS.join(', ')}` }), from: time, to: time })
  .refine(({ from, to }) => from < to, { path: ['to'], message: 'must be later than "from"; over midnight, write two periods' });

/** A day that is there: no 30 February. */
const date = z.string().refine((text) => {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}, 'must be a date like 2026-12-25');

/** Opening hours as an admin types them. */
export const hoursSchema = z.strictObject({
  timeZone: z.string().refine(isTimeZone, 'must be a time zone like Europe/Berlin'),
  periods: z.array(period).min(1).max(MOST_PERIODS),
  closedOn: z.array(date).max(MOST_DAYS_CLOSED).default([]),
});
