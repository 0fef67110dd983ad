import fc from 'fast-check';
import { expect, it } from 'vitest';
import { backOffSeconds, receiptMovesOn } from '#domain/outbox.ts';

it('never lets a receipt lead back, and fails only what was not delivered [CH-5]', () => {
  const order = ['SENDING', 'MAYBE_SENT', 'SENT', 'DELIVERED', 'READ'];
  for (const from of order) {
    for (const to of ['SENT', 'DELIVERED', 'READ'] as const) expect(receiptMovesOn(from, to)).toBe(order.indexOf(to) > order.indexOf(from));
    expect(receiptMovesOn(from, 'FAILED')).toBe(order.indexOf(from) < order.indexOf('DELIVERED'));
  }
  expect(receiptMovesOn('FAILED', 'READ')).toBe(false);
  expect(receiptMovesOn('QUEUED', 'SENT')).toBe(false);
});

it('waits longer after each failed try, a quarter of an hour at the most [CH-5]', () => {
  expect([1, 2, 3, 4, 5, 6].map(backOffSeconds)).toEqual([5, 15, 60, 300, 900, 900]);
  fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), (attempt) => backOffSeconds(attempt + 1) >= backOffSeconds(attempt)));
});
