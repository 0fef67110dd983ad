import email from '@trunkline/plugin-email';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { safeHtml, withRemoteImages } from '#commands/safe-html.ts';
import { emailSettings } from '../support/email-channel.ts';
import { shownHtmlProblems } from '../support/shown-html.ts';
import { readStrictHtml } from '../support/strict-html.ts';
import { unsafePage, xssPage } from '../support/xss-page.ts';
import { XSS_VECTORS, type XssVector } from '../support/xss-vectors.ts';

const table = XSS_VECTORS.map((one): [string, XssVector] => [one.name, one]);
const waiting = / data-remote-src="[^"]*"/g;

/** The HTML of a mail as the engine gets it: the new part and the quoted. */
async function throughMail(html: string): Promise<string[]> {
  const body = Buffer.from(html, 'utf8').toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  const mail = `From: mallory@evil.example\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${body}\r\n`;
  const settings = await email.settings['~standard'].validate(emailSettings('support@acme.example'));
  if (settings.issues !== undefined) throw new Error('the settings are wrong');
  const info = { key: 'support-1', address: 'support@acme.example', name: 'Support', enabled: true, settings: settings.value };
  const raw = { method: 'SMTP', url: 'smtp:/support-1', headers: {}, body: Buffer.from(mail), receivedAt: '2026-01-02T03:04:05.000Z' };
  const events = await email.parse(raw, createPluginContext(info, { sign: () => 'a'.repeat(52), log: () => {} }));
  return events.flatMap((event) => (event.type === 'message' ? [event.html ?? '', event.quoted?.html ?? ''] : []));
}

describe('known ways to smuggle something into HTML', () => {
  it('are at least eighty, each with a name of its own', () => {
    expect(new Set(XSS_VECTORS.map(({ name }) => name)).size).toBe(XSS_VECTORS.length);
    expect(XSS_VECTORS.length).toBeGreaterThanOrEqual(80);
  });

  it.each(table)('%s: comes out as nothing but harmless elements, attributes, addresses and styles [CH-7]', async (_name, { html, keeps = '' }) => {
    const safe = safeHtml(html);
    expect(shownHtmlProblems(safe)).toEqual([]);
    expect(safe).toContain(keeps);
    expect(shownHtmlProblems(withRemoteImages(safe), { remote: true }), 'with its pictures asked for').toEqual([]);
    expect(safeHtml(safe).replace(waiting, ''), 'a second time changes nothing').toBe(safe.replace(waiting, ''));
  });

  it.each(table)('%s: does so as a mail, in its new part and its quoted one [CH-7]', async (_name, { html }) => {
    const quoting = `<div>${html}</div><div class="gmail_quote"><blockquote>${html}</blockquote></div>`;
    for (const part of [...(await throughMail(html)), ...(await throughMail(quoting))]) expect(shownHtmlProblems(safeHtml(part))).toEqual([]);
  });

  it('stay harmless when they stand in each other, cut and mixed at random [CH-7]', () => {
    const piece = fc.oneof(
      fc.constantFrom(...XSS_VECTORS.map(({ html }) => html).filter((html) => html.length < 500)),
      fc.constantFrom(
        '<',
        '>',
        '"',
        "'",
        '=',
        '/',
        '<!--',
        '-->',
        '&lt;',
        '&#x3c;',
        '<b>',
        '</b>',
        '<a href="',
        '<img src="',
        ' style="',
        ' alt="',
        '\0',
        '<svg>',
        '<math>',
        '</table>',
        '<p>',
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
    );
    const cut = fc
      .tuple(piece, fc.nat(200), fc.nat(200))
      .map(([html, from, length]) => (length % 3 === 0 ? html : html.slice(from % (html.length + 1)).slice(0, length)));
    const whole = fc.array(fc.oneof(piece, cut), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(whole, (html) => {
        const safe = safeHtml(html);
        expect(shownHtmlProblems(safe)).toEqual([]);
        expect(shownHtmlProblems(withRemoteImages(safe), { remote: true })).toEqual([]);
        expect(shownHtmlProblems(safeHtml(safe))).toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('what a reader needs', () => {
  it('stays: text, lists, tables, links, pictures of the mail itself, plain styles [CH-7]', () => {
    const html =
      '<h1>Order</h1><p style="color:#c00;font-weight:bold">Two <b>lamps</b>, one <i>late</i></p><ul><li>first</li></ul><table border="1"><tr><td colspan="2">12.50</td></tr></table><a href="https://good.example/a?b=1&amp;c=2">see</a><img src="cid:lamp@garden" alt="a lamp"><blockquote>quoted</blockquote>';
    const safe = safeHtml(html);
    const { tags, text } = readStrictHtml(safe);
    expect(tags.map(({ name }) => name)).toEqual(['h1', 'p', 'b', 'i', 'ul', 'li', 'table', 'tr', 'td', 'a', 'img', 'blockquote']);
    expect(text).toBe('OrderTwo lamps, one latefirst12.50seequoted');
    const of = (name: string) => Object.fromEntries(tags.find((tag) => tag.name === name)?.attributes ?? []);
    expect(of('a')).toEqual({ href: 'https://good.example/a?b=1&c=2', target: '_blank', rel: 'noopener noreferrer nofollow' });
    expect(of('img')).toEqual({ src: 'cid:lamp@garden', alt: 'a lamp' });
    expect(of('td')).toEqual({ colspan: '2' });
    expect(of('p')['style']).toContain('color:#c00');
  });

  it('a picture from elsewhere waits with its address until somebody asks for it [CH-7]', () => {
    const safe = safeHtml('<img src="https://shop.example/lamp.png?a=1&amp;b=2" alt="lamp">');
    expect(Object.fromEntries(readStrictHtml(safe).tags[0]?.attributes ?? [])).toEqual({
      'data-remote-src': 'https://shop.example/lamp.png?a=1&b=2',
      alt: 'lamp',
    });
    expect(Object.fromEntries(readStrictHtml(withRemoteImages(safe)).tags[0]?.attributes ?? [])).toEqual({
      src: 'https://shop.example/lamp.png?a=1&b=2',
      alt: 'lamp',
    });
  });

  it('text that looks like HTML stays text', () => {
    expect(readStrictHtml(safeHtml('1 &lt; 2 &amp;&amp; 3 &gt; 2, &lt;b&gt; is a tag')).text).toBe('1 < 2 && 3 > 2, <b> is a tag');
  });
});

describe('the page for a browser', () => {
  it('holds every vector sanitised, in the page and in a frame without scripts, and no other script than its own', () => {
    const page = xssPage();
    expect(page.match(/<section>/g)).toHaveLength(XSS_VECTORS.length);
    expect(page.match(/<iframe sandbox srcdoc=/g)).toHaveLength(XSS_VECTORS.length);
    expect(page.match(/<script/gi)).toHaveLength(1);
    const shown = [...page.matchAll(/<div data-shown>(.*?)<\/div><iframe sandbox/gs)].map((match) => match[1] ?? '');
    expect(shown).toHaveLength(XSS_VECTORS.length);
    expect(shown.flatMap((html) => shownHtmlProblems(html))).toEqual([]);
  });

  it('has a twin with nothing sanitised, by which one sees that a browser would notice', () => {
    expect(unsafePage().match(/<iframe srcdoc=/g)).toHaveLength(XSS_VECTORS.length);
  });
});

describe('the judge of these tests', () => {
  it.each([
    ['<script>x</script>', 'element script'],
    ['<p onclick="x">a</p>', 'attribute onclick on p'],
    ['<a href="javascript:x" target="_blank" rel="noopener noreferrer">a</a>', 'href on a: javascript:x'],
    ['<a href="&#106;avascript:x" target="_blank" rel="noopener noreferrer">a</a>', 'href on a: javascript:x'],
    ['<a href="https://good.example/" target="_blank">a</a>', 'a link without noopener noreferrer'],
    ['<img src="https://evil.example/x">', 'src on img: https://evil.example/x'],
    ['<img data-remote-src="javascript:x">', 'data-remote-src on img: javascript:x'],
    ['<p style="background:url(x)">a</p>', 'style on p: background:url(x)'],
    ['<p style="position:fixed">a</p>', 'style on p: position:fixed'],
    ['<p style="margin:0 -9px">a</p>', 'style on p: margin:0 -9px'],
  ])('sees through %s', (html, problem) => {
    expect(shownHtmlProblems(html)).toEqual([problem]);
  });

  it('refuses what could be read in two ways', () => {
    for (const html of [
      '<p>',
      '</p>',
      '<b><i></b></i>',
      '<P>a</P>',
      '<p title=x>a</p>',
      "<p title='x'>a</p>",
      '<p title="<">a</p>',
      'a > b',
      'a < b',
      '<!-- x -->',
      '<p title="a" title="b">a</p>',
      'a\0',
      '&lsquo',
    ]) {
      expect(shownHtmlProblems(html), html).toHaveLength(1);
    }
  });
});
