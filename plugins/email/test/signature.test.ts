import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';
import { cleanSignature, fillSignature, signatureProblems } from '../signature.ts';
import { channel, typedSettings } from './support.ts';

const author = { fullName: 'Ada <b>Lindqvist', firstName: 'Ada', lastName: 'O"Brien & Co' };

describe('a signature', () => {
  it('of the simple kind keeps bold, italic, lists, links and images, and nothing else [EMAIL-3]', () => {
    const all =
      '<p><b>Ada</b> <em>x</em></p><ul><li><a href="https://acme.example">us</a></li></ul><img src="https://acme.example/logo.png" alt="Acme" />' +
      '<h1>big</h1><table><tr><td style="color:red">cell</td></tr></table><script>alert(1)</script>';
    expect(cleanSignature('simple', all)).toBe(
      '<p><b>Ada</b> <em>x</em></p><ul><li><a href="https://acme.example">us</a></li></ul><img src="https://acme.example/logo.png" alt="Acme" />bigcell',
    );
  });

  it('of the HTML kind keeps tables, headings, colours and fonts [EMAIL-3]', () => {
    const table =
      '<table cellpadding="0"><tr><td style="color:#f00;font-family:\'Open Sans\', sans-serif;padding-left:8px">cell</td></tr></table><h2>Acme</h2>';
    expect(cleanSignature('html', table)).toBe(table);
  });

  it('of either kind keeps nothing that runs, fetches by a style, or leads elsewhere than it says [EMAIL-3, CH-7]', () => {
    const hostile = [
      '<img src="x" onerror="alert(1)">',
      '<a href="javascript:alert(1)">x</a>',
      '<a href="//evil.example">x</a>',
      '<img src="data:text/html,x">',
      '<div style="background:url(https://evil.example)">x</div>',
      '<p style="width:expression(alert(1))">x</p>',
      '<p style="color:red;position:fixed">x</p>',
      '<iframe src="https://evil.example"></iframe><svg onload=alert(1)></svg><style>*{}</style><form action="x"><input></form>',
      '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    ];
    for (const html of hostile) {
      for (const kind of ['simple', 'html'] as const) {
        const clean = cleanSignature(kind, html);
        expect(clean, html).not.toMatch(
          /<[^>]*(onerror|onload|javascript:|url\(|expression|position|evil\.example|data:)|<(script|style|iframe|svg|form|input|math)/i,
        );
        expect(cleanSignature(kind, clean), html).toBe(clean);
      }
    }
  });

  it('knows its tokens and names the others, with the path, when saved [EMAIL-3]', async () => {
    expect(signatureProblems('{{ sender.fullName }} {{sender.firstName}} {{ sender.lastName }}, {{ company.name }}')).toEqual([]);
    const issues = async (html: string) => {
      const result = await plugin.settings['~standard'].validate({ ...typedSettings(), signature: { html } });
      return (result.issues ?? []).map(({ path, message }) => [path, message]);
    };
    const named = (name: string) => expect.stringContaining(`there is no token {{ ${name} }}`);
    expect(await issues('{{ sender.fullname }} {{ sender.phone }}')).toEqual([
      [['signature', 'html'], named('sender.fullname')],
      [['signature', 'html'], named('sender.phone')],
    ]);
    expect(await issues('{{ constructor }}')).toEqual([[['signature', 'html'], named('constructor')]]);
    expect(await issues('{{ <b>sender.fullName</b> }}')).toEqual([[['signature', 'html'], expect.stringContaining('no markup')]]);
    expect(await issues('<a href="https://acme.example/{{ sender.firstName }}">x</a>')).toEqual([
      [['signature', 'html'], expect.stringContaining('in the text only')],
    ]);
    for (const html of ['{{ sender.fullName', 'a }} b'])
      expect(await issues(html), html).toEqual([[['signature', 'html'], expect.stringContaining('not closed')]]);
    expect(await issues('<script>x</script>')).toEqual([[['signature', 'html'], expect.stringContaining('nothing is left')]]);
  });

  it('is stored as it will be sent [EMAIL-3]', () => {
    expect(channel({ signature: { html: '<p onclick="x()">Hi</p><script>1</script>' } }).settings.signature).toEqual({ kind: 'simple', html: '<p>Hi</p>' });
  });

  it('shows names as text, whatever is in them [EMAIL-3]', () => {
    expect(
      fillSignature('<p>{{ sender.fullName }}, {{sender.lastName}} at {{ company.name }}</p>', { author, companyName: "A<cme>'s {{ sender.firstName }}" }),
    ).toBe('<p>Ada &#60;b&#62;Lindqvist, O&#34;Brien &#38; Co at A&#60;cme&#62;&#39;s {{ sender.firstName }}</p>');
  });
});
