import { expect, test } from 'vitest';
import { entryPointOf } from '../widget/entry-point.ts';

test('of the page around the widget only its ref is told [CHAT-5]', () => {
  expect(entryPointOf('?reset=secret&ref=spring%20sale&name=Ada')).toEqual({ page: { ref: 'spring sale' } });
  expect(entryPointOf(`?ref=${'x'.repeat(5_000)}`)).toEqual({ page: { ref: 'x'.repeat(100) } });
  for (const none of ['', '?', '?ref=', '?reset=secret', '?referrer=x']) expect(entryPointOf(none), none).toEqual({});
});
