import { expect, test } from 'vitest';
import { LIMITS as PARSE_LIMITS } from '#activities/limits.ts';
import { LIMITS as API_LIMITS, RATES } from '#api/limits.ts';
import { INTAKE_AHEAD_SECONDS, MAX_TRIES } from '#commands/intake.ts';
import { RETENTION_DAYS } from '#commands/retention.ts';
import { GIVE_UP_AFTER_SECONDS, SEND_LIMIT_SECONDS } from '#domain/outbox.ts';
import { tableRows } from './markdown.ts';

const named = (prefix: string, limits: Readonly<Record<string, number>>) =>
  Object.entries(limits).map(([name, value]) => [`${prefix}.${name}`, value] as const);

const constants = new Map<string, number>([
  ...named('activities', PARSE_LIMITS),
  ...named('api', API_LIMITS),
  ...named('api', RATES),
  ['commands.INTAKE_AHEAD_SECONDS', INTAKE_AHEAD_SECONDS],
  ['commands.MAX_TRIES', MAX_TRIES],
  ['commands.RETENTION_DAYS.idempotencyKeys', RETENTION_DAYS.idempotencyKeys],
  ['commands.RETENTION_DAYS.rawDeliveries', RETENTION_DAYS.rawDeliveries],
  ['domain.GIVE_UP_AFTER_SECONDS', GIVE_UP_AFTER_SECONDS],
  ['domain.SEND_LIMIT_SECONDS', SEND_LIMIT_SECONDS],
]);

test('docs/limits.md says what the code does [PLUG-11, API-7]', () => {
  const documented = tableRows('docs/limits.md').filter(([name = '']) => /^(activities|api|commands|domain)\./.test(name));
  expect(Object.fromEntries(documented.map(([name, value = '']) => [name, Number(value.replaceAll(/[\s,]/g, ''))]))).toEqual(Object.fromEntries(constants));
});
