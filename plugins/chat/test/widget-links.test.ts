import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pieces } from '../widget/links.ts';

const links = (text: string): readonly (string | undefined)[] => pieces(text).flatMap(({ href }) => (href === undefined ? [] : [href]));

test('web addresses are links, without the punctuation behind them [CHAT-1]', () => {
  expect(links('See https://example.com/a?b=c#d, or (http://example.org/x).')).toEqual(['https://example.com/a?b=c#d', 'http://example.org/x']);
  expect(links('https://example.com/a_(b) and HTTPS://EXAMPLE.COM!')).toEqual(['https://example.com/a_(b)', 'https://example.com/']);
  expect(pieces('no link')).toEqual([{ text: 'no link' }]);
});

test('nothing but http and https is a link [CHAT-1]', () => {
  for (const text of [
    'javascript:alert(1)',
    'data:text/html,x',
    'https://',
    'xhttps//example.com',
    'mailto:ada@example.com',
    'javascript:https',
    'file:///etc',
  ])
    expect(links(text), text).toEqual([]);
  const parts = fc.array(fc.constantFrom('https://', 'http://', 'javascript:', 'a.b', ' ', '"', '<', ')', '(', '.', '\n', '@', 'é', '%', '//'), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(parts, (words) => {
      const text = words.join('');
      const found = pieces(text);
      expect(found.map((piece) => piece.text).join('')).toBe(text);
      for (const { href } of found) if (href !== undefined) expect(href).toMatch(/^https?:\/\//);
    }),
  );
});
