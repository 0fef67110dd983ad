import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { buildWidget, widgets } from '#scripts/widget/build.ts';

/** What CHAT-1 allows, in bytes as they travel. */
const MOST_BYTES = 20_000;
/** What a page's content security policy may forbid, and what could make markup of a text. */
const FORBIDDEN =
  /\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|srcdoc|cssText|eval|Function)\b|document\.write|createElement\(.style|\.setAttribute\(.style/;

test('there is a widget to look at', () => {
  expect(widgets().length).toBeGreaterThan(0);
});

describe.each(widgets())('$output', ({ entry, output }) => {
  const committed = readFileSync(output, 'utf8');

  test('is what its sources make; `npm run widget` makes it anew [CHAT-1]', async () => {
    expect(await buildWidget(entry)).toBe(committed);
  });

  test(`weighs at most ${MOST_BYTES} bytes compressed [CHAT-1]`, () => {
    expect(gzipSync(committed).byteLength).toBeLessThanOrEqual(MOST_BYTES);
  });

  test('is one classic script that makes no markup of texts and runs under a strict policy [CHAT-1]', () => {
    expect(() => new Script(committed)).not.toThrow();
    expect(committed).not.toMatch(/^\s*(import|export)\b/m);
    expect(FORBIDDEN.exec(committed)?.[0]).toBeUndefined();
  });
});
