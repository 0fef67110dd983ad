import { createHash } from 'node:crypto';

/** What is known of the people in a delivery, and of us. */
export interface Known {
  readonly names: readonly string[];
  /** Mail addresses, phone numbers, ids at the provider, whole. */
  readonly identities: readonly string[];
  /** What they wrote. */
  readonly texts: readonly string[];
  /** Our connected address, and what stands in its place. */
  readonly own: readonly [string, string];
}

/** Puts other people in the place of those in a delivery: the same one everywhere in it, of the same shape. */
export interface Disguise {
  /** Addresses, numbers, names and known ids in it; `prose`: every word as well. */
  text(value: string, prose?: boolean): string;
  /** Letters for letters and digits for digits. */
  id(value: string): string;
  /** A value that is somebody's name. */
  name(value: string): string;
  /** Whether it is something they wrote. */
  wrote(value: string): boolean;
}

const ADDRESS = /[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+/u;
const PHONE = /\+\d[\d ().-]{5,20}\d/;
const WORD = /[\p{L}\p{M}\p{N}]+/u;
const FIRST = ['Robin', 'Kim', 'Alex', 'Sascha', 'Noa', 'Charlie'];
const LAST = ['Example', 'Sample', 'Specimen', 'Muster', 'Exemplo', 'Esempio'];
const FILLER = 'loremipsumdolorsitametconsecteturadipiscingelit';

export function createDisguise({ names, identities, texts, own }: Known): Disguise {
  const places = new Map<string, number>();
  /** 1, 2, 3, … in the order of being met. */
  const place = (kind: string, value: string): number => {
    const key = `${kind} ${value.toLowerCase()}`;
    const found = places.get(key) ?? [...places.keys()].filter((one) => one.startsWith(`${kind} `)).length + 1;
    places.set(key, found);
    return found;
  };
  const shaped = (kind: string, key: string, value: string): string => {
    let letters = createHash('sha512')
      .update(`${kind} ${place(kind, key)}`)
      .digest();
    let used = 0;
    return value.replace(/[\p{L}\p{N}]/gu, (one, at: number) => {
      if (used === letters.length) [letters, used] = [createHash('sha512').update(letters).digest(), 0];
      const byte = letters[used++] ?? 0;
      if (/\p{N}/u.test(one)) return String(at === 0 ? 1 + (byte % 9) : byte % 10);
      const letter = 'bcdfghjkmnpqrstvwxyz'.charAt(byte % 20);
      return one === one.toLowerCase() ? letter : letter.toUpperCase();
    });
  };
  const digits = (value: string) => value.replace(/\D/g, '');
  const phones = new Set(identities.filter((one) => /^\+\d+$/.test(one)).map(digits));
  const address = (value: string) => (value.toLowerCase() === own[0].toLowerCase() ? own[1] : `person-${place('address', value)}@example.com`);
  /** By its digits alone: the same number may be written in several ways. */
  const phone = (value: string): string => {
    const other = shaped('phone', digits(value), digits(value));
    let next = 0;
    return value.replace(/\d/g, () => other.charAt(next++));
  };
  const id = (value: string): string => {
    if (value === own[0]) return own[1];
    if (phones.has(digits(value)) && /^\+?\d+$/.test(value)) return phone(value);
    return ADDRESS.test(value) ? value.replace(ADDRESS, address) : shaped('id', value, value);
  };
  /** The words of known names by what stands for them: somebody may be called by one of them only. */
  const words = new Map<string, string>();
  const name = (value: string): string => {
    const parts = value.trim().split(/\s+/);
    const index = place('name', value.trim()) - 1;
    const more = index < FIRST.length ? '' : String(index);
    parts.forEach((part, at) => {
      const stands = at === parts.length - 1 && at > 0 ? LAST[index % LAST.length] : FIRST[index % FIRST.length];
      if (part.length > 1 && !words.has(part.toLowerCase())) words.set(part.toLowerCase(), `${stands ?? ''}${more}`);
    });
    return parts.map((part) => words.get(part.toLowerCase()) ?? part).join(' ');
  };
  names.filter((one) => !ADDRESS.test(one)).forEach(name);
  const literals = new Map([own[0], ...identities, ...phones].filter((one) => one.length > 1).map((one) => [one.toLowerCase(), one]));
  const ours = new Set(texts.map((one) => one.trim()).filter((one) => one !== ''));

  return {
    id,
    name,
    wrote: (value) => ours.has(value.trim()),
    text(value, prose = false) {
      const whole = [...literals.keys(), ...words.keys()].toSorted((one, other) => other.length - one.length).map(escaped);
      const known = whole.length === 0 ? '(?!)' : `(?<![\\p{L}\\p{N}])(?:${whole.join('|')})(?![\\p{L}\\p{N}])`;
      const pattern = new RegExp(`(?<address>${ADDRESS.source})|(?<known>${known})|(?<phone>${PHONE.source})${prose ? `|(?<word>${WORD.source})` : ''}`, 'giu');
      return value.replace(pattern, (...found: unknown[]) => {
        const match = String(found[0]);
        const groups = found.at(-1) as Readonly<Record<string, string | undefined>>;
        if (groups['known'] !== undefined) return words.get(match.toLowerCase()) ?? id(literals.get(match.toLowerCase()) ?? match);
        if (groups['address'] !== undefined) return address(match);
        return groups['phone'] === undefined ? filled(match) : phone(match);
      });
    },
  };
}

/** As a piece of a regular expression. */
export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** A word that says nothing, as long as this one. */
function filled(word: string): string {
  return word.replace(/[\p{L}\p{M}\p{N}]/gu, (one, at: number) => {
    if (/\p{N}/u.test(one)) return '7';
    const letter = FILLER.charAt((at + word.length) % FILLER.length);
    return one === one.toLowerCase() ? letter : letter.toUpperCase();
  });
}
