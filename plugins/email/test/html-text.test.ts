import { describe, expect, it } from 'vitest';
import { htmlToText } from '../html-text.ts';
import { splitHtml } from '../quoted-html.ts';
import { fixture, parsed, secondsOfWork } from './support.ts';

describe('HTML to text', () => {
  it('is what a mail says that has no text part, and the HTML is kept [CH-7]', async () => {
    const mail = await parsed(fixture('answer'));
    expect(mail.text).toBe('Grüße & thanks,\n\n- one\n- two\n\nsee the photo [https://customer.example/lamp]\na lamp');
    expect(mail.html).toContain('<p>Grüße');
  });

  it('shows no scripts, keeps a lone bracket and unknown entities, names no address twice', () => {
    expect(htmlToText('a<script>alert("<p>")</script>b 1 < 2 <p title="x>y">c&nbsp;&#228;&bogus;')).toBe('ab 1 < 2\n\nc ä&bogus;');
    expect(htmlToText('<a href="mailto:a@b.example">a@b.example</a> <a href="https://b.example">https://b.example</a>')).toBe('a@b.example https://b.example');
    expect(htmlToText('<h1>Big</h1><table><tr><td>a</td><td>b</td></tr></table>')).toBe('Big\n\na b');
  });

  it('and the split take time in proportion to the length only, whatever is repeated [PLUG-11]', async () => {
    for (const piece of [
      '<',
      '<a ',
      '<!--',
      '<p x="',
      '&#x',
      '<script>',
      '<pre> ',
      '<a href="',
      '</',
      '<ul><li>',
      '<b>',
      '<table><tr><td>',
      '<svg><title>',
      '<p>a',
      '\u00a0',
      ' ',
    ]) {
      const html = piece.repeat(100_000);
      expect(await secondsOfWork(() => [splitHtml(html), htmlToText(html)]), piece).toBeLessThan(5);
    }
  });

  it('reads what is too deep or too much without its shape, and loses no word', () => {
    expect(htmlToText(`<p>one${'<b>'.repeat(100_000)}two<br>three`)).toBe('one two\nthree');
    const many = htmlToText('<p>word</p>'.repeat(150_000));
    expect(many.match(/word/g)).toHaveLength(150_000);
  });
});
