import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs, retryAfterMs, spreadMs } from '../widget/backoff.ts';

test('pauses grow to half a minute, the second half of each by chance [CHAT-2]', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 7, 100].map((attempt) => backoffMs(attempt, 1))).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  fc.assert(
    fc.property(fc.nat(1_000), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
      const [shortest, pause, longest] = [backoffMs(attempt, 0), backoffMs(attempt, random), backoffMs(attempt, 1)];
      expect(shortest).toBe(longest / 2);
      expect(pause >= shortest && pause <= longest).toBe(true);
    }),
  );
});

test('who was cut off with everybody else comes back between one second and eight [CHAT-2]', () => {
  expect([0, 0.5, 1].map(spreadMs)).toEqual([1_000, 4_500, 8_000]);
});

test('retry-after is seconds or a date, and never longer than ten minutes [CHAT-2]', () => {
  const now = Date.parse('2026-03-01T12:00:00Z');
  expect(retryAfterMs('7', now)).toBe(7_000);
  expect(retryAfterMs(' 0 ', now)).toBe(0);
  expect(retryAfterMs('Sun, 01 Mar 2026 12:00:20 GMT', now)).toBe(20_000);
  expect(retryAfterMs('Sun, 01 Mar 2026 11:00:00 GMT', now)).toBe(0);
  expect(retryAfterMs('86400', now)).toBe(600_000);
  for (const none of [null, '', 'soon']) expect(retryAfterMs(none, now), String(none)).toBeNull();
});
