import { readFileSync } from 'node:fs';
import { ChannelFailure, isChannelFailure } from '@trunkline/channel-sdk';
import { expect, test } from 'vitest';
import { LIMITS } from '#activities/limits.ts';
import { MAX_TRIES } from '#commands/intake.ts';
import { SEND_LIMIT_SECONDS } from '#domain/outbox.ts';

test('a limit that another layer writes by is defined there and nowhere else [PLUG-11]', () => {
  expect(LIMITS).toMatchObject({ deliveryTries: MAX_TRIES, sendSeconds: SEND_LIMIT_SECONDS });
  const source = readFileSync(new URL('../../activities/limits.ts', import.meta.url), 'utf8');
  expect(source).not.toMatch(/(?:deliveryTries|sendSeconds): *\d/);
});

test('a failure of a plugin is known by its name too, and only with a code [PLUG-6]', () => {
  const copy = (failure: unknown): Error => Object.assign(new Error('x'), { name: 'ChannelFailure', failure });
  expect(isChannelFailure(new ChannelFailure({ code: 'Unauthentic' }))).toBe(true);
  expect(isChannelFailure(copy({ code: 'Unavailable', reason: 'away' }))).toBe(true);
  for (const other of [copy(null), copy('Unavailable'), copy({}), new Error('x'), { name: 'ChannelFailure', failure: { code: 'Unavailable' } }]) {
    expect(isChannelFailure(other)).toBe(false);
  }
});
