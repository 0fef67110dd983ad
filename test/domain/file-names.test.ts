import fc from 'fast-check';
import { expect, test } from 'vitest';
import { distinctFileNames, MAX_FILE_NAME_BYTES, normalType, safeFileName, safeType } from '#domain/file-names.ts';

const bytes = (name: string) => Buffer.byteLength(name, 'utf8');

test.each([
  ['../../etc/passwd', 'passwd'],
  ['C:\\Users\\ada\\invoice.pdf', 'invoice.pdf'],
  ['/', 'attachment'],
  ['..', 'attachment'],
  ['', 'attachment'],
  [' \u200B\u2066 ', 'attachment'],
  ['.htaccess', 'htaccess'],
  ['report.pdf. . .', 'report.pdf'],
  ['invoice\u202Efdp.exe', 'invoicefdp.exe'],
  ['a\r\nContent-Type: text/html\r\n\r\nb.txt', 'html b.txt'],
  ['nul\0l.txt', 'null.txt'],
  ['con', '_con'],
  ['NUL.txt', '_NUL.txt'],
  ['com1 .log', '_com1 .log'],
  ['lpt³', '_lpt³'],
  ['console.log', 'console.log'],
  ['what? "is" <this>.doc', 'what_ _is_ _this_.doc'],
  ['e\u0301te\u0301.txt', 'été.txt'],
  ['family 👨‍👩‍👧.png', 'family 👨‍👩‍👧.png'],
  ['half \uD83D.png', 'half \uFFFD.png'],
  ['50% off; really.pdf', '50% off; really.pdf'],
])('makes %j the safe name %j [CH-6]', (given, safe) => {
  expect(safeFileName(given)).toBe(safe);
});

test('a long name keeps its extension and whole characters [CH-6]', () => {
  const name = safeFileName(`${'é'.repeat(300)}.tar.gz`);
  expect(name).toMatch(/^é+\.gz$/u);
  expect(bytes(name)).toBeLessThanOrEqual(MAX_FILE_NAME_BYTES);
  expect(bytes(name)).toBeGreaterThan(MAX_FILE_NAME_BYTES - 3);
  // What is too long to be an extension is cut like the rest.
  expect(bytes(safeFileName(`a.${'b'.repeat(500)}`))).toBe(MAX_FILE_NAME_BYTES);
  expect(safeFileName(`con ${'\u0301'.repeat(200)}.txt`)).toBe('_con.txt');
});

const anyName = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.string({ unit: fc.constantFrom('.', '/', '\\', ' ', 'a', 'é', '\u202E', '\u0301', '\0', 'c', 'o', 'n', '\uD83D', '\u200D', ':'), maxLength: 300 }),
);

test('whatever it is called, a file gets a name without path, controls, overrides or device, short, never empty, and stays so [CH-6]', () => {
  fc.assert(
    fc.property(anyName, (given) => {
      const name = safeFileName(given);
      expect(name).not.toBe('');
      expect(bytes(name)).toBeLessThanOrEqual(MAX_FILE_NAME_BYTES);
      expect(name).not.toMatch(/[/\\<>:"|?*]/);
      expect(name).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069\uFEFF]/u);
      expect(name).not.toMatch(/^[\s.]|[\s.]$/u);
      expect(name).not.toMatch(/^(con|prn|aux|nul|com\d|lpt\d)\s*(\.|$)/i);
      expect(name.isWellFormed()).toBe(true);
      expect(safeFileName(name)).toBe(name);
    }),
    { numRuns: 3_000 },
  );
});

test('an extension survives whatever comes before it [CH-6]', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.stringMatching(/^[a-z0-9]{1,8}$/), (stem, extension) => {
      const name = safeFileName(`x${stem}.${extension}`);
      expect(name.endsWith(`.${extension}`) || name === extension).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

test('names that come twice are numbered, whatever their case, and no two are the same [CH-6]', () => {
  expect(distinctFileNames(['a.txt', 'A.TXT', 'a.txt', 'b'])).toEqual(['a.txt', 'A (2).TXT', 'a (3).txt', 'b']);
  expect(distinctFileNames(['a.txt', 'a.txt', 'a (2).txt'])).toEqual(['a.txt', 'a (3).txt', 'a (2).txt']);
  const long = safeFileName(`${'x'.repeat(500)}.pdf`);
  const [, second = ''] = distinctFileNames([long, long]);
  expect(second).toMatch(/x \(2\)\.pdf$/);
  expect(bytes(second)).toBe(MAX_FILE_NAME_BYTES);
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'A', 'a (2)', 'a (3)', 'b.c', 'B.c', long), { maxLength: 30 }), (names) => {
      const distinct = distinctFileNames(names);
      expect(new Set(distinct.map((name) => name.toLowerCase())).size).toBe(names.length);
      expect(distinct.every((name) => bytes(name) <= MAX_FILE_NAME_BYTES)).toBe(true);
    }),
  );
});

test.each([
  ['Image/JPG', 'image/jpeg'],
  ['text/html; charset=utf-8', 'text/html'],
  ['', 'application/octet-stream'],
  ['text/html\r\nx: y', 'application/octet-stream'],
  ['a/b/c', 'application/octet-stream'],
  [`a/${'b'.repeat(200)}`, 'application/octet-stream'],
])('the type %j is %j [CH-6]', (given, type) => {
  expect(normalType(given)).toBe(type);
});

test.each([
  'application/x-javascript',
  'application/x-ecmascript',
  'application/ecmascript',
  'text/jscript',
  'text/html',
  'application/xhtml+xml',
  'image/svg+xml',
  'image/svg',
  'application/rss+xml',
  'application/mathml+xml',
  'application/xslt+xml',
  'application/wasm',
  'application/x-shockwave-flash',
  'application/java-archive',
  'application/x-msdownload',
  'application/hta',
  'application/vnd.mozilla.xul+xml',
  'multipart/x-mixed-replace',
  'message/rfc822',
  'text/vtt',
  'video/x+xml',
  'font/woff',
  'application/x-httpd-php',
  '',
  'no type',
])('%j is given out as bytes: only what is known to be harmless keeps its type [CH-6]', (type) => {
  for (const written of [type, type.toUpperCase(), `${type}; charset=utf-8`, ` ${type}`]) expect(safeType(written)).toBe('application/octet-stream');
});

test.each([
  'image/png',
  'image/heic',
  'application/pdf',
  'text/plain',
  'text/csv',
  'text/calendar',
  'application/zip',
  'application/msword',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  'application/vnd.oasis.opendocument.text',
  'audio/mpeg',
  'video/mp4',
  'video/3gpp',
])('%s keeps its type [CH-6]', (type) => {
  expect(safeType(type)).toBe(type);
});
