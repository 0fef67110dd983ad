/** HTML that is finished: put into other HTML as it is. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Piece = Markup | string | number | boolean | null | undefined | readonly Piece[];

/** Writes HTML: whatever is put in is text unless it is `Markup`; false, null and undefined are nothing. Not called `html`, for formatters then move line ends in it, and in a text area these count. */
export function markup(texts: TemplateStringsArray, ...pieces: readonly Piece[]): Markup {
  return new Markup(texts.reduce((whole, text, index) => whole + written(pieces[index - 1]) + text));
}

/** Attributes; false and undefined are left out, true has no value. Names are ours. */
export function attributes(given: Readonly<Record<string, string | number | boolean | undefined>>): Markup {
  const written = Object.entries(given).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    return value === true ? [name] : [`${name}="${escaped(String(value))}"`];
  });
  return new Markup(written.map((one) => ` ${one}`).join(''));
}

function written(piece: Piece): string {
  if (piece instanceof Markup) return piece.text;
  if (piece === null || piece === undefined || typeof piece === 'boolean') return '';
  return typeof piece === 'object' ? piece.map(written).join('') : escaped(String(piece));
}

const CODES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => CODES[letter] ?? letter);
}
