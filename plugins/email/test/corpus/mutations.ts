/** A damage done to a mail. Bytes in Latin-1, so that nothing is lost on the way. */
export interface Damage {
  readonly kind: (typeof KINDS)[number];
  /** Anything; each kind takes from these what it needs. */
  readonly at: number;
  readonly length: number;
  readonly filling: string;
  /** Another mail, for what is taken from there. */
  readonly other: string;
}

export const KINDS = [
  'flip',
  'cut out',
  'cut off',
  'write over',
  'put in',
  'double a header',
  'swap two lines',
  'drop a line',
  'change the charset',
  'change the encoding',
  'change a boundary',
  'nest',
  'break line ends',
  'graft',
  'take its headers',
  'rename a header',
] as const;

const CHARSETS = ['utf-8', 'utf-16', 'utf-7', 'iso-2022-jp', 'gb18030', 'koi8-r', 'x-nothing', '', '"', 'utf-8; charset=big5'];
const ENCODINGS = ['base64', 'quoted-printable', '7bit', '8bit', 'binary', 'x-uuencode', 'nothing', ''];
const HEADERS = [
  'From',
  'To',
  'Cc',
  'Subject',
  'Message-ID',
  'In-Reply-To',
  'References',
  'Content-Type',
  'Authentication-Results',
  'Auto-Submitted',
  'Return-Path',
  '',
];

/** The mail with that done to it. Pure; never longer than a few times the mail. */
export function damaged(mail: string, { kind, at, length, filling, other }: Damage): string {
  const place = at % (mail.length + 1);
  const lines = (): string[] => mail.split('\r\n');
  const from = <Item>(list: readonly Item[]): Item | undefined => list[at % list.length];
  switch (kind) {
    case 'flip':
      return `${mail.slice(0, place)}${String.fromCharCode((mail.charCodeAt(place) || 0) ^ (1 << (length % 8)))}${mail.slice(place + 1)}`;
    case 'cut out':
      return mail.slice(0, place) + mail.slice(place + length);
    case 'cut off':
      return mail.slice(0, place);
    case 'write over':
      return mail.slice(0, place) + filling + mail.slice(place + filling.length);
    case 'put in':
      return mail.slice(0, place) + filling + mail.slice(place);
    case 'double a header': {
      const all = lines();
      const head = all.indexOf('');
      return [all[at % Math.max(head, 1)], ...all].join('\r\n');
    }
    case 'swap two lines': {
      const all = lines();
      const [one, two] = [at % all.length, (at + length) % all.length];
      return all.map((line, index) => (index === one ? (all[two] ?? '') : index === two ? (all[one] ?? '') : line)).join('\r\n');
    }
    case 'drop a line':
      return lines()
        .filter((_line, index, all) => index !== at % all.length)
        .join('\r\n');
    case 'change the charset':
      return mail.replaceAll(/charset="?[\w-]+"?/gi, () => `charset=${from(CHARSETS)}`);
    case 'change the encoding':
      return mail.replaceAll(/Content-Transfer-Encoding: *\S+/gi, () => `Content-Transfer-Encoding: ${from(ENCODINGS)}`);
    case 'change a boundary':
      return mail.replace(/boundary="?\w+"?/i, () => `boundary="${filling.replaceAll(/["\r\n]/g, '')}"`);
    case 'nest': {
      const [head = '', ...body] = mail.split('\r\n\r\n');
      return `${head.replaceAll(/^content-/gim, 'X-Content-')}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="n${at % 10}"\r\n\r\n--n${at % 10}\r\n${other}\r\n--n${at % 10}\r\nContent-Type: message/rfc822\r\n\r\n${mail}\r\n${length % 2 === 0 ? `--n${at % 10}--\r\n` : ''}${body.join('\r\n\r\n').slice(0, length)}`;
    }
    case 'break line ends':
      return mail.replaceAll('\r\n', ['\n', '\r', '\n\r', '\r\n\r\n'][length % 4] ?? '\n');
    case 'graft':
      return mail.slice(0, place) + other.slice(length % (other.length + 1));
    case 'take its headers':
      return `${other.split('\r\n\r\n', 1).join('')}\r\n\r\n${mail.split('\r\n\r\n').slice(1).join('\r\n\r\n')}`;
    case 'rename a header':
      return mail.replace(/^[\w-]+(?=:)/m, () => from(HEADERS) ?? '');
  }
}
