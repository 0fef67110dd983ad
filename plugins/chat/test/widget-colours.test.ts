import fc from 'fast-check';
import { expect, test } from 'vitest';
import { contrast, readableOn } from '../widget/contrast.ts';

const hex = fc.integer({ min: 0, max: 0xffffff }).map((number) => `#${number.toString(16).padStart(6, '0')}`);

test('a text on any accent colour has a contrast of at least 4.5 : 1 [CHAT-1]', () => {
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21);
  expect([readableOn('#ffffff'), readableOn('#000000'), readableOn('#ffe14d'), readableOn('#0f766e')]).toEqual(['#000000', '#ffffff', '#000000', '#ffffff']);
  fc.assert(
    fc.property(hex, (accent) => contrast(accent, readableOn(accent)) >= 4.5),
    { numRuns: 5_000 },
  );
});
