import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';
import { extractAttachments } from '../attachments.ts';
import { messageIds, messageIdOf } from '../message-id.ts';
import { replyToken } from '../token.ts';
import { channel, delivery, fixture, parsed, person, pluginContext } from './support.ts';

describe('a mail', () => {
  it('gives its words, its decoded subject and who wrote it', async () => {
    const mail = await parsed(fixture('plain'));
    expect(mail).toMatchObject({
      direction: 'inbound',
      providerMessageId: '<lamp-1@customer.example>',
      contact: person('ben@customer.example', 'Ben Carter'),
      subject: 'The lamp in the küche is broken',
      text: 'It flickers, then goes dark. ¿What now?',
      thread: { joins: [], keys: ['<lamp-1@customer.example>'] },
      authentication: { verdict: 'unknown' },
    });
    for (const absent of ['automatic', 'quoted', 'originalHtml', 'html']) expect(mail).not.toHaveProperty(absent);
    expect(mail.thread).not.toHaveProperty('proven');
  });

  it('never takes the Date its sender wrote for the time it came [MODEL-4]', async () => {
    expect(await parsed(fixture('plain'))).not.toHaveProperty('occurredAt');
  });

  it('counts To and Cc as participants, but neither our own addresses nor the sender', async () => {
    const mail = await parsed(fixture('plain'));
    expect(mail.participants).toEqual([person('cleo@partner.example', 'Cleo'), person('dov@partner.example', 'Dov, Warehouse')]);
    const aliased = await parsed(fixture('plain'), { 'rcpt-to': 'cleo@partner.example' });
    expect(aliased.participants).toEqual([person('dov@partner.example', 'Dov, Warehouse')]);
    const many = 'From: ben@customer.example\r\nTo: hello@acme.example, support+sales@acme.example, support-1+tag@in.trunkline.example\r\n\r\nhi';
    expect((await parsed(many, {}, channel({ fromAddress: 'hello@acme.example' }))).participants).toEqual([]);
  });

  it('is ours where it comes from the other address we send as: told as the connected one, so that it is known as our own [EMAIL-6]', async () => {
    const info = channel({ fromAddress: 'hello@acme.example' });
    expect((await parsed('From: Acme <Hello@acme.example>\r\n\r\nhi', {}, info)).contact).toEqual(person('support@acme.example', 'Acme'));
    expect((await parsed('From: Acme <hello@acme.example>\r\n\r\nhi')).contact).toEqual(person('hello@acme.example', 'Acme'));
  });

  it('joins by In-Reply-To, then by References from the newest, never by its subject [EMAIL-5]', async () => {
    const mail = await parsed(fixture('answer'));
    expect(mail.thread).toEqual({
      joins: ['<trunkline.abc@acme.example>', '<lamp-2@acme.example>', '<lamp-1@customer.example>'],
      keys: ['<lamp-3@customer.example>'],
    });
    expect((await parsed('Subject: Re: The lamp\r\nMessage-ID: <x@y>\r\nReferences: <x@y>\r\n\r\nhi')).thread.joins).toEqual([]);
    expect(plugin.capabilities.joinsParticipantsOnly).toBe(true);
  });

  it('keeps of hundreds of references the first, which began the thread, and the last [EMAIL-5]', () => {
    const ids = messageIds(Array.from({ length: 700 }, (_, index) => `<${index}@x>`).join(' '));
    expect(ids).toHaveLength(50);
    expect([ids[0], ids[1], ids.at(-1)]).toEqual(['<0@x>', '<651@x>', '<699@x>']);
  });

  it('is proven by our token wherever servers left the address, in the envelope first [EMAIL-5]', async () => {
    const { sign } = pluginContext();
    const [one, two, three] = ['one', 'two', 'three'].map((id) => replyToken(id, sign));
    const mail =
      `From: ben@customer.example\r\nTo: Acme <support+${two}@acme.example>\r\nCc: x@y.example\r\n` +
      `X-Forwarded-To: support-1+${three}@old.example, other@acme.example\r\nDelivered-To: support-2+${replyToken('four', sign)}@in.trunkline.example\r\n\r\nhi`;
    const { thread, participants } = await parsed(mail, { 'rcpt-to': `support-1+${one}@in.trunkline.example` });
    expect(thread.proven).toEqual([`token:${one}`, `token:${two}`, `token:${three}`]);
    expect(participants).toEqual([person('x@y.example')]);
  });

  it('refers to its attachments and takes them from the stored delivery, those of an attached mail too [CH-6, PLUG-4]', async () => {
    const mail = await parsed(fixture('answer'));
    expect(mail.attachments).toEqual([
      { ref: '0', fileName: 'attachment-1', type: 'image/png', bytes: 8, contentId: 'lamp@photo' },
      { ref: '1', fileName: 'bill.pdf', type: 'application/pdf', bytes: 9 },
    ]);
    const read = async (body: string, refs: readonly string[]) => {
      const files = await extractAttachments(
        refs.map((ref) => ({ ref, fileName: 'x', type: 'x' })),
        delivery(body),
      );
      return files.map((file) => file && new TextDecoder().decode(file));
    };
    expect(await read(fixture('answer'), ['1', '7', '1.0', 'x'])).toEqual(['%PDF-1.4\n', null, null, null]);
    const attached = `From: a@b.example\r\nSubject: Fwd: two\r\nContent-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\nContent-Type: message/rfc822\r\n\r\n${fixture('answer')}\r\n--f--\r\n`;
    expect((await parsed(attached)).attachments.map(({ ref, fileName }) => [ref, fileName])).toEqual([
      ['0', 'mail-1.eml'],
      ['0.0', 'attachment-1'],
      ['0.1', 'bill.pdf'],
    ]);
    expect(await read(attached, ['0.1', '0.2', '1.0'])).toEqual(['%PDF-1.4\n', null, null]);
  });

  it('is one mail on whatever way it comes, and another where only the Message-ID is the same [MODEL-4, EMAIL-7]', async () => {
    const head = 'From: ben@customer.example\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\nSubject: A lamp\r\nMessage-ID: <same@broken.example>\r\n';
    const first = await parsed(`${head}\r\nIt is broken, and I should like another.\r\n`);
    const forwarded = await parsed(
      `Received: from a by b\r\nDKIM-Signature: v=1\r\n${head.replace('A lamp', 'A\r\n lamp')}Content-Type: text/plain; charset=utf-8\r\n` +
        'Content-Transfer-Encoding: quoted-printable\r\n\r\nIt is broken, and I should=\r\n like another.\r\n\r\n',
    );
    expect(forwarded.dedupeKey).toBe(first.dedupeKey);
    const others = [
      `${head}\r\nIt is broken, and I should like two.\r\n`,
      `${head.replace('10:00:00', '10:00:01')}\r\nIt is broken, and I should like another.\r\n`,
      `${head.replace('A lamp', 'A shade')}\r\nIt is broken, and I should like another.\r\n`,
      `${head.replace('ben@', 'cleo@')}\r\nIt is broken, and I should like another.\r\n`,
    ];
    const keys = await Promise.all(others.map(async (mail) => (await parsed(mail)).dedupeKey));
    expect(new Set([first.dedupeKey, ...keys]).size).toBe(5);
    expect((await parsed(others[0] ?? '')).providerMessageId).toBe('<same@broken.example>');
    // Under which the engine then keeps it, and what of that may stand in a header.
    expect(messageIdOf('<same@broken.example> again:0123456789abcdef')).toBe('<same@broken.example>');
    expect(messageIdOf('sha256:00')).toBeUndefined();
  });

  it('keeps Outlook’s own container under its own type, and says of a mail without words what it holds [EMAIL-7]', async () => {
    const only = (type: string, more = '', body = 'eA==') =>
      parsed(`From: a@b.example\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n${more}\r\n${body}\r\n`);
    expect(await only('application/octet-stream; name=winmail.dat')).toMatchObject({
      attachments: [{ fileName: 'winmail.dat', type: 'application/ms-tnef' }],
      text: expect.stringContaining('Outlook'),
    });
    expect((await only('application/pkcs7-mime; name="smime.p7m"')).text).toContain('S/MIME');
    const invitation =
      'BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Look at the\r\n  lamp\\, twice\r\nDTSTART:20260302T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR';
    expect((await only('text/calendar; method=REQUEST; charset=utf-8', '', Buffer.from(invitation).toString('base64'))).text).toBe(
      '[An invitation · Look at the lamp, twice · 20260302T100000Z]',
    );
    expect((await only('image/png')).text).toBe('');
  });
});
