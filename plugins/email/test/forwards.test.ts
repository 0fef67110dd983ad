import { describe, expect, it } from 'vitest';
import { forwardIn } from '../forwards.ts';
import { channel, fixture, parsed, person, secondsOfWork } from './support.ts';

const SEPARATOR = '---------- Forwarded message ---------\n';
const BLOCK =
  '---------- Forwarded message ---------\nFrom: Dora Quinn <dora@buyer.example>\nDate: Sun, 1 Mar 2026\nSubject: Order 4711\nTo: <ada@acme.example>\n\nMy order has not come.';

/** A mail of Ada's, with that subject and text. */
function mail(subject: string, text: string, more = ''): string {
  return `From: Ada Lindqvist <ada@acme.example>\r\nTo: support@acme.example\r\nSubject: ${subject}\r\nMessage-ID: <f@acme.example>\r\n${more}\r\n${text.replaceAll('\n', '\r\n')}\r\n`;
}

describe('a forwarded mail', () => {
  it('is its first author’s, under its own subject; whoever forwarded it takes part, with the note on top [EMAIL-4]', async () => {
    expect(await parsed(fixture('forward'))).toMatchObject({
      contact: person('dora@buyer.example', 'Dora Quinn'),
      participants: [person('ada@acme.example', 'Ada Lindqvist'), person('cleo@partner.example', 'Cleo')],
      subject: 'Order 4711',
      text: 'Can somebody look into this?\n\nMy order has not come.',
      quoted: {
        text: '---------- Forwarded message ---------\nFrom: Dora Quinn <dora@buyer.example>\nDate: Sun, 1 Mar 2026 at 18:40\nSubject: Order 4711\nTo: <ada@acme.example>\n\nOn Fri, 27 Feb 2026 at 09:00, Shop <shop@other.example> wrote:\n> It is on its way.',
      },
    });
  });

  it('is the forwarder’s where the channel wants it so, whole [EMAIL-4]', async () => {
    const kept = await parsed(fixture('forward'), {}, channel({ forwards: 'forwarder' }));
    expect(kept).toMatchObject({ contact: person('ada@acme.example', 'Ada Lindqvist'), subject: 'Fwd: Order 4711' });
    expect(kept.text).toContain('From: Dora Quinn <dora@buyer.example>');
    expect(kept.text).toContain('> It is on its way.');
    expect(kept).not.toHaveProperty('quoted');
  });

  it('is vouched for by nobody, whoever forwarded it: only our token lets it join [EMAIL-4, EMAIL-8]', async () => {
    const checked = {
      client: null,
      local: false,
      spf: { result: 'none', domain: null },
      dkim: [{ result: 'pass', domain: 'acme.example', whole: true }],
      dmarc: { result: 'pass', from: 'acme.example', signed: true },
      arc: { result: 'none', sealer: null, says: '' },
    };
    const vouched = { 'x-checked': JSON.stringify(checked) };
    expect((await parsed(mail('Order', BLOCK), vouched)).authentication?.verdict).toBe('pass');
    expect((await parsed(mail('Fwd: Order', BLOCK), vouched)).authentication).toMatchObject({ verdict: 'unknown', checks: { dmarc: 'pass' } });
    expect((await parsed(mail('Fwd: Order', BLOCK), vouched, channel({ forwards: 'forwarder' }))).authentication?.verdict).toBe('pass');
  });

  it.each([
    [
      'Apple Mail',
      'Fwd: Order 4711',
      'Begin forwarded message:\n\n> From: Dora Quinn <dora@buyer.example>\n> Subject: Order 4711\n> Date: 1 March 2026 at 18:40:05 CET\n> To: ada@acme.example\n>\n> My order has not come.',
    ],
    [
      'Outlook, Spanish',
      'RV: Order 4711',
      'De: Dora Quinn <dora@buyer.example>\nEnviado: domingo, 1 de marzo de 2026 18:40\nPara: Ada\nAsunto: Order 4711\n\nMy order has not come.',
    ],
    [
      'Outlook, French',
      'TR : Order 4711',
      'De : Dora Quinn <dora@buyer.example>\nEnvoyé : dimanche 1 mars 2026 18:40\nÀ : Ada\nObjet : Order 4711\n\nMy order has not come.',
    ],
    [
      'Thunderbird',
      '[Fwd: Order 4711]',
      '-------- Forwarded Message --------\nSubject: Order 4711\nDate: Sun, 1 Mar 2026\nFrom: Dora Quinn <dora@buyer.example>\nTo: ada@acme.example\n\nMy order has not come.',
    ],
    ['a group’s mark before', '[team] FW: Order 4711', `\n\n${BLOCK}`],
  ])('is known by its subject and its block: %s [EMAIL-4]', async (_what, subject, text) => {
    const found = await parsed(mail(subject, text));
    expect(found.contact).toEqual(person('dora@buyer.example', 'Dora Quinn'));
    expect(found.text).toBe('My order has not come.');
    expect(found.subject).toBe('Order 4711');
  });

  it('may have been forwarded before: it is the mail of whoever wrote it first [EMAIL-4]', async () => {
    const twice = `Please.\n\n---------- Forwarded message ---------\nFrom: Emil <emil@acme.example>\nDate: Sun\nSubject: Fwd: Order 4711\nTo: <ada@acme.example>\n\nCan you?\n\n${BLOCK}`;
    expect(await parsed(mail('Fwd: Fwd: Order 4711', twice))).toMatchObject({
      contact: person('dora@buyer.example', 'Dora Quinn'),
      text: 'Please.\n\nCan you?\n\nMy order has not come.',
    });
  });

  it.each([
    ['an answer that quotes one', 'Re: Fwd: Order', `Any news?\n\n${BLOCK}`],
    ['a mark and nothing forwarded', 'Fwd: Order', 'I have lost the mail, but you know which one.'],
    ['a block and no mark', 'Order', BLOCK],
    ['nobody named by an address', 'FW: Order', 'From: Dora Quinn\nSent: Sunday\nTo: Ada\nSubject: Order\n\nHello'],
    ['a mail of ours', 'Fwd: Order', BLOCK.replace('dora@buyer.example', 'Support+x@acme.example')],
    ['a Finnish answer', 'VS: Order', 'Lähettäjä: Dora <dora@buyer.example>\nLähetetty: 1. maaliskuuta\nVastaanottaja: Ada\nAihe: Order\n\nHei'],
    ['an automatic mail', 'Fwd: Order', BLOCK],
  ])('is none: %s [EMAIL-4]', async (what, subject, text) => {
    const found = await parsed(mail(subject, text, what === 'an automatic mail' ? 'Auto-Submitted: auto-generated\r\n' : ''));
    expect(found).toMatchObject({ contact: person('ada@acme.example', 'Ada Lindqvist'), subject });
  });

  it('may be attached: one is the mail, several are a bundle [EMAIL-4]', async () => {
    const attached = (mails: readonly string[], subject = 'Fwd: Order 4711') =>
      `From: Ada Lindqvist <ada@acme.example>\r\nSubject: ${subject}\r\nMessage-ID: <f@acme.example>\r\nContent-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\n\r\nSee attached.\r\n` +
      `${mails.map((one) => `--f\r\nContent-Type: message/rfc822\r\n\r\n${one}\r\n`).join('')}--f--\r\n`;
    const order = 'From: Dora Quinn <dora@buyer.example>\r\nSubject: Order 4711\r\nMessage-ID: <o@buyer.example>\r\n\r\nMy order has not come.';
    expect(await parsed(attached([order]))).toMatchObject({
      contact: person('dora@buyer.example', 'Dora Quinn'),
      participants: [person('ada@acme.example', 'Ada Lindqvist')],
      text: 'See attached.\n\nMy order has not come.',
      thread: { joins: [], keys: ['<f@acme.example>'] },
      attachments: [{ fileName: 'mail-1.eml', type: 'message/rfc822' }],
    });
    for (const other of [attached([order, order]), attached([order], 'Order'), attached([order.replace('dora@buyer.example', 'dora')])]) {
      expect((await parsed(other)).contact).toEqual(person('ada@acme.example', 'Ada Lindqvist'));
    }
  });

  it('is looked for in time that does not grow with what is made to be slow [PLUG-11]', async () => {
    for (const piece of [
      'a <b>',
      'a, b <c>',
      '\n',
      ' ',
      'From: ',
      'From: a <b>\n',
      '---\n',
      '> ',
      'On a, "b" <c>\n',
      '<',
      '[',
      '\u00a0',
      'x:\n',
      '_'.repeat(32) + '\n',
    ]) {
      const filling = piece.repeat(Math.floor(1_000_000 / piece.length));
      const seconds = await secondsOfWork(() => ['', SEPARATOR, `${SEPARATOR}From: `].map((before) => forwardIn('Fwd: x', before + filling)));
      expect(seconds, JSON.stringify(piece)).toBeLessThan(4);
    }
  });
});
