import { describe, expect, it } from 'vitest';
import { canRetry, ChannelFailure, describeFailure, type Failure } from '../index.ts';

const FAILURES: readonly (readonly [Failure, boolean])[] = [
  [{ code: 'Unauthentic' }, false],
  [{ code: 'Malformed', where: 'entry[0].id' }, false],
  [{ code: 'RateLimited', retryAfterSeconds: 6 }, true],
  [{ code: 'Unavailable', reason: 'http 503' }, true],
  [{ code: 'OutsideWindow', closedAt: '2026-01-02T03:04:05.000Z' }, false],
  [{ code: 'Rejected', reason: 'code 100' }, false],
  [{ code: 'Disconnected', reason: 'token revoked' }, false],
  [{ code: 'MaybeSent', reason: 'time-out' }, false],
];

describe('failures', () => {
  it.each(FAILURES)('%o says its code, and whether trying again can help; an unknown outcome is never tried again [PLUG-6, CH-5]', (failure, again) => {
    expect(canRetry(failure)).toBe(again);
    expect(describeFailure(failure)).toMatch(new RegExp(`^${failure.code}: .`));
    expect(new ChannelFailure(failure)).toMatchObject({ name: 'ChannelFailure', failure, message: describeFailure(failure) });
  });
});
