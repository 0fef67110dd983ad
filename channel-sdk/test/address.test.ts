import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress } from '../index.ts';

describe('a mail address', () => {
  it.each([
    [' Ada@Example.COM ', 'ada@example.com'],
    ['ada+x@münchen.example', 'ada+x@xn--mnchen-3ya.example'],
    ['ada@xn--mnchen-3ya.example', 'ada@xn--mnchen-3ya.example'],
  ])('%s is known as %s, however it is written [MODEL-3]', (written, known) => expect(canonicalAddress(written)).toBe(known));

  it.each([
    '',
    '@',
    'ada',
    'ada@',
    '@example.com',
    'a b@example.com',
    'ada@exa mple.com',
    'ada@.com',
    'ada@a..b',
    '"a"@b.c',
    'a@b@c',
    'ada@ü/x',
    'ada@ü:80',
    `${'x'.repeat(250)}@b.example`,
  ])('%s is none', (text) => expect(canonicalAddress(text)).toBeUndefined());

  it('that is canonical stays as it is, and holds nothing that ends an address early in a header or a command [MODEL-3]', () => {
    const letter = fc.constantFrom(...'aAzZ0.+-_@ <>"(),;:[]\\äÉßİı。\u0000\u200b\r\n'.split(''));
    const near = fc
      .tuple(fc.string({ unit: letter, maxLength: 12 }), fc.string({ unit: letter, maxLength: 12 }))
      .map(([local, domain]) => `${local}@${domain}`);
    let addresses = 0;
    fc.assert(
      fc.property(fc.oneof(near, fc.emailAddress(), fc.string({ unit: 'binary' })), (text) => {
        const canonical = canonicalAddress(text);
        if (canonical === undefined) return;
        addresses += 1;
        expect(canonicalAddress(canonical)).toBe(canonical);
        expect(canonical).toMatch(/^[^\s<>()[\]\\,;:"@]+@[a-z0-9.-]+$/);
      }),
      { numRuns: 3_000 },
    );
    expect(addresses).toBeGreaterThan(500);
  });
});
