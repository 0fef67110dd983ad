import type { Disguise } from './disguise.ts';

/** Fields whose value names somebody or something at the provider. */
const ID_FIELD = /(?:^|[_.-])(?:ids?|p?sid|uuid|guid|token|secret|nonce|key|from|to|sender|recipient|author|user|mid)$|(?:Ids?|Sid|Token|From|To)$/i;
const NAME_FIELD = /(?:^|[_.-])(?:first|last|full|display|user|profile|sender|contact|given|family|push)[_-]?name$|ProfileName$/i;
const DATE = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d|$)|^(\w{3}, )?\d{1,2} \w{3} \d{4} \d\d:\d\d/;
/** From here on, what has no space in it and a digit is an id or a secret, whatever its field is called. */
const LONG_TOKEN = 20;
/** Words from here on are something somebody wrote. */
const SHORTEST_PROSE = 12;

/** The content with other people in it; undefined where its format is none of JSON, a form and plain text. */
export function disguised(text: string, contentType: string, disguise: Disguise): string | undefined {
  if (isJson(text)) return json(text, disguise);
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/x-www-form-urlencoded') return form(text, disguise);
  return type === '' || type === 'text/plain' ? disguise.text(text, true) : undefined;
}

/** What a form or the query of an address says, with other people in it. */
export function form(text: string, disguise: Disguise): string {
  const fields = [...new URLSearchParams(text)].map(([name, given]): [string, string] => [disguise.text(name), value(name, given, disguise)]);
  return new URLSearchParams(fields).toString();
}

/** Replaced in place, so that spaces, order and numbers too large for a double stay as they came. */
function json(text: string, disguise: Disguise): string {
  let field = '';
  return text.replace(
    /("(?:\\.|[^"\\])*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g,
    (token: string, quoted: string | undefined, colon: string | undefined) => {
      if (quoted === undefined) return ID_FIELD.test(field) && /^\d{6,}$/.test(token) ? disguise.id(token) : disguise.text(token);
      const given = String(JSON.parse(quoted));
      if (colon === undefined) return JSON.stringify(value(field, given, disguise));
      field = given;
      return `${JSON.stringify(disguise.text(given))}${colon}`;
    },
  );
}

/** One value, by what its field is called and what it looks like. */
function value(field: string, given: string, disguise: Disguise): string {
  if (/^\s*[[{]/.test(given) && isJson(given)) return json(given, disguise);
  if (disguise.wrote(given)) return disguise.text(given, true);
  if (DATE.test(given)) return given;
  if (NAME_FIELD.test(field) || (/^name$/i.test(field) && /\p{Lu}|\s/u.test(given))) return given.trim() === '' ? given : disguise.name(given);
  if (/^https?:\/\//.test(given) && URL.canParse(given)) {
    const { protocol, pathname, search } = new URL(given);
    return `${protocol}//provider.example${disguise.id(pathname + search)}`;
  }
  if (/\s/.test(given)) return disguise.text(given, given.length >= SHORTEST_PROSE);
  const hasDigit = /\d/.test(given);
  if (hasDigit && (ID_FIELD.test(field) ? given.length >= 6 : given.length >= LONG_TOKEN)) return disguise.id(given);
  return disguise.text(given);
}

function isJson(text: string): boolean {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null;
  } catch {
    return false;
  }
}
