import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InboundMessage } from '@trunkline/channel-sdk';
import { fixture, parsed } from './support.ts';

const encoder = new TextEncoder();
const MAILS = ['plain', 'answer', 'away', 'bounce', 'group'].map((name) => encoder.encode(fixture(name)));

/** What the engine can store, whatever came. */
function expectStorable(message: InboundMessage): void {
  JSON.stringify(message, (key, value: unknown) => {
    if (typeof value === 'string' && (!value.isWellFormed() || value.includes('\0'))) throw new Error(`${key} can not be stored`);
    return value;
  });
  expect(message.providerMessageId).toMatch(/^(<[^<>\s]{1,502}>|sha256:[0-9a-f]{64})$/u);
  expect(message.thread.keys).toEqual([message.providerMessageId]);
}

/** A mail with some of its bytes changed, left out or doubled. */
const mutated = fc
  .tuple(fc.constantFrom(...MAILS), fc.array(fc.tuple(fc.nat(), fc.nat(60), fc.uint8Array({ maxLength: 12 })), { minLength: 1, maxLength: 8 }))
  .map(([mail, cuts]) => {
    const bytes = [...mail];
    for (const [place, length, filling] of cuts) bytes.splice(place % (bytes.length + 1), length, ...filling);
    return Uint8Array.from(bytes);
  });

describe('any bytes at all', () => {
  it('become a message without an exception: 1,000 random ones [EMAIL-7]', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), async (bytes) => expectStorable(await parsed(bytes))),
      { numRuns: 1_000 },
    );
  });

  it('become a message without an exception: 1,000 broken mails [EMAIL-7]', async () => {
    await fc.assert(
      fc.asyncProperty(mutated, async (bytes) => expectStorable(await parsed(bytes))),
      { numRuns: 1_000 },
    );
  });

  it('have an unknown sender where there is no From, and the hash of the bytes as key where there is no Message-ID [EMAIL-7]', async () => {
    const nothing = await parsed('');
    expect(nothing).toMatchObject({ contact: null, text: '', dedupeKey: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' });
    const one = await parsed('Subject: a\r\n\r\nb');
    expect(await parsed('Subject: a\r\n\r\nb')).toEqual(one);
    expect((await parsed('Subject: a\r\n\r\nc')).dedupeKey).not.toBe(one.dedupeKey);
    expect((await parsed('From: undisclosed:;\r\n\r\nb')).contact).toBeNull();
    expect((await parsed('Message-ID: <>\r\n\r\nb')).dedupeKey).toMatch(/^sha256:/);
  });

  it('are read in the charset they are in, or one that is near: unknown ones, 8-bit headers, wrong labels [EMAIL-7]', async () => {
    const latin = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const old = await parsed(latin('From: J\xf6rg <j@b.c>\r\nSubject: Gr\xfc\xdfe\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nsch\xf6n'));
    expect(old).toMatchObject({ contact: { name: 'Jörg' }, subject: 'Grüße', text: 'schön' });
    expect((await parsed('From: Jörg <j@b.c>\r\n\r\nx')).contact?.name).toBe('Jörg');
    expect((await parsed('Content-Type: text/plain; charset=klingon\r\n\r\nnuqneH')).text).toBe('nuqneH');
    expect((await parsed('Subject: a\0b\r\n\r\nc\0d')).text).toBe('cd');
  });

  it('still say who wrote and what they answer where the parser gives up: endless headers, parts nested 400 deep [EMAIL-7]', async () => {
    const head = 'From: ben@customer.example\r\nMessage-ID: <deep@x>\r\nIn-Reply-To: <ours@y>\r\n';
    const nested = Array.from({ length: 400 }, (_, depth) => `Content-Type: multipart/mixed; boundary="b${depth}"\r\n\r\n--b${depth}\r\n`).join('');
    for (const mail of [`${head}${nested}`, `${head}X-Long: ${'a'.repeat(3_000_000)}\r\n\r\nhi`]) {
      expect(await parsed(mail)).toMatchObject({ contact: { value: 'ben@customer.example' }, dedupeKey: '<deep@x>', thread: { joins: ['<ours@y>'] } });
    }
  });

  it('do not take long when they are meant to: a megabyte of brackets, commas or boundaries [PLUG-11]', async () => {
    for (const piece of ['<', 'a@b.c,', '"', '(', '=?utf-8?q?', ';', 'a:']) {
      const started = performance.now();
      const filling = piece.repeat(Math.floor(400_000 / piece.length));
      await parsed(`From: ${filling}\r\nTo: ${filling}\r\nReferences: ${filling}\r\nContent-Type: ${filling}\r\n\r\n${filling}`);
      expect(performance.now() - started, piece).toBeLessThan(5_000);
    }
  });
});
