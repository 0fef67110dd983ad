import { expect, test } from 'vitest';
import { isConnectionTrouble, redact } from '#activities/failures.ts';
import { InvalidInput, NotFound } from '#commands/refusals.ts';

const lines: string[] = [];
const write = (fields: object, message: string): void => void lines.push(JSON.stringify({ ...fields, message }));
const log = { info: write, warn: write, error: write };

/** As PostgreSQL gives it: the text quotes the row. */
function uniqueViolation(): Error {
  const error = Object.assign(new Error('Key (email)=(ada@customer.example) already exists'), { code: '23505', detail: 'ada@customer.example' });
  error.name = 'DatabaseError';
  return new Error('while writing for ada@customer.example', { cause: error });
}

test('an unexpected error leaves an activity as an error id, without message, stack or cause; the log has the id [OPS-4]', () => {
  const failure = redact(uniqueViolation(), 'drainChannel', log);
  expect(failure).toMatchObject({ type: 'Unexpected', nonRetryable: false, stack: '' });
  expect(failure.cause).toBeUndefined();
  const [{ errorId }] = failure.details as [{ errorId: string }];
  expect(lines.at(-1)).toContain(errorId);
  expect(JSON.stringify([failure, failure.message, failure.details, lines])).not.toContain('customer.example');
});

test('a refusal leaves with its class and ids, never with what a caller typed [OPS-4]', () => {
  expect(redact(new NotFound('ticket', '42'), 'decideOwner', log)).toMatchObject({
    type: 'NotFound',
    nonRetryable: true,
    details: [{ what: 'ticket', id: '42' }],
  });
  const typed = redact(new InvalidInput([{ path: 'text', message: 'ada@customer.example is wrong' }]), 'sendNext', log);
  expect(JSON.stringify([typed, typed.message, typed.details, typed.stack])).not.toContain('customer.example');
});

test("PostgreSQL being away is nobody's failed try; a row it refuses is", () => {
  const withCode = (code: string): Error => Object.assign(new Error('x'), { code });
  for (const code of ['ECONNREFUSED', '57P01', '08006', '40P01', '53300']) expect(isConnectionTrouble(withCode(code))).toBe(true);
  expect(isConnectionTrouble(new Error('Connection terminated unexpectedly'))).toBe(true);
  for (const code of ['23505', '22021', '23514']) expect(isConnectionTrouble(withCode(code))).toBe(false);
});
