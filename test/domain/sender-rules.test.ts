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
  const of = (address: string, allowed: boolean, denied: boolean, channel: string | null = own) => {
    const sender = { address, allowed, denied };
    return spamReason(sender, sender, channel);
  };
  expect(of('ben@out.example', false, false)).toBeNull();
  expect(of('ben@out.example', false, true)).toBe('DENY_LIST');
  expect(of('ben@out.example', true, true)).toBeNull();
  expect(of(own, false, false)).toBe('FROM_ITSELF');
  expect(of(own, true, false)).toBeNull();
  expect(of(own, false, false, null)).toBeNull();
});

it('judges a forward by who sent it and by whose mail it is said to be, and lets only the first clear it [EMAIL-6]', () => {
  const own = 'support@acme.com';
  const plain = { address: 'ben@out.example', allowed: false, denied: false };
  const itself = { ...plain, address: own };
  expect(spamReason({ ...plain, denied: true }, { ...plain, allowed: true }, own)).toBe('DENY_LIST');
  expect(spamReason(plain, { ...plain, denied: true }, own)).toBe('DENY_LIST');
  expect(spamReason(plain, { ...plain, denied: true, allowed: true }, own)).toBe('DENY_LIST');
  expect(spamReason({ ...plain, allowed: true }, { ...plain, denied: true }, own)).toBeNull();
  for (const [author, contact] of [
    [itself, plain],
    [plain, itself],
    [itself, { ...plain, allowed: true }],
  ] as const) {
    expect(spamReason(author, contact, own)).toBe('FROM_ITSELF');
  }
  expect(spamReason(plain, plain, own)).toBeNull();
});
