import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';
import { extractAttachments } from '../attachments.ts';
import { htmlToText } from '../html-text.ts';
import { delivery, fixture, parsed, person } from './support.ts';

describe('a mail', () => {
  it('gives its words, its decoded subject and who wrote it', async () => {
    const mail = await parsed(fixture('plain'));
    expect(mail).toMatchObject({
      direction: 'inbound',
      providerMessageId: '<lamp-1@customer.example>',
      dedupeKey: '<lamp-1@customer.example>',
      contact: person('ben@customer.example', 'Ben Carter'),
      subject: 'The lamp in the küche is broken',
      text: 'It flickers, then goes dark. ¿What now?',
      thread: { joins: [], keys: ['<lamp-1@customer.example>'] },
    });
    expect(mail).not.toHaveProperty('automatic');
  });

  it('never takes the Date its sender wrote for the time it came [MODEL-4]', async () => {
    expect(await parsed(fixture('plain'))).not.toHaveProperty('occurredAt');
  });

  it('counts To and Cc as participants, but neither our own addresses nor the sender', async () => {
    const mail = await parsed(fixture('plain'));
    expect(mail.participants).toEqual([person('cleo@partner.example', 'Cleo'), person('dov@partner.example', 'Dov, Warehouse')]);
    const aliased = await parsed(fixture('plain'), { 'rcpt-to': 'cleo@partner.example' });
    expect(aliased.participants).toEqual([person('dov@partner.example', 'Dov, Warehouse')]);
  });

  it('joins by In-Reply-To, then by References from the newest, never by its subject [EMAIL-5]', async () => {
    const mail = await parsed(fixture('answer'));
    expect(mail.thread).toEqual({
      joins: ['<trunkline.abc@acme.example>', '<lamp-2@acme.example>', '<lamp-1@customer.example>'],
      keys: ['<lamp-3@customer.example>'],
    });
    expect((await parsed('Subject: Re: The lamp\r\nMessage-ID: <x@y>\r\n\r\nhi')).thread.joins).toEqual([]);
    expect(plugin.capabilities.joinsParticipantsOnly).toBe(true);
  });

  it('reads HTML where there is no text part, and keeps the HTML [CH-7]', async () => {
    const mail = await parsed(fixture('answer'));
    expect(mail.text).toBe('Grüße & thanks,\n\n- one\n- two\n\nsee [https://customer.example/lamp] the photo\na lamp');
    expect(mail.html).toContain('<p>Grüße');
  });

  it('refers to its attachments and takes them from the stored delivery [CH-6, PLUG-4]', async () => {
    const mail = await parsed(fixture('answer'));
    expect(mail.attachments).toEqual([
      { ref: '0', fileName: 'attachment-1', type: 'image/png', bytes: 8, contentId: 'lamp@photo' },
      { ref: '1', fileName: 'bill.pdf', type: 'application/pdf', bytes: 9 },
    ]);
    const [, bill] = mail.attachments;
    if (bill === undefined) throw new Error('no attachment');
    const files = await extractAttachments([bill, { ...bill, ref: '7' }, { ...bill, ref: 'x' }], delivery(fixture('answer')));
    expect(files.map((file) => file && new TextDecoder().decode(file))).toEqual(['%PDF-1.4\n', null, null]);
  });
});

describe('mail by machines', () => {
  it('knows auto-replies and bounces, and what a bounce brings back [EMAIL-6]', async () => {
    expect(await parsed(fixture('away'))).toMatchObject({ automatic: 'auto-reply', thread: { joins: ['<trunkline.abc@acme.example>'] } });
    expect(await parsed(fixture('bounce'))).toMatchObject({ automatic: 'bounce', thread: { joins: ['<trunkline.gone@acme.example>'] } });
    expect(await parsed('From: a@b.c\r\n\r\nhi', { 'mail-from': '' })).toMatchObject({ automatic: 'bounce' });
    for (const header of [
      'Precedence: bulk',
      'Precedence: auto_reply',
      'X-Autoreply: yes',
      'X-Auto-Response-Suppress: DR, All',
      'Auto-Submitted: auto-generated',
    ]) {
      expect((await parsed(`From: a@b.c\r\n${header}\r\n\r\nhi`)).automatic, header).toBe('auto-reply');
    }
  });

  it('takes a person writing through a group for a person [EMAIL-1, EMAIL-6]', async () => {
    expect(await parsed(fixture('group'))).not.toHaveProperty('automatic');
    expect(await parsed('From: a@b.c\r\nAuto-Submitted: no\r\n\r\nhi')).not.toHaveProperty('automatic');
  });
});

describe('HTML to text', () => {
  it('keeps to one pass on hostile input', () => {
    const started = performance.now();
    for (const piece of ['<', '<a ', '<!--', '<p x="', '&#x', '<script>', '<pre> ', '<a href="', '</']) htmlToText(piece.repeat(100_000));
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it('does not show scripts, and keeps a lone bracket and a quoted one', () => {
    expect(htmlToText('a<script>alert("<p>")</script >b 1 < 2 <p title="x>y">c&nbsp;&#228;&bogus;')).toBe('ab 1 < 2\n\nc ä&bogus;');
    expect(htmlToText('a <p class="never closed>b</p> c')).toContain('c');
  });
});
