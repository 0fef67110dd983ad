import { createHash, randomInt } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress } from '../address.ts';
import { parse } from '../parse.ts';
import { damaged, KINDS, type Damage } from './corpus/mutations.ts';
import { DELIVERY_HEADERS, readSamples } from './corpus/samples.ts';
import { channel, delivery, pluginContext } from './support.ts';

/** Printed with every title; `MUTATION_SEED=… npm test` runs the same ones again. */
const SEED = Number(process.env['MUTATION_SEED'] ?? randomInt(2 ** 31));
const RUNS = 10_000;
const MAILS = readSamples({ token: 'abcdefghijkl2345' }).map(({ mail }) => Buffer.from(mail).toString('latin1'));
const context = pluginContext(channel({ trustedAuthenticator: 'mx.acme.example' }));

const filling = fc.oneof(
  fc.string({ unit: 'binary-ascii', maxLength: 12 }),
  fc.constantFrom(
    '\r\n',
    '\r\n\r\n',
    '\0',
    '\xff\xfe',
    '<>',
    '"',
    '=?utf-8?B?',
    '--sheet',
    'From: ben@customer.example\r\n',
    '(',
    '\t',
    ':',
    ';',
    '<script>',
    '> ',
    ' wrote:\r\n',
  ),
);
const damage: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom(...KINDS),
  at: fc.nat(),
  length: fc.nat(200),
  filling,
  other: fc.constantFrom(...MAILS),
});
const mutant = fc.tuple(fc.constantFrom(...MAILS), fc.array(damage, { minLength: 1, maxLength: 5 })).map(([mail, damages]) => damages.reduce(damaged, mail));

/** What the engine can store, about nobody but who is named by a real address. */
async function check(mail: string): Promise<string> {
  const events = await parse(delivery(Buffer.from(mail, 'latin1'), { ...DELIVERY_HEADERS }), context);
  const messages = events.filter((event) => event.type === 'message');
  const receipts = events.filter((event) => event.type === 'receipt');
  expect(messages).toHaveLength(1);
  expect(events.length).toBe(1 + receipts.length);
  const [message] = messages;
  if (message === undefined) throw new Error('no message');
  if (message.contact !== null) expect(canonicalAddress(message.contact.value)).toBe(message.contact.value);
  for (const { value } of message.participants) expect(canonicalAddress(value)).toBe(value);
  expect(receipts.length === 0 || message.automatic === 'bounce', 'only a bounce says that something failed').toBe(true);
  expect(message.providerMessageId).toMatch(/^(<[^<>\s]{1,502}>|sha256:[0-9a-f]{64})$/u);
  expect(message.thread.joins).not.toContain(message.providerMessageId);
  expect(['pass', 'fail', 'unknown']).toContain(message.authentication?.verdict);
  const stored = JSON.stringify(events, (key, value: unknown) => {
    if (typeof value === 'string' && (!value.isWellFormed() || value.includes('\0'))) throw new Error(`${key} can not be stored`);
    return value;
  });
  return createHash('sha256').update(stored).digest('hex');
}

describe('damaged mails', () => {
  it(`are read without an exception, from nobody or a valid address: ${RUNS} of them, seed ${SEED} [EMAIL-7]`, async () => {
    const kinds = new Set<string>();
    await fc.assert(
      fc.asyncProperty(mutant, async (mail) => {
        kinds.add(await check(mail));
      }),
      { numRuns: RUNS, seed: SEED },
    );
    expect(kinds.size, 'they are not all alike').toBeGreaterThan(RUNS / 2);
  }, 1_200_000);

  it('are the same message every time they come [MODEL-4, EMAIL-7]', async () => {
    await fc.assert(
      fc.asyncProperty(mutant, async (mail) => {
        expect(await check(mail)).toBe(await check(mail));
      }),
      { numRuns: 300, seed: SEED },
    );
  });
});
