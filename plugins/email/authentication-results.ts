/** One check a mail server made, as its header tells it. */
export interface CheckResult {
  /** `spf`, `dkim`, `dmarc`, … in lower case. */
  readonly method: string;
  /** `pass`, `fail`, `none`, … in lower case. */
  readonly result: string;
  /** `header.from`, `header.d`, `smtp.mailfrom`, … with their values, both in lower case. */
  readonly properties: Readonly<Record<string, string>>;
}

/** An `Authentication-Results` field (RFC 8601). */
export interface AuthenticationResults {
  /** Who says so (the authserv-id), in lower case; undefined: it does not say. */
  readonly server: string | undefined;
  readonly results: readonly CheckResult[];
}

const LONGEST = 16_384;
const MOST_RESULTS = 50;

/** Reads the value of such a field, also of `ARC-Authentication-Results`, whose instance it passes over. Any text gives something; linear in its length. */
export function readAuthenticationResults(value: string): AuthenticationResults {
  const parts = splitParts(value.slice(0, LONGEST));
  if (parts[0]?.[0]?.startsWith('i=') === true) parts.shift();
  const names = parts[0]?.some((word) => word.includes('=')) === false;
  return {
    server: names ? parts[0]?.[0]?.toLowerCase() : undefined,
    results: (names ? parts.slice(1) : parts).slice(0, MOST_RESULTS).flatMap((words) => readResult(words) ?? []),
  };
}

function readResult(words: readonly string[]): CheckResult | undefined {
  const pairs = words.flatMap((word) => {
    const equals = word.indexOf('=');
    return equals < 1 ? [] : [[word.slice(0, equals).toLowerCase(), word.slice(equals + 1).toLowerCase()] as const];
  });
  const [first, ...properties] = pairs;
  if (first === undefined || !/^[a-z][a-z0-9-]{0,30}$/.test(methodOf(first[0])) || !/^[a-z]{1,20}$/.test(first[1])) return undefined;
  return { method: methodOf(first[0]), result: first[1], properties: Object.fromEntries(properties.toReversed()) };
}

/** Without its version: `dkim/1`. */
function methodOf(name: string): string {
  return name.split('/', 1).join('');
}

/** The parts between semicolons, each as its words: comments are gone, quotes taken off, blanks around `=` and `/` closed up. */
function splitParts(text: string): string[][] {
  const parts: string[][] = [[]];
  let word = '';
  let depth = 0;
  let quoted = false;
  const endWord = (): void => {
    if (word !== '') parts.at(-1)?.push(word);
    word = '';
  };
  for (let at = 0; at < text.length; at += 1) {
    const letter = text.charAt(at);
    if (letter === '\\' && (quoted || depth > 0)) {
      at += 1;
      if (quoted) word += text.charAt(at);
    } else if (quoted) {
      if (letter === '"') quoted = false;
      else word += letter;
    } else if (letter === '(') depth += 1;
    else if (depth > 0) depth -= letter === ')' ? 1 : 0;
    else if (letter === '"') quoted = true;
    else if (letter === ';') {
      endWord();
      parts.push([]);
    } else if (letter === '=' && word === '') word = `${parts.at(-1)?.pop() ?? ''}=`;
    else if (!/\s/.test(letter)) word += letter;
    // A value may follow its "=" after a blank.
    else if (word.indexOf('=') !== word.length - 1 || word === '') endWord();
  }
  endWord();
  return parts;
}
