import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseSenderPattern, patternsFor, spamReason } from '#domain/sender-rules.ts';

it('reads an address or a domain, however it is written [EMAIL-6]', () => {
  expect(parseSenderPattern(' Ben@Acme.COM ')).toBe('ben@acme.com');
  for (const typed of ['acme.com', '@acme.com', '*@acme.com']) expect(parseSenderPattern(typed)).toBe('@acme.com');
  expect(parseSenderPattern('mail.acme.co.uk')).toBe('@mail.acme.co.uk');
});

it('refuses what is neither, and a whole top-level domain [EMAIL-6]', () => {
  const wrong = [
    '',
    '@',
    'ben@',
    'com',
    '@com',
    'ben@localhost',
    'a b@acme.com',
    'a@b@acme.com',
    'acme..com',
    '.acme.com',
    'acme.com.',
    '-a.com',
    '<ben@acme.com>',
  ];
  for (const typed of [...wrong, `${'a'.repeat(250)}@acme.com`, 'ben@acme.com\n', '*.acme.com', 'b%n@ac_me.com'].filter((one) => one.trim() === one)) {
    expect(parseSenderPattern(typed), typed).toBeUndefined();
  }
});

it('matches an address by itself, by its domain and by each domain above, and by no other [EMAIL-6]', () => {
  expect(patternsFor('ben@mail.acme.com')).toEqual(['ben@mail.acme.com', '@mail.acme.com', '@acme.com', '@com']);
  expect(patternsFor('ben@notacme.com')).not.toContain('@acme.com');
  const label = fc.stringMatching(/^[a-z0-9]{1,8}$/);
  fc.assert(
    fc.property(label, fc.array(label, { minLength: 2, maxLength: 5 }), (local, labels) => {
      const address = `${local}@${labels.join('.')}`;
      expect(patternsFor(address)).toContain(parseSenderPattern(address));
      expect(patternsFor(address)).toContain(parseSenderPattern(labels.slice(-2).join('.')));
    }),
  );
});

it('lets the allow list win over the deny list and over mail from the channel to itself [EMAIL-6]', () => {
  const own = 'support@acme.com';
  expect(spamReason('ben@out.example', { allowed: false, denied: false }, own)).toBeNull();
  expect(spamReason('ben@out.example', { allowed: false, denied: true }, own)).toBe('DENY_LIST');
  expect(spamReason('ben@out.example', { allowed: true, denied: true }, own)).toBeNull();
  expect(spamReason(own, { allowed: false, denied: false }, own)).toBe('FROM_ITSELF');
  expect(spamReason(own, { allowed: true, denied: false }, own)).toBeNull();
  expect(spamReason(own, { allowed: false, denied: false }, null)).toBeNull();
});
