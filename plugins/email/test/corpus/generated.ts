/** A mail too big to store, or made of too much of one thing. */
export interface Generated {
  readonly about: string;
  make(): Uint8Array;
  /** The contact it must have; absent: it may be unknown. */
  readonly contact?: string;
  /** It is automatic and answers nothing of ours. */
  readonly filtered?: true;
  /** Words that must be in its text. */
  readonly has?: string;
}

const NORA = 'nora@garden.example';
const ends = '\r\n';

function mail(headers: readonly string[], body: string): Uint8Array {
  return new TextEncoder().encode([`From: Nora Vale <${NORA}>`, 'To: support@acme.example', ...headers, '', body].join(ends));
}

function nested(depth: number): string {
  const opened = Array.from({ length: depth }, (_, at) => `Content-Type: multipart/mixed; boundary="b${at}"${ends}${ends}--b${at}${ends}`).join('');
  const closed = Array.from({ length: depth }, (_, at) => `--b${depth - at - 1}--${ends}`).join('');
  return `${opened}Content-Type: text/plain${ends}${ends}At the bottom.${ends}${closed}`;
}

function parts(count: number, part: (index: number) => string): string {
  return `${Array.from({ length: count }, (_, index) => `--sheet${ends}${part(index)}${ends}`).join('')}--sheet--${ends}`;
}

const MIXED = ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary="sheet"'];
const HTML = ['MIME-Version: 1.0', 'Content-Type: text/html; charset=utf-8'];

/** What somebody sends who wants a parser to fall over. */
export const GENERATED: readonly Generated[] = [
  { about: 'one header of a megabyte', contact: NORA, make: () => mail([`X-Long: ${'a'.repeat(1_000_000)}`], 'Hi there.') },
  {
    about: 'three megabytes of headers',
    contact: NORA,
    make: () =>
      mail(
        Array.from({ length: 30_000 }, (_, at) => `X-Header-${at}: ${'b'.repeat(80)}`),
        'Hi there.',
      ),
  },
  { about: 'a Subject of two megabytes', contact: NORA, make: () => mail([`Subject: ${'lamp '.repeat(400_000)}`], 'Hi there.') },
  { about: 'a hundred thousand folded lines in one header', contact: NORA, make: () => mail([`X-Folded: a${`${ends} b`.repeat(100_000)}`], 'Hi there.') },
  { about: 'parts nested 500 deep', contact: NORA, make: () => mail(['MIME-Version: 1.0', nested(500)], '') },
  { about: 'parts nested 5,000 deep', contact: NORA, make: () => mail(['MIME-Version: 1.0', nested(5_000)], '') },
  {
    about: 'mails in mails, 500 deep',
    contact: NORA,
    make: () => mail(['MIME-Version: 1.0', `Content-Type: message/rfc822${ends}${ends}`.repeat(500)], `From: ben@customer.example${ends}${ends}Deep.`),
  },
  {
    about: '10,000 parts',
    contact: NORA,
    make: () =>
      mail(
        MIXED,
        parts(10_000, (at) => `Content-Type: text/plain${ends}${ends}part ${at}`),
      ),
  },
  {
    about: '10,000 attachments',
    contact: NORA,
    make: () =>
      mail(
        MIXED,
        parts(10_000, (at) => `Content-Type: application/pdf${ends}Content-Disposition: attachment; filename="${at}.pdf"${ends}${ends}%PDF`),
      ),
  },
  {
    about: 'a hundred thousand empty parts',
    contact: NORA,
    make: () =>
      mail(
        MIXED,
        parts(100_000, () => ''),
      ),
  },
  {
    about: 'boundaries that are nearly right, two hundred thousand times',
    contact: NORA,
    make: () => mail(MIXED, `--sheet${ends}${ends}Hi${ends}${`--shee${ends}--sheetx${ends}`.repeat(100_000)}`),
  },
  {
    about: 'a hundred thousand recipients',
    contact: NORA,
    make: () => mail([`Cc: ${Array.from({ length: 100_000 }, (_, at) => `p${at}@crowd.example`).join(', ')}`], 'Hi all.'),
  },
  {
    about: 'fifty thousand references',
    contact: NORA,
    make: () => mail([`References: ${Array.from({ length: 50_000 }, (_, at) => `<${at}@crowd.example>`).join(' ')}`], 'Hi there.'),
  },
  { about: 'one line of five megabytes', contact: NORA, has: 'aaaa', make: () => mail([], 'a'.repeat(5_000_000)) },
  { about: 'a million empty lines', contact: NORA, has: 'the end', make: () => mail([], `${ends.repeat(1_000_000)}the end`) },
  {
    about: 'a hundred thousand quoted lines',
    contact: NORA,
    has: 'New words.',
    make: () => mail([], `New words.${ends}${ends}On Monday, Ada wrote:${ends}${`> old words${ends}`.repeat(100_000)}`),
  },
  {
    about: 'quotes a thousand levels deep',
    contact: NORA,
    has: 'New words.',
    make: () => mail([], `New words.${ends}${Array.from({ length: 1_000 }, (_, at) => `${'>'.repeat(at + 1)} old`).join(ends)}`),
  },
  { about: 'fifty thousand lines that begin an attribution', contact: NORA, make: () => mail([], `On Mon, 2 Mar 2026 at 10:12, Ada${ends}`.repeat(50_000)) },
  {
    about: 'fifty thousand attributions',
    contact: NORA,
    make: () => mail([], `On Mon, 2 Mar 2026 at 10:12, Ada <ada@acme.example> wrote:${ends}`.repeat(50_000)),
  },
  {
    about: 'fifty thousand header blocks as Outlook writes them',
    contact: NORA,
    make: () => mail(['Subject: RE: lamp'], `From: Ada${ends}Sent: Monday${ends}To: Ben${ends}Subject: lamp${ends}${ends}`.repeat(50_000)),
  },
  {
    about: 'two thousand forwards in a forward',
    make: () =>
      mail(
        ['Subject: Fwd: lamp'],
        `---------- Forwarded message ---------${ends}From: Dora <dora@buyer.example>${ends}Date: x${ends}Subject: lamp${ends}To: y${ends}${ends}`.repeat(
          2_000,
        ),
      ),
  },
  {
    about: 'fifty thousand underscores and dashes in rows',
    contact: NORA,
    make: () => mail([], `${'_'.repeat(500)}${ends}${'-'.repeat(500)}${ends}`.repeat(1_000)),
  },
  { about: 'HTML of a hundred thousand open elements', contact: NORA, make: () => mail(HTML, `${'<div>'.repeat(100_000)}Deep words.`) },
  {
    about: 'HTML of fifty thousand quotes in quotes',
    contact: NORA,
    make: () => mail(HTML, `<p>New words.</p>${'<blockquote type="cite">'.repeat(50_000)}old`),
  },
  { about: 'HTML of a hundred thousand half-open tags', contact: NORA, make: () => mail(HTML, '<a href="'.repeat(100_000)) },
  {
    about: 'HTML with one attribute of four megabytes',
    contact: NORA,
    has: 'Seen words.',
    make: () => mail(HTML, `<p title="${'x'.repeat(4_000_000)}">Seen words.</p>`),
  },
  {
    about: 'HTML with a table of 100,000 cells',
    contact: NORA,
    has: 'cell',
    make: () => mail(HTML, `<table><tr>${'<td>cell</td>'.repeat(100_000)}</tr></table>`),
  },
  {
    about: 'Base64 of eight megabytes',
    contact: NORA,
    make: () =>
      mail(
        [...MIXED],
        parts(1, () => `Content-Type: application/zip${ends}Content-Transfer-Encoding: base64${ends}${ends}${`${'QUFB'.repeat(19)}${ends}`.repeat(105_000)}`),
      ),
  },
  { about: 'encoded words, a hundred thousand of them', contact: NORA, make: () => mail([`Subject: ${'=?utf-8?Q?a?= '.repeat(100_000)}`], 'Hi there.') },
  {
    about: 'a delivery report of fifty thousand recipients',
    contact: NORA,
    filtered: true,
    make: () =>
      mail(
        ['Content-Type: multipart/report; report-type=delivery-status; boundary="sheet"'],
        parts(
          1,
          () =>
            `Content-Type: message/delivery-status${ends}${ends}${`Final-Recipient: rfc822; x@y.example${ends}Action: failed${ends}Status: 5.1.1${ends}${ends}`.repeat(50_000)}`,
        ),
      ),
  },
  {
    about: 'Authentication-Results by the thousand',
    contact: NORA,
    make: () =>
      mail(
        Array.from({ length: 10_000 }, () => 'Authentication-Results: mx.acme.example; dmarc=pass header.from=garden.example'),
        'Hi there.',
      ),
  },
  { about: 'NUL bytes only', make: () => new Uint8Array(1_000_000) },
  { about: 'the byte 0xFF only', make: () => new Uint8Array(1_000_000).fill(0xff) },
  { about: 'line feeds only', make: () => new Uint8Array(1_000_000).fill(0x0a) },
  { about: 'colons only', make: () => new Uint8Array(1_000_000).fill(0x3a) },
  { about: 'dashes only', make: () => new Uint8Array(1_000_000).fill(0x2d) },
];
