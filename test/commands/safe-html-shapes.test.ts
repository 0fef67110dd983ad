import { describe, expect, it } from 'vitest';
import { HTML_LIMITS, safeHtml, safeParts, withRemoteImages } from '#commands/safe-html.ts';

const PIXEL = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQDJ/pLvAAAAAElFTkSuQmCC';

describe('what mails look like stays', () => {
  it.each([
    ['paragraphs and words', '<p>One <b>two</b> <i>three</i> <u>four</u><br />five</p><hr />'],
    ['headings and lists', '<h1>Title</h1><ul><li>a</li><li>b</li></ul><ol start="3" type="a"><li value="5">c</li></ol>'],
    ['quotes and code', '<blockquote>Quoted<blockquote>twice</blockquote></blockquote><pre>  a\n  b</pre><code>c</code>'],
    [
      'tables with sizes, alignment and colours',
      '<table bgcolor="#eeeeee" border="0" cellpadding="4" cellspacing="0" width="600"><tbody><tr><td align="right" colspan="2" valign="top" width="50%">x</td></tr></tbody></table>',
    ],
    ['old mail clients’ fonts', '<font color="#ff0000" face="Arial, sans-serif" size="2">red</font><center>middle</center>'],
    ['text from right to left', '<p dir="rtl" lang="ar">مرحبا</p>'],
    ['words that look like code', '<p>a &lt; b &amp;&amp; c &gt; d, onclick=1, javascript:x, &lt;script&gt;</p>'],
  ])('%s [CH-7]', (_what, html) => {
    expect(safeHtml(html)).toBe(html);
  });

  it.each([
    'color:red',
    'color:#1f2937;background-color:rgb(255, 255, 255)',
    'background:#fff',
    'color:rgba(0, 0, 0, 0.5)',
    'font-family:-apple-system, "Segoe UI", Arial, sans-serif;font-size:14px;line-height:1.5',
    "font:bold 12px/30px Georgia, 'Times New Roman', serif",
    "font-family:'微软雅黑'",
    'margin:0 auto;padding:10px 20px;border:1px solid #ccc;border-radius:4px',
    'text-align:center;text-decoration:none;vertical-align:middle;white-space:pre-wrap',
    'width:100%;max-width:600px;height:auto;display:none !important',
    'border-collapse:collapse;border-left:1px #CCCCCC solid',
  ])('the style “%s” [CH-7]', (style) => {
    expect(safeHtml(`<p style="${style.replaceAll('"', '&quot;')}">x</p>`)).toBe(`<p style="${style.replaceAll('"', '&quot;')}">x</p>`);
  });

  it('what is harmless of a style stays when the rest goes [CH-7]', () => {
    const style =
      'position:fixed;color:red;top:0;background:url(https://track.example/x.png);margin-top:-500px;mso-line-height-rule:exactly;behavior:url(x);padding:4px';
    expect(safeHtml(`<div style="${style}">x</div>`)).toBe('<div style="color:red;padding:4px">x</div>');
    for (const one of [
      'width:expression(alert(1))',
      'color:red\\9',
      'color:var(--x)',
      "font-family:'a",
      'transform:scale(99)',
      'color:red/*',
      'list-style:url(//x)',
    ]) {
      expect(safeHtml(`<p style="${one}">x</p>`), one).toBe('<p>x</p>');
    }
  });

  it('a mail’s own body keeps its colours, its head says nothing [CH-7]', () => {
    const mail =
      '<!DOCTYPE html><html><head><title>T</title><style>p{color:red}</style><meta charset="utf-8"></head><body style="color:#333" onload="x()"><p>Hi</p></body></html>';
    expect(safeHtml(mail)).toBe('<div style="color:#333"><p>Hi</p></div>');
  });

  it('what is not closed is closed, and what is not there is nothing [CH-7]', () => {
    expect(safeHtml('<table><tr><td><b>x')).toBe('<table><tr><td><b>x</b></td></tr></table>');
    expect(safeHtml('')).toBe('');
    expect(safeHtml('<html><head><title>only</title></head><body></body></html>')).toBe('<div></div>');
    expect(safeHtml('plain & simple')).toBe('plain &amp; simple');
  });
});

describe('links and pictures', () => {
  it('links go on, in a window of their own, without telling where from [CH-7]', () => {
    for (const href of ['https://acme.example/a?b=1&amp;c=2#d', 'http://acme.example', 'mailto:ben@acme.example?subject=Hello%20there', 'tel:+4930123456']) {
      expect(safeHtml(`<a href="${href}" class="x" id="y">go</a>`)).toBe(`<a href="${href}" target="_blank" rel="noopener noreferrer nofollow">go</a>`);
    }
  });

  it('links to anything else are words [CH-7]', () => {
    for (const href of [
      '/path',
      '#top',
      '//acme.example',
      'ftp://x',
      'file:///etc',
      'data:text/html,x',
      'java\nscript:x',
      ' JaVaScRiPt:x',
      'vbscript:x',
      'cid:x',
    ]) {
      expect(safeHtml(`<a href="${href}">go</a>`), href).toBe('<a>go</a>');
    }
  });

  it('pictures from elsewhere wait until somebody asks for them [CH-7]', () => {
    const safe = safeHtml(
      '<img src="https://acme.example/logo.png?a=1&amp;b=2" alt="Logo" width="120" srcset="x 2x" loading="eager"><img src="//cdn.example/x.gif">',
    );
    expect(safe).toBe(
      '<img data-remote-src="https://acme.example/logo.png?a=1&amp;b=2" alt="Logo" width="120" /><img data-remote-src="https://cdn.example/x.gif" />',
    );
    expect(withRemoteImages(safe)).toBe(
      '<img src="https://acme.example/logo.png?a=1&amp;b=2" alt="Logo" width="120" /><img src="https://cdn.example/x.gif" />',
    );
  });

  it('only a picture’s own address is let load: not what a mail wrote under that name, nor words that look like it [CH-7]', () => {
    const safe = safeHtml(
      '<img data-remote-src="javascript:x" alt="&lt;img data-remote-src=&quot;x"><p data-remote-src="https://x.example">&lt;img data-remote-src="y"</p>',
    );
    expect(withRemoteImages(safe)).toBe(safe);
    expect(safe).toBe('<img alt="&lt;img data-remote-src=&quot;x" /><p>&lt;img data-remote-src="y"</p>');
  });

  it('pictures that came with the mail stay, and small ones inside of the HTML; a document that can run is none [CH-7]', () => {
    expect(safeHtml('<img src="cid:part1.abc@acme.example">')).toBe('<img src="cid:part1.abc@acme.example" />');
    expect(safeHtml(`<img src="${PIXEL}">`)).toBe(`<img src="${PIXEL}" />`);
    for (const src of ['data:image/svg+xml;base64,PHN2Zz4=', 'data:text/html;base64,eA==', 'data:image/png,x', 'blob:x', 'picture.png', 'cid:a b']) {
      expect(safeHtml(`<img src="${src}">`), src).toBe('<img />');
    }
  });
});

describe('sizes', () => {
  it('what lies deeper than the limit loses its tags, not its words [CH-7]', () => {
    const safe = safeHtml(`${'<div>'.repeat(500)}deep${'</div>'.repeat(500)}`);
    expect(safe.match(/<div>/g)).toHaveLength(HTML_LIMITS.nesting);
    expect(safe).toContain('deep');
  });

  it('what is over the limits is not shown as HTML, and takes no longer for it [CH-7, PLUG-11]', () => {
    expect(safeHtml('x'.repeat(HTML_LIMITS.characters))).not.toBe('');
    expect(safeHtml('x'.repeat(HTML_LIMITS.characters + 1))).toBe('');
    expect(safeHtml('<b>'.repeat(HTML_LIMITS.openTags + 1))).toBe('');
    expect(safeHtml('<br>'.repeat(HTML_LIMITS.tags))).not.toBe('');
    expect(safeHtml('<br>'.repeat(HTML_LIMITS.tags + 1))).toBe('');
    for (const evil of ['<b>', '</i>', '<p>', '</p>', '<svg>', '<noscript>', '<iframe>', '<!--', '<', '&lt;', '<a b="', '<table><td>']) {
      expect(safeHtml(evil.repeat(Math.floor(HTML_LIMITS.characters / evil.length))), evil).not.toContain('<script');
    }
  });

  it('a large picture inside the HTML is left out, the rest is shown [CH-7]', () => {
    const huge = `data:image/png;base64,${'A'.repeat(HTML_LIMITS.characters * 2)}`;
    expect(safeHtml(`<p>before</p><img src="${huge}" alt="screenshot"><p>after</p>`)).toBe('<p>before</p><img alt="screenshot" /><p>after</p>');
  });
});

it('says of each event what may be shown of it, whatever the plugin gave [CH-7, PLUG-11]', () => {
  expect(
    safeParts([
      { type: 'message', html: '<b onclick=x>a</b>', quoted: { text: 'q', html: '<i>q</i><script>x</script>' } },
      { type: 'message', text: 'no HTML' },
      { type: 'message', html: '<script>x</script>' },
      { type: 'message', quoted: { text: 'q' } },
      null,
      { html: 5, quoted: 'x' },
    ]),
  ).toEqual([{ html: '<b>a</b>', quoted: '<i>q</i>' }, null, { html: null, quoted: null }, null, null, null]);
  expect(safeParts('nothing')).toEqual([]);
});
