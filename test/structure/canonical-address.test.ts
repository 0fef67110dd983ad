import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalAddress as inMail } from '../../plugins/email/address.ts';
import { canonicalAddress as inForms } from '../../plugins/form/address.ts';

test('a mail address is one and the same, whichever plugin read it: one person is one contact [MODEL-3]', () => {
  const letter = fc.constantFrom(...'aAzZ0.+-_@ <>"(),;:[]\\äÉßİı。\u0000\u200b');
  const near = fc.tuple(fc.string({ unit: letter, maxLength: 12 }), fc.string({ unit: letter, maxLength: 12 })).map(([local, domain]) => `${local}@${domain}`);
  let addresses = 0;
  fc.assert(
    fc.property(fc.oneof(near, fc.emailAddress(), fc.string({ unit: 'binary' })), (text) => {
      const canonical = inMail(text);
      if (canonical !== undefined) addresses += 1;
      expect(inForms(text)).toBe(canonical);
    }),
    { numRuns: 3_000 },
  );
  expect(addresses).toBeGreaterThan(500);
});
