import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideOwner, type Candidate, type Load, type Rule } from '#domain/routing.ts';
import { explainInWords } from '#domain/routing-words.ts';
import type { Condition, TicketFacts } from '#domain/conditions.ts';
import { matchingSkillRule, skillRuleProblems, type SkillRule } from '#domain/skills.ts';

const now = new Date('2026-03-01T10:00:00Z');
const ticket: TicketFacts = { pipelineId: 'p1', priority: 'HIGH', properties: { language: 'French', floor: 3, tags: ['Lamps', 'shade'], nested: { a: 1 } } };
const rule = (position: number, conditions: readonly Condition[], more: Partial<SkillRule> = {}): SkillRule => ({
  id: `s${position}`,
  position,
  conditions,
  required: ['k'],
  otherwise: 'WAIT',
  ...more,
});
const met = (...conditions: Condition[]) => matchingSkillRule([rule(1, conditions)], ticket) !== null;

describe('conditions', () => {
  it.each([
    [{ property: 'pipeline', operator: 'IS', values: ['p1'] }, true],
    [{ property: 'pipeline', operator: 'IN', values: ['p2', 'p3'] }, false],
    [{ property: 'priority', operator: 'IN', values: ['URGENT', 'HIGH'] }, true],
    [{ property: 'properties.language', operator: 'IS', values: ['french'] }, true],
    [{ property: 'properties.language', operator: 'IS', values: ['fren'] }, false],
    [{ property: 'properties.language', operator: 'CONTAINS', values: ['REN'] }, true],
    [{ property: 'properties.floor', operator: 'IS', values: ['3'] }, true],
    [{ property: 'properties.tags', operator: 'IN', values: ['lamps', 'chairs'] }, true],
    [{ property: 'properties.tags', operator: 'CONTAINS', values: ['shade'] }, true],
    [{ property: 'properties.tags', operator: 'CONTAINS', values: ['sha'] }, false],
    [{ property: 'properties.nested', operator: 'CONTAINS', values: ['1'] }, false],
    [{ property: 'properties.missing', operator: 'CONTAINS', values: ['null'] }, false],
    [{ property: 'properties.constructor', operator: 'CONTAINS', values: ['function'] }, false],
  ] as const)('%j is %s [ROUTE-11]', (condition, expected) => {
    expect(met(condition)).toBe(expected);
  });

  it('must all hold, and the first rule of which they do counts, by its position [ROUTE-11]', () => {
    const french: Condition = { property: 'properties.language', operator: 'IS', values: ['french'] };
    const low: Condition = { property: 'priority', operator: 'IS', values: ['LOW'] };
    expect(met(french, low)).toBe(false);
    const rules = [rule(3, [french]), rule(1, [low]), rule(2, [french])];
    expect(matchingSkillRule(rules, ticket)?.position).toBe(2);
    expect(matchingSkillRule(rules, null)).toBeNull();
  });
});

it('names each thing that is wrong with rules by its path: nothing to look at, nothing asked for, twice the same [ROUTE-11]', () => {
  const is = (property: string, ...values: string[]): Condition => ({ property, operator: 'IS', values });
  const paths = skillRuleProblems([
    { conditions: [], skillIds: [], otherwise: 'WAIT' },
    { conditions: [is('colour', 'red'), is('properties.', 'x'), is('priority', 'HIGHEST')], skillIds: ['a', 'a'], otherwise: 'WAIT' },
    {
      conditions: [{ property: 'pipeline', operator: 'CONTAINS', values: ['x'] }, is('properties.a', 'x', 'y'), is('properties.b', ' ')],
      skillIds: ['a'],
      otherwise: 'WAIT',
    },
    { conditions: [is('properties.a', 'x'), is('properties.a', 'X')], skillIds: ['a'], otherwise: 'WAIT' },
    { conditions: [is('properties.c', 'x'), is('priority', 'LOW')], skillIds: ['a'], otherwise: 'WAIT' },
    { conditions: [is('priority', 'LOW'), is('properties.c', 'X')], skillIds: ['b'], otherwise: 'FALL_BACK' },
  ]).map(({ path }) => path);
  expect(paths).toEqual([
    '0.conditions',
    '0.skillIds',
    '1.skillIds.1',
    '1.conditions.0.property',
    '1.conditions.1.property',
    '1.conditions.2.values.0',
    '2.conditions.0.operator',
    '2.conditions.1.values',
    '2.conditions.2.values.0',
    '3.conditions.1',
    '5.conditions',
  ]);
});

const routing: Rule = { id: 'r', kind: 'SPECIFIC', method: 'LEAST_BUSY', availableOnly: true };
const asked = (otherwise: SkillRule['otherwise']) => ({ id: 's2', position: 2, required: ['k'], otherwise });
const member = (userId: string, more: Partial<Candidate> = {}): Candidate => ({
  userId,
  deactivated: false,
  hasSeat: true,
  hasAccess: true,
  available: true,
  load: { open: 0, active: false, lastAssignedAt: null },
  ...more,
});

it('leaves out who lacks a skill, names the rule, and waits where nobody free has them [ROUTE-11, ROUTE-14]', () => {
  const pool = [member('a', { missing: ['k'] }), member('b', { load: { open: 9, active: false, lastAssignedAt: null } })];
  const { ownerId, explanation } = decideOwner({ ...routing, skillRule: asked('WAIT') }, pool, now, 0);
  expect(ownerId).toBe('b');
  expect(explanation).toMatchObject({
    skillRule: { id: 's2', position: 2, required: ['k'], fellBack: false },
    leftOut: { MISSING_SKILL: 1 },
    candidates: [{ userId: 'b' }, { userId: 'a', reason: 'MISSING_SKILL', missing: ['k'] }],
  });
  expect(explainInWords(explanation)).toBe('user b was the only one eligible; by skill rule 2; left out: 1 without a skill it asks for');
  const away = decideOwner({ ...routing, skillRule: asked('WAIT') }, [pool[0] ?? member('a'), member('b', { available: false })], now, 0);
  expect([away.ownerId, away.explanation.leftOut]).toEqual([null, { MISSING_SKILL: 1, AWAY: 1 }]);
});

it("falls back to the rule's own order where that is set, for those read and those counted [ROUTE-11]", () => {
  const pool = [
    member('a', { missing: ['k'], load: { open: 2, active: false, lastAssignedAt: null } }),
    member('b', { missing: ['k'] }),
    member('c', { available: false }),
  ];
  const { ownerId, explanation } = decideOwner({ ...routing, skillRule: asked('FALL_BACK') }, pool, now, 0, {
    eligible: 0,
    leftOut: { MISSING_SKILL: 7, AWAY: 1 },
  });
  expect([ownerId, explanation.eligible, explanation.leftOut]).toEqual(['b', 9, { AWAY: 2 }]);
  expect(explanation.skillRule?.fellBack).toBe(true);
  expect(explainInWords(explanation)).toContain('by skill rule 2, whose skills nobody free had');
});

// Every method at once: the chosen is eligible, and nobody eligible comes before them in the method's own order.
const flags = { deactivated: fc.boolean(), hasSeat: fc.boolean(), hasAccess: fc.boolean(), available: fc.boolean() };
const load: fc.Arbitrary<Load> = fc.record({ open: fc.integer({ min: 0, max: 2 }), active: fc.boolean(), lastAssignedAt: fc.constantFrom(null, now) });
const limits = fc.array(
  fc.record({ of: fc.constantFrom('total' as const, 'written' as const), open: fc.integer({ min: 0, max: 2 }), limit: fc.integer({ min: 0, max: 3 }) }),
  {
    maxLength: 2,
  },
);
const turn = fc.record({ served: fc.boolean(), last: fc.option(fc.integer({ min: 1, max: 4 })) });
const missing = fc.constantFrom<readonly string[]>([], [], ['k']);
const likely = fc.uniqueArray(fc.record({ userId: fc.uuid(), ...flags, load, limits, turn, missing }), { selector: (one) => one.userId, maxLength: 60 });

it('never chooses who is not eligible or is beaten by another in the order of the rule, whatever the method [ROUTE-4, ROUTE-9, ROUTE-11, ROUTE-15]', () => {
  fc.assert(
    fc.property(
      likely,
      fc.constantFrom('RANDOM' as const, 'LEAST_BUSY' as const, 'ROUND_ROBIN' as const),
      fc.constantFrom(null, asked('WAIT'), asked('FALL_BACK')),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (pool, method, skillRule, random) => {
        const { ownerId, explanation } = decideOwner({ ...routing, method, skillRule }, pool, now, random);
        const able = pool.filter((one) => !one.deactivated && one.hasSeat && one.hasAccess && one.available && one.limits.every((at) => at.open < at.limit));
        const skilled = skillRule === null ? able : able.filter((one) => one.missing.length === 0);
        const possible = skilled.length === 0 && skillRule?.otherwise === 'FALL_BACK' ? able : skilled;
        expect(explanation.eligible).toBe(possible.length);
        const chosen = possible.find(({ userId }) => userId === ownerId);
        if (possible.length === 0) {
          expect(ownerId).toBeNull();
          return;
        }
        if (chosen === undefined) throw new Error('the chosen could not be chosen');
        // One sortable text each, written apart from the code's comparisons.
        const key = (one: (typeof pool)[number]): string =>
          method === 'LEAST_BUSY'
            ? `${one.load.open} ${one.load.active ? 'a' : 'b'} ${one.load.lastAssignedAt?.toISOString() ?? '0'} ${one.userId}`
            : method === 'ROUND_ROBIN'
              ? `${one.turn.served ? 'b' : 'a'} ${one.turn.last ?? 9} ${one.userId}`
              : '';
        for (const other of possible) expect(key(other) < key(chosen)).toBe(false);
      },
    ),
    { numRuns: 1_000 },
  );
});
