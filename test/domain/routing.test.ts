import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seeded } from '#scripts/chaos/random.ts';
import { decideOwner, foretold, type Candidate, type Load, type Rule } from '#domain/routing.ts';
import { explainInWords } from '#domain/routing-words.ts';

const rule: Rule = { id: 'rule-1', kind: 'SPECIFIC', method: 'RANDOM', availableOnly: true };
const leastBusy: Rule = { ...rule, method: 'LEAST_BUSY' };
const byOwner: Rule = { id: 'rule-2', kind: 'CONTACT_OWNER', method: null, availableOnly: true };
const now = new Date('2026-03-01T10:00:00Z');
const eligible = (userId: string): Candidate => ({ userId, deactivated: false, hasSeat: true, hasAccess: true, available: true });
const loaded = (userId: string, open: number, more: Partial<Load> = {}): Candidate => ({
  ...eligible(userId),
  load: { open, active: false, lastAssignedAt: null, ...more },
});

const flags = { deactivated: fc.boolean(), hasSeat: fc.boolean(), hasAccess: fc.boolean(), available: fc.boolean() };
const candidates = fc.uniqueArray(fc.record({ userId: fc.uuid(), ...flags }), { selector: (one) => one.userId, maxLength: 80 });
/** Few different numbers, so that ties of every depth come about. */
const load = fc.record({
  open: fc.integer({ min: 0, max: 2 }),
  active: fc.boolean(),
  lastAssignedAt: fc.constantFrom(null, new Date('2026-02-28T10:00:00Z'), new Date('2026-02-28T11:00:00Z')),
});
const loadedCandidates = fc.uniqueArray(fc.record({ userId: fc.uuid(), ...flags, load }), { selector: (one) => one.userId, maxLength: 80 });
const randomNumber = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const able = <One extends Candidate>(pool: readonly One[]) => pool.filter((one) => !one.deactivated && one.hasSeat && one.hasAccess && one.available);

describe('users and teams, at random', () => {
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

  it('chooses only who is eligible, and somebody whenever there is one [ROUTE-4, ROUTE-5]', () => {
    fc.assert(
      fc.property(candidates, randomNumber, fc.boolean(), (pool, random, availableOnly) => {
        const { ownerId, explanation } = decideOwner({ ...rule, availableOnly }, pool, now, random);
        const possible = pool.filter((one) => !one.deactivated && one.hasSeat && one.hasAccess && (one.available || !availableOnly));
        expect(ownerId === null).toBe(possible.length === 0);
        if (ownerId !== null) expect(possible.map((one) => one.userId)).toContain(ownerId);
        expect(explanation.eligible).toBe(possible.length);
      }),
      { numRuns: 500 },
    );
  });

  it('compares no numbers, and says so [ROUTE-14]', () => {
    const { explanation } = decideOwner(rule, [loaded('a', 3), loaded('b', 5)], now, 0);
    expect(explanation).toMatchObject({
      decidedBy: 'RANDOM',
      candidates: [
        { open: null, active: null },
        { open: null, active: null },
      ],
    });
  });
});

describe('the least busy', () => {
  it('is the one with the fewest open, whatever else is said of them [ROUTE-9]', () => {
    const busy = loaded('a', 2, { active: true });
    const { ownerId, explanation } = decideOwner(leastBusy, [busy, loaded('b', 1, { lastAssignedAt: now })], now, 0.9);
    expect([ownerId, explanation.decidedBy]).toEqual(['b', 'OPEN']);
  });

  it('is of equally busy ones the one who is active in the place [ROUTE-9]', () => {
    const { ownerId, explanation } = decideOwner(leastBusy, [loaded('a', 1), loaded('b', 1, { active: true, lastAssignedAt: now })], now, 0);
    expect([ownerId, explanation.decidedBy]).toEqual(['b', 'ACTIVE']);
  });

  it('is then the one least recently assigned, the never assigned before all, then by id [ROUTE-9]', () => {
    const [earlier, later] = [new Date('2026-02-01T00:00:00Z'), new Date('2026-02-02T00:00:00Z')];
    const chosen = (...pool: Candidate[]) => {
      const { ownerId, explanation } = decideOwner(leastBusy, pool, now, 0);
      return [ownerId, explanation.decidedBy];
    };
    expect(chosen(loaded('a', 1, { lastAssignedAt: later }), loaded('b', 1, { lastAssignedAt: earlier }))).toEqual(['b', 'LAST_ASSIGNED']);
    expect(chosen(loaded('a', 1, { lastAssignedAt: earlier }), loaded('b', 1))).toEqual(['b', 'LAST_ASSIGNED']);
    expect(chosen(loaded('b', 1), loaded('a', 1))).toEqual(['a', 'ID']);
    expect(chosen(loaded('b', 1, { lastAssignedAt: later }), loaded('a', 1, { lastAssignedAt: new Date(later) }))).toEqual(['a', 'ID']);
  });

  it('is, where the account reads it literally, the one most recently assigned, the never assigned last [ROUTE-9]', () => {
    const [earlier, later] = [new Date('2026-02-01T00:00:00Z'), new Date('2026-02-02T00:00:00Z')];
    const pool = [loaded('a', 1), loaded('b', 1, { lastAssignedAt: earlier }), loaded('c', 1, { lastAssignedAt: later })];
    const { ownerId, explanation } = decideOwner({ ...leastBusy, recentlyAssignedFirst: true }, pool, now, 0);
    expect(ownerId).toBe('c');
    expect(explanation.recentlyAssignedFirst).toBe(true);
    expect(explanation.candidates.map(({ userId }) => userId)).toEqual(['c', 'b', 'a']);
  });

  it('stands at the minimum of the lexicographic order, whoever the candidates are [ROUTE-9, ROUTE-15]', () => {
    // The order as one sortable text, written apart from the code's: digits, then flags, then moments, then the id.
    const key = ({ userId, load: { open, active, lastAssignedAt } }: Candidate & { readonly load: Load }) =>
      `${String(open).padStart(6, '0')} ${active ? 'a' : 'b'} ${lastAssignedAt?.toISOString() ?? '0000'} ${userId}`;
    fc.assert(
      fc.property(loadedCandidates, randomNumber, (pool, random) => {
        const { ownerId, explanation } = decideOwner(leastBusy, pool, now, random);
        const sorted = able(pool).toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
        expect(ownerId).toBe(sorted[0]?.userId ?? null);
        const listed = explanation.candidates.filter(({ outcome }) => outcome !== 'LEFT_OUT').map(({ userId }) => userId);
        expect(listed).toEqual(sorted.slice(0, 50).map(({ userId }) => userId));
      }),
      { numRuns: 500 },
    );
  });

  it('is explained with the numbers that were compared, for each who is eligible [ROUTE-14]', () => {
    const at = new Date('2026-02-01T00:00:00Z');
    const { explanation } = decideOwner(
      leastBusy,
      [loaded('a', 2), loaded('b', 1, { active: true, lastAssignedAt: at }), { ...loaded('c', 0), available: false }],
      now,
      0,
    );
    expect(explanation.candidates).toEqual([
      { userId: 'b', as: 'NAMED', outcome: 'CHOSEN', reason: null, open: 1, active: true, lastAssignedAt: at.toISOString() },
      { userId: 'a', as: 'NAMED', outcome: 'ELIGIBLE', reason: null, open: 2, active: false, lastAssignedAt: null },
      { userId: 'c', as: 'NAMED', outcome: 'LEFT_OUT', reason: 'AWAY', open: null, active: null, lastAssignedAt: null },
    ]);
    expect(explainInWords(explanation)).toBe('user b was the least busy among 2 eligible with 1 open; user a, the next, had 2; left out: 1 away');
  });

  it.each<readonly [string, Candidate, Candidate, string]>([
    ['who is active', loaded('b', 1, { active: true }), loaded('a', 1), 'user a, the next, had as many, but was not active in the place'],
    [
      'when each last got something',
      loaded('b', 1, { lastAssignedAt: new Date('2026-02-01T00:00:00Z') }),
      loaded('a', 1, { lastAssignedAt: new Date('2026-02-02T00:00:00Z') }),
      'user a, the next, had as many: who got something longest ago goes first, 2026-02-01T00:00:00.000Z against 2026-02-02T00:00:00.000Z',
    ],
    ['the id', loaded('b', 1), loaded('c', 1), 'user c, the next, had as many and all else alike: the lower id goes first'],
  ])('says in words by what it was told from the next: %s [ROUTE-14]', (_, chosen, next, words) => {
    expect(explainInWords(decideOwner(leastBusy, [next, chosen], now, 0).explanation)).toBe(`user b was the least busy among 2 eligible with 1 open; ${words}`);
  });

  it('says in words that who got something last goes first, where the account reads it so [ROUTE-9, ROUTE-14]', () => {
    const pool = [loaded('a', 1), loaded('b', 1, { lastAssignedAt: new Date('2026-02-01T00:00:00Z') })];
    const { explanation } = decideOwner({ ...leastBusy, recentlyAssignedFirst: true }, pool, now, 0);
    expect(explainInWords(explanation)).toBe(
      'user b was the least busy among 2 eligible with 1 open; user a, the next, had as many: who got something last goes first, 2026-02-01T00:00:00.000Z against never',
    );
  });

  it('counts those further away than were read one by one [ROUTE-14]', () => {
    const { explanation } = decideOwner(leastBusy, [loaded('a', 0)], now, 0, { eligible: 200, leftOut: { AWAY: 3 } });
    expect(explanation).toMatchObject({ ownerId: 'a', eligible: 201, leftOut: { AWAY: 3 } });
  });

  it('is never somebody whose numbers nobody has read', () => {
    expect(decideOwner(leastBusy, [eligible('a'), loaded('b', 99)], now, 0).ownerId).toBe('b');
  });
});

describe("the contact's owner", () => {
  const owner = (more: Partial<Candidate> = {}): Candidate => ({ ...eligible('o'), as: 'OWNER', recognised: true, ...more });
  const standIn = (more: Partial<Candidate> = {}): Candidate => ({ ...eligible('d'), as: 'DEFAULT_USER', ...more });
  const decided = (...pool: Candidate[]) => decideOwner(byOwner, pool, now, 0.99);

  it('gets it, away or not, before the default user [ROUTE-10, ROUTE-5]', () => {
    for (const available of [true, false]) {
      const { ownerId, explanation } = decided(standIn(), owner({ available }));
      expect([ownerId, explanation.decidedBy]).toEqual(['o', 'OWNER']);
    }
  });

  it.each([{ hasSeat: false }, { hasAccess: false }, { deactivated: true }, { recognised: false }])('counts as none with %j [ROUTE-10]', (lacking) => {
    const { ownerId, explanation } = decided(owner(lacking), standIn({ available: false }));
    expect([ownerId, explanation.decidedBy]).toEqual(['d', 'DEFAULT_USER']);
    expect(decided(owner(lacking)).ownerId).toBeNull();
    expect(explanation.candidates.find(({ as }) => as === 'OWNER')?.outcome).toBe('LEFT_OUT');
  });

  it('leaves it unassigned where there is neither, and says which of the two was missing [ROUTE-10, ROUTE-14]', () => {
    expect(decided().explanation.outcome).toBe('NO_OWNER');
    expect(explainInWords(decided().explanation)).toBe('unassigned: the contact has no owner, and the rule has no default user');
    const { explanation } = decided(owner({ recognised: false }), standIn({ hasSeat: false }));
    expect(explanation).toMatchObject({ ownerId: null, outcome: 'NOBODY_ELIGIBLE', leftOut: { NOT_RECOGNISED: 1, NO_SEAT: 1 } });
  });

  it('may be the default user too: recognised as the one, else found as the other [ROUTE-10]', () => {
    const same = { ...standIn(), userId: 'o' };
    expect(decided(owner({ recognised: false }), same).explanation.decidedBy).toBe('DEFAULT_USER');
    expect(decided(owner(), same).explanation.decidedBy).toBe('OWNER');
    expect(decided(owner(), same).explanation.candidates.filter(({ outcome }) => outcome === 'CHOSEN')).toHaveLength(1);
  });
});

it('is a function of its arguments alone, whatever order the candidates come in [ROUTE-16]', () => {
  fc.assert(
    fc.property(loadedCandidates, randomNumber, fc.constantFrom(rule, leastBusy), (pool, random, by) => {
      expect(decideOwner(by, pool, now, random)).toEqual(decideOwner(by, pool.toReversed(), now, random));
      expect(decideOwner(by, pool, now, random)).toEqual(
        decideOwner(
          by,
          pool.toSorted((a, b) => (a.load.open === b.load.open ? (a.userId < b.userId ? 1 : -1) : a.load.open - b.load.open)),
          now,
          random,
        ),
      );
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
  expect(explanation.candidates[0]).toMatchObject({ userId: 'c-0', outcome: 'CHOSEN', reason: null });
  expect(explanation.leftOut).toEqual({ AWAY: 30, NO_SEAT: 40 });
  expect(explainInWords(explanation)).toBe('user c-0 was the only one eligible; left out: 30 away, 40 without a paid seat');
});

it('lists who is left out by what keeps them from it, the nearest to getting it first: many who are away hide nobody at capacity [ROUTE-14]', () => {
  const skilled: Rule = { ...leastBusy, skillRule: { id: 's', position: 1, required: ['fr'], otherwise: 'WAIT' } };
  const full = (userId: string) => ({ ...eligible(userId), limits: [{ of: 'total', open: 1, limit: 1 }] as const });
  const pool = [
    ...Array.from({ length: 55 }, (_, index) => ({ ...eligible(`a-${index}`), available: false })),
    { ...eligible('b-gone'), deactivated: true },
    { ...eligible('c-poor'), hasSeat: false },
    { ...eligible('d-barred'), hasAccess: false },
    full('z-full'),
    full('y-full'),
    { ...eligible('x-unskilled'), missing: ['fr'] },
  ];
  const { explanation } = decideOwner(skilled, pool, now, 0);
  expect(explanation.candidates.slice(0, 4).map(({ userId }) => userId)).toEqual(['x-unskilled', 'y-full', 'z-full', 'a-0']);
  const few = decideOwner(skilled, pool.slice(54), now, 0).explanation;
  expect(few.candidates.map(({ reason }) => reason)).toEqual(['MISSING_SKILL', 'AT_CAPACITY', 'AT_CAPACITY', 'AWAY', 'NO_ACCESS', 'NO_SEAT', 'DEACTIVATED']);
  expect(explainInWords(few)).toContain('1 without a skill it asks for, 2 at capacity, 1 away, 1 without access, 1 without a paid seat, 1 deactivated');
});

it('assigns nobody by the rule nobody [ROUTE-6]', () => {
  const { ownerId, explanation } = decideOwner({ ...rule, kind: 'NOBODY', method: null }, [eligible('a')], now, 0);
  expect(ownerId).toBeNull();
  expect(explanation.outcome).toBe('RULE_IS_NOBODY');
});

it('words a preview at random like the others: which skills were asked for, and who was left out [ROUTE-14, ROUTE-11]', () => {
  const skilled: Rule = { ...rule, skillRule: { id: 's', position: 2, required: ['fr'], otherwise: 'WAIT' } };
  const pool = [eligible('a'), eligible('b'), { ...eligible('c'), available: false }, { ...eligible('d'), missing: ['fr'] }];
  const { ownerId, explanation } = foretold(decideOwner(skilled, pool, now, 0), { off: false });
  expect(ownerId).toBeNull();
  expect(explainInWords(explanation)).toBe('one of 2 eligible would be chosen at random; by skill rule 2; left out: 1 without a skill it asks for, 1 away');
});

it('words a decision of an older version, which compared nothing [ROUTE-14]', () => {
  expect(explainInWords({ ownerId: 'a', outcome: 'ASSIGNED', eligible: 4, leftOut: {} })).toBe('user a was chosen at random among 4 eligible');
});
