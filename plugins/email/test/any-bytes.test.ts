import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InboundMessage } from '@trunkline/channel-sdk';
import { fixture, parsed, secondsOfWork } from './support.ts';

const encoder = new TextEncoder();
const MAILS = ['plain', 'answer', 'away', 'bounce', 'group', 'forward', 'history'].map((name) => encoder.encode(fixture(name)));

/** What the engine can store, whatever came. */
function expectStorable(message: InboundMessage): void {
  JSON.stringify(message, (key, value: unknown) => {
    if (typeof value === 'string' && (!value.isWellFormed() || value.includes('\0'))) throw new Error(`${key} can not be stored`);
    return value;
  });
  expect(message.providerMessageId).toMatch(/^(<[^<>\s]{1,502}>|sha256:[0-9a-f]{64})$/u);
  expect(message.thread.keys).toEqual([message.providerMessageId]);
}

/** Parts within parts, all still open. */
function nested(depth: number): string {
  return Array.from({ length: depth }, (_, index) => `Content-Type: multipart/mixed; boundary="b${index}"\r\n\r\n--b${index}\r\n`).join('');
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

  it('become a message without an exception: 4,000 broken mails, and nobody is contact whose address does not stand in them [EMAIL-4, EMAIL-7]', async () => {
    await fc.assert(
      fc.asyncProperty(mutated, async (bytes) => {
        const mail = await parsed(bytes);
        expectStorable(mail);
        // A domain of other letters is stored in an ASCII form that stands in no mail.
        if (!bytes.every((byte) => byte < 0x80) || mail.contact === null) return;
        const source = Buffer.from(bytes)
          .toString('latin1')
          .toLowerCase()
          .replace(/[^a-z0-9]/g, '');
        // Servers and the parser leave out what may not stand in an address; what is left stood there.
        for (const piece of mail.contact.value.split(/[^a-z0-9]+/)) expect(source).toContain(piece);
      }),
      { numRuns: 4_000 },
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
    const typed = (charset: string, bytes: string, coding = '8bit') =>
      parsed(latin(`Content-Type: text/plain; charset=${charset}\r\nContent-Transfer-Encoding: ${coding}\r\n\r\n${bytes}`));
    expect((await typed('utf-8', 'sch\xf6n, \xa9')).text).toBe('schön, ©');
    expect((await typed('utf-8', 'sch=F6n', 'quoted-printable')).text).toBe('schön');
    expect((await typed('iso-8859-1', 'sch\xc3\xb6n \xe2\x82\xac')).text).toBe('schön €');
    expect((await typed('iso-8859-1', '\xc3 la carte')).text).toBe('Ã la carte');
    expect((await typed('utf-7', 'Gr+APwA3w-e +- mehr')).text).toBe('Grüße + mehr');
    expect((await typed('utf-16', '/v8AaABp', 'base64')).text).toBe('hi');
    expect((await typed('gb18030', '\xc4\xe3\xba\xc3')).text).toBe('你好');
    expect((await typed('iso-2022-jp', '\x1b$B$3$s\x1b(B')).text).toBe('こん');
    expect((await typed('koi8-r', '\xf0\xf2')).text).toBe('ПР');
    expect((await typed('windows-1251', '\xcf')).text).toBe('П');
    expect((await typed('utf-8', 'aG!!k\r\n*=', 'base64')).text).toBe('hi');
    expect((await parsed(latin('From: a@b.example\r\n\r\nsch\xf6n'))).text).toBe('schön');
    expect((await parsed('Subject: =?utf-8?B?c2Noww==?=\r\n =?utf-8?B?tm4=?=\r\n\r\n')).subject).toBe('schön');
  });

  it('still say who wrote and what they answer where the parser gives up: endless headers, parts nested 5,000 deep [EMAIL-7]', async () => {
    const head = 'From: ben@customer.example\r\nMessage-ID: <deep@x>\r\nIn-Reply-To: <ours@y>\r\n';
    for (const mail of [`${head}${nested(5_000)}`, `${head}X-Long: ${'a'.repeat(3_000_000)}\r\n\r\nhi`]) {
      expect(await parsed(mail)).toMatchObject({ contact: { value: 'ben@customer.example' }, providerMessageId: '<deep@x>', thread: { joins: ['<ours@y>'] } });
    }
  });

  it('are read to the ground where they are nested 500 deep [EMAIL-7]', async () => {
    expect((await parsed(`From: a@b.example\r\n${nested(500)}Content-Type: text/plain\r\n\r\ndown here`)).text).toBe('down here');
    const deep = `${'<div>'.repeat(500)}down here${'</div>'.repeat(500)}`;
    expect((await parsed(`Content-Type: text/html\r\n\r\n${deep}`)).text).toBe('down here');
    expect((await parsed(`Content-Type: text/html\r\n\r\n${'<div>'.repeat(100_000)}down here`)).text).toBe('down here');
  });

  it('of ten thousand parts become one message with as many files as anybody could want [EMAIL-7]', async () => {
    const parts = Array.from({ length: 10_000 }, (_, index) => `--p\r\nContent-Type: image/png; name=${index}.png\r\n\r\nx\r\n`).join('');
    const mail = await parsed(`From: a@b.example\r\nContent-Type: multipart/mixed; boundary=p\r\n\r\n${parts}--p--\r\n`);
    expect(mail.attachments).toHaveLength(1_000);
  });

  it('do not take long when they are meant to: a megabyte of brackets, commas or boundaries [PLUG-11]', async () => {
    for (const piece of ['<', 'a@b.c,', '"', '(', '=?utf-8?q?', ';', 'a:']) {
      const filling = piece.repeat(Math.floor(400_000 / piece.length));
      const mail = `From: ${filling}\r\nTo: ${filling}\r\nReferences: ${filling}\r\nContent-Type: ${filling}\r\n\r\n${filling}`;
      expect(await secondsOfWork(() => parsed(mail)), piece).toBeLessThan(5);
    }
  });
});
