import { describe, expect, it } from 'vitest';
import { htmlToText } from '../html-text.ts';
import { splitHtml } from '../quoted-html.ts';
import { splitText } from '../quotes.ts';
import { fixture, parsed, secondsOfWork } from './support.ts';

const HISTORY = '> Which colour?\n> Ada';
const OUTLOOK = 'From: Acme <support@acme.example>\nSent: Monday, 2 March 2026 10:12\nTo: Ben\nSubject: Re: The lamp\n\nWhich colour?';

describe('the history a mail quotes', () => {
  it('is split off, text and HTML alike, and all of the HTML is kept [CH-7]', async () => {
    const mail = await parsed(fixture('history'));
    expect(mail.text).toBe('The green one, please.');
    expect(mail.html).toBe('<div dir="ltr">The green one, please.</div><br>\n');
    expect(mail.quoted?.text).toBe('On Mon, 2 Mar 2026 at 10:12, Acme Support <support@acme.example> wrote:\n\n> Which colour do you want?');
    expect(mail.quoted?.html).toContain('Which colour do you want?');
    expect(mail.originalHtml).toContain('The green one, please.</div><br><div class="gmail_quote">');
  });

  it.each([
    ['English', 'On Mon, 2 Mar 2026 at 10:12, Acme Support <support@acme.example> wrote:'],
    ['German', 'Am Mo., 2. März 2026 um 10:12 Uhr schrieb Acme <support@acme.example>:'],
    ['French', 'Le lun. 2 mars 2026 à 10:12, Acme <support@acme.example> a écrit :'],
    ['Czech', 'po 2. 3. 2026 v 10:12 odesílatel Acme <support@acme.example> napsal:'],
    ['Japanese', '2026年3月2日(月) 10:12 Acme <support@acme.example>:'],
    ['over two lines', 'On Mon, 2 Mar 2026 at 10:12, Acme Support <\nsupport@acme.example> wrote:'],
    ['a sentence above it that ends alike', 'Please send to:\nOn Mon, 2 Mar 2026 at 10:12, Acme <support@acme.example> wrote:'],
  ])('begins with the line that announces it: %s [CH-7]', (what, line) => {
    const [above = '', ...rest] = what.startsWith('a sentence') ? line.split('\n') : ['', line];
    const halves = splitText(`Green.\n${above}\n${rest.join('\n')}\n${HISTORY}`);
    expect(halves).toEqual({ text: `Green.\n${above}`.trim(), quoted: `${rest.join('\n')}\n${HISTORY}` });
  });

  it.each([
    ['Outlook', OUTLOOK],
    ['Outlook, bold', OUTLOOK.replace(/^(\w+):/gm, '*$1:*')],
    ['Outlook, German', 'Von: Acme <support@acme.example>\nGesendet: Montag, 2. März 2026 10:12\nAn: Ben\nBetreff: AW: Lampe\n\nWelche Farbe?'],
    ['underscores above', `________________________________\n${OUTLOOK}`],
    ['a separator above', `-----Original Message-----\n${OUTLOOK}`],
    ['a date first', 'Gesendet: Montag um 10:12\nVon: Acme <support@acme.example>\nAn: Ben\nBetreff: Lampe\n\nWelche Farbe?'],
  ])('goes on to the end below a header block: %s [CH-7]', (_what, block) => {
    expect(splitText(`Green.\n\n${block}`)).toEqual({ text: 'Green.', quoted: block });
  });

  it('leaves the footer below it, and what stands alone under one quote, with what is new [CH-7]', () => {
    expect(splitText(`Green.\n\n${HISTORY}\n\n-- \nBen`)).toEqual({ text: 'Green.\n\n-- \nBen', quoted: HISTORY });
    expect(splitText(`${HISTORY}\n\nGreen.`)).toEqual({ text: 'Green.', quoted: HISTORY });
  });

  it.each([
    ['answers between the questions', '> Which colour?\n\nGreen.\n\n> Which plug?\n\nSwiss.'],
    ['an answer above and one below', `Hello,\n\n${HISTORY}\n\nGreen.`],
    ['an answer that says it goes on below', `See my answers below.\n\n${OUTLOOK} Green!`],
    ['nothing but a quote', `On Mon, 2 Mar 2026 at 10:12, Acme <a@b.example> wrote:\n${HISTORY}`],
    ['nothing but a header block', OUTLOOK],
    ['a sentence like an announcement', 'On Monday I wrote: it is broken.\n\nPlease call.'],
    ['a sentence that begins with From', 'From: the kitchen it looks fine.\nTo me it is broken.\n\nWhat next?'],
    ['a sender and one thing more', 'Green.\n\nFrom: Graz\nTo: Wien\n\nWhich train?'],
    ['a colon and an arrow', 'The path is:\n> Settings > Reset\nand there it hangs.'],
    ['a rule between two paragraphs', 'First.\n\n----------\n\nSecond.'],
  ])('is not split where in doubt: %s [CH-7]', (_what, text) => {
    expect(splitText(text)).toBeUndefined();
  });

  it.each([
    ['Gmail', '<div class="gmail_quote"><div class="gmail_attr">On … wrote:</div><blockquote class="gmail_quote">Old</blockquote></div>'],
    ['Apple Mail', '<blockquote type="cite"><div>On … wrote:</div>Old</blockquote>'],
    ['Thunderbird', '<div class="moz-cite-prefix">Am 02.03.26 um 10:12 schrieb Acme:</div><blockquote type="cite">Old</blockquote>'],
    ['Yahoo', '<div id="ydp1yahoo_quoted_1" class="yahoo_quoted">Old</div>'],
    ['ProtonMail', '<div class="protonmail_quote">On … wrote:<blockquote class="protonmail_quote" type="cite">Old</blockquote></div>'],
    ['Outlook on the web', '<div id="appendonsend"></div><hr><div id="divRplyFwdMsg"><b>From:</b> Acme</div><div>Old</div>'],
    ['Outlook mobile', '<hr><div id="divRplyFwdMsg" dir="ltr"><b>From:</b> Acme</div>Old'],
    [
      'Outlook for Windows',
      '<div><div style="border:none;border-top:solid #E1E1E1 1.0pt"><p><b>From:</b> Acme<br><b>Sent:</b> Monday</p></div></div><p>Old</p>',
    ],
    ['GMX', '<div name="quote"><b>Gesendet:</b> Montag<div>Old</div></div>'],
    ['Zimbra', '<hr id="zwchr"><div>From: Acme</div>Old'],
    ['an announcement outside the quote', '<div>On 2 Mar 2026 at 10:12, Acme wrote:</div><blockquote type="cite">Old</blockquote>'],
    ['two quotes one after the other', '<blockquote type="cite">Older</blockquote><br><blockquote type="cite">Old</blockquote>'],
  ])('is known in HTML by the marks of its program: %s [CH-7]', (_what, quote) => {
    const halves = splitHtml(`<html><body><p>Green.</p>${quote}</body></html>`);
    expect(htmlToText(halves?.html ?? '')).toBe('Green.');
    expect(htmlToText(halves?.quoted ?? '')).toContain('Old');
    expect(halves?.quoted ?? '').toContain('Acme'.slice(0, quote.includes('Acme') ? 4 : 0));
  });

  it.each([
    ['answers between', '<p>Hi</p><blockquote type="cite">Colour?</blockquote><p>Green</p><blockquote type="cite">Plug?</blockquote><p>Swiss</p>'],
    ['an answer below', '<p>Hi</p><div class="gmail_quote">Old</div><p>Green</p>'],
    ['nothing else', '<div><br></div><div class="gmail_quote">Old</div>'],
    ['a blockquote of the writer’s own', '<p>The manual says:</p><blockquote>Turn it.</blockquote><p>I did.</p>'],
    ['a line of the writer’s own', '<p>Green.</p><div style="border-top:solid #E1E1E1 1.0pt"><p>Regards, Ben</p></div>'],
    ['an empty quote', '<p>Green.</p><blockquote type="cite"><br></blockquote>'],
  ])('is left in HTML where in doubt: %s [CH-7]', (_what, html) => {
    expect(splitHtml(html)).toBeUndefined();
  });

  it('stays above a signature that stands below it in HTML, which is kept [CH-7]', () => {
    const halves = splitHtml('<p>Green.</p><div class="gmail_quote">Old</div><br><div class="gmail_signature">Ben, Customer Ltd</div>');
    expect(htmlToText(halves?.html ?? '')).toContain('Ben, Customer Ltd');
    expect(halves?.quoted).toBe('<div class="gmail_quote">Old</div>');
  });

  it('is read from the HTML where the text part does not show it [CH-7]', async () => {
    const both = (text: string, html: string) =>
      parsed(`Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n${text}\r\n--b\r\nContent-Type: text/html\r\n\r\n${html}\r\n--b--\r\n`);
    const mail = await both('Green.\r\n\r\nWhich colour?', '<p>Green.</p><div id="divRplyFwdMsg">From: Acme</div><p>Which colour?</p>');
    expect(mail).toMatchObject({ text: 'Green.', quoted: { text: 'From: Acme\n\nWhich colour?' } });
    const pasted = await both(
      'FYI\r\n\r\n-----Forwarded message-----\r\nFrom: Dora',
      '<p>FYI</p><div class="gmail_quote">---------- Forwarded message ---------<br>From: Dora</div>',
    );
    expect(pasted).toMatchObject({ text: 'FYI\n\n-----Forwarded message-----\nFrom: Dora', html: expect.stringContaining('From: Dora') });
    expect(pasted).not.toHaveProperty('quoted');
    const block = '---------- Forwarded message ---------\r\nFrom: Dora <dora@buyer.example>\r\nDate: Sunday\r\nSubject: Order\r\n\r\nHello';
    expect(await parsed(`Subject: Order\r\n\r\nFYI\r\n\r\n${block}`)).not.toHaveProperty('quoted');
  });

  it('takes no longer for a text that is made to be slow [PLUG-11]', async () => {
    for (const piece of [
      '>',
      '> \n',
      '\n',
      ' ',
      'From: a\nTo: b\n',
      'On 2026 a@b wrote:\n',
      'a:\n',
      '20',
      '- ',
      '\u00a0',
      'From: From: ',
      '在',
      'Op a\n',
      '---\n',
      'x\n> y\n',
    ]) {
      const text = `new\n\n${piece.repeat(Math.floor(1_000_000 / piece.length))}`;
      expect(await secondsOfWork(() => splitText(text)), JSON.stringify(piece)).toBeLessThan(4);
    }
  });
});
