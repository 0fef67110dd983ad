import fc from 'fast-check';
import { expect, it } from 'vitest';
import { seeded } from '#scripts/chaos/random.ts';
import { decideOwner, explainInWords, type Candidate, type Rule } from '#domain/routing.ts';

const rule: Rule = { id: 'rule-1', kind: 'SPECIFIC', method: 'RANDOM', availableOnly: true };
const now = new Date('2026-03-01T10:00:00Z');
const eligible = (userId: string): Candidate => ({ userId, deactivated: false, hasSeat: true, hasAccess: true, available: true });

it('chooses each eligible user equally often: chi-squared over 10,000 seeded decisions [ROUTE-7, ROUTE-15]', () => {
  const pool = Array.from({ length: 10 }, (_, index) => eligible(`user-${index}`));
  const random = seeded(20_261_121);
  const counts = new Map<string, number>();
  for (let turn = 0; turn < 10_000; turn += 1) {
    const { ownerId } = decideOwner(rule, pool, now, random());
    counts.set(ownerId ?? 'nobody', (counts.get(ownerId ?? 'nobody') ?? 0) + 1);
  }
  expect(counts.has('nobody')).toBe(false);
  const chiSquared = pool.reduce((sum, { userId }) => sum + ((counts.get(userId) ?? 0) - 1000) ** 2 / 1000, 0);
  // 27.88 is the 99.9th percentile for nine degrees of freedom: below it, p > 0.001.
  expect(chiSquared).toBeLessThan(27.88);
});

const candidates = fc.uniqueArray(
  fc.record({ userId: fc.uuid(), deactivated: fc.boolean(), hasSeat: fc.boolean(), hasAccess: fc.boolean(), available: fc.boolean() }),
  { selector: (one) => one.userId, maxLength: 80 },
);
const randomNumber = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

it('chooses only who is eligible, and somebody whenever there is one [ROUTE-4, ROUTE-5]', () => {
  fc.assert(
    fc.property(candidates, randomNumber, fc.boolean(), (pool, random, availableOnly) => {
      const { ownerId, explanation } = decideOwner({ ...rule, availableOnly }, pool, now, random);
      const able = pool.filter((one) => !one.deactivated && one.hasSeat && one.hasAccess && (one.available || !availableOnly));
      expect(ownerId === null).toBe(able.length === 0);
      if (ownerId !== null) expect(able.map((one) => one.userId)).toContain(ownerId);
      expect(explanation.eligible).toBe(able.length);
    }),
    { numRuns: 500 },
  );
});

it('is a function of its arguments alone, whatever order the candidates come in [ROUTE-16]', () => {
  fc.assert(
    fc.property(candidates, randomNumber, (pool, random) => {
      expect(decideOwner(rule, pool, now, random)).toEqual(decideOwner(rule, pool.toReversed(), now, random));
    }),
    { numRuns: 300 },
  );
});

it('explains at most the fifty nearest and counts the rest by reason [ROUTE-14]', () => {
  const pool = [
    ...Array.from({ length: 30 }, (_, index) => ({ ...eligible(`a-${index}`), available: false })),
    ...Array.from({ length: 40 }, (_, index) => ({ ...eligible(`b-${index}`), hasSeat: false })),
    eligible('c-0'),
  ];
  const { explanation } = decideOwner(rule, pool, now, 0.5);
  expect(explanation.candidates).toHaveLength(50);
  expect(explanation.candidates[0]).toEqual({ userId: 'c-0', outcome: 'CHOSEN', reason: null });
  expect(explanation.leftOut).toEqual({ AWAY: 30, NO_SEAT: 40 });
  expect(explainInWords(explanation)).toBe('user c-0 was chosen at random among 1 eligible; left out: 30 away, 40 without a paid seat');
});

it('assigns nobody by the rule nobody [ROUTE-6]', () => {
  const { ownerId, explanation } = decideOwner({ ...rule, kind: 'NOBODY', method: null }, [eligible('a')], now, 0);
  expect(ownerId).toBeNull();
  expect(explanation.outcome).toBe('RULE_IS_NOBODY');
});
