import fc from 'fast-check';
import { expect, it } from 'vitest';
import { nextCycle, type Cycle, type Turn } from '#domain/round-robin.ts';
import { decideOwner, type Candidate, type Rule } from '#domain/routing.ts';
import { explainInWords } from '#domain/routing-words.ts';

const rule: Rule = { id: 'rule-1', kind: 'SPECIFIC', method: 'ROUND_ROBIN', availableOnly: true };
const now = new Date('2026-03-01T10:00:00Z');
const member = (userId: string, turn?: Turn): Candidate => ({
  userId,
  deactivated: false,
  hasSeat: true,
  hasAccess: true,
  available: true,
  ...(turn === undefined ? {} : { turn }),
});

/** What the rows hold, kept in memory: whoever is chosen has their turn noted, as the command does. */
class Rows {
  #cycle: Cycle | null = null;
  readonly #turns = new Map<string, Cycle>();

  turnOf(userId: string): Turn {
    const turn = this.#turns.get(userId);
    return { served: turn !== undefined && turn.cycle === this.#cycle?.cycle, last: turn?.turn ?? null };
  }

  decide(eligible: readonly string[], others: readonly string[] = []): string | null {
    const pool = [
      ...eligible.map((userId) => member(userId, this.turnOf(userId))),
      ...others.map((userId) => ({ ...member(userId, this.turnOf(userId)), available: false })),
    ];
    const { ownerId } = decideOwner(rule, pool, now, 0);
    if (ownerId !== null) {
      this.#cycle = nextCycle(this.#cycle, this.turnOf(ownerId));
      this.#turns.set(ownerId, this.#cycle);
    }
    return ownerId;
  }
}

/** The rule told in another way: a set of who was served, a line of who got something when, no numbers. */
class Model {
  #served = new Set<string>();
  #line: string[] = [];

  decide(eligible: readonly string[]): string | null {
    if (eligible.length === 0) return null;
    if (eligible.every((id) => this.#served.has(id))) this.#served = new Set();
    const due = eligible.filter((id) => !this.#served.has(id));
    const waiting = this.#line.find((id) => due.includes(id));
    const chosen = waiting ?? due.toSorted()[0] ?? null;
    if (chosen !== null) {
      this.#served.add(chosen);
      this.#line = [...this.#line.filter((id) => id !== chosen), chosen];
    }
    return chosen;
  }
}

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];

it('gives each of a standing pool one before anyone gets a second, in the same order again [ROUTE-11]', () => {
  const rows = new Rows();
  const order = Array.from({ length: 9 }, () => rows.decide(['c', 'a', 'b']));
  expect(order).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c']);
});

it('lets a newcomer join the running cycle, without resetting it [ROUTE-11]', () => {
  const rows = new Rows();
  expect([1, 2, 3].map(() => rows.decide(['b', 'c']))).toEqual(['b', 'c', 'b']);
  // c still waits for their turn of the second cycle; the newcomer comes after them, and in the third cycle after b.
  expect([1, 2, 3, 4, 5].map(() => rows.decide(['a', 'b', 'c']))).toEqual(['c', 'a', 'b', 'c', 'a']);
});

it('passes over who can not get it, and gives them one turn when they can again, not all they missed [ROUTE-11]', () => {
  const rows = new Rows();
  const order = ['a', 'b', 'a', 'b'].map(() => rows.decide(['a', 'b'], ['c']));
  expect(order).toEqual(['a', 'b', 'a', 'b']);
  expect([1, 2, 3, 4, 5, 6].map(() => rows.decide(['a', 'b', 'c']))).toEqual(['c', 'a', 'b', 'c', 'a', 'b']);
});

it('does as a simple model does, whoever can get it when [ROUTE-11]', () => {
  fc.assert(
    fc.property(fc.array(fc.subarray(NAMES), { maxLength: 60 }), (history) => {
      const [rows, model] = [new Rows(), new Model()];
      for (const eligible of history) {
        const others = NAMES.filter((id) => !eligible.includes(id));
        expect(rows.decide(eligible, others)).toBe(model.decide(eligible));
      }
    }),
    { numRuns: 500 },
  );
});

it('never gives anybody a second one of a cycle while an eligible one has had none; a standing pool differs by at most one [ROUTE-11, ROUTE-15]', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1 }), fc.integer({ min: 1, max: 50 }), (pool, count) => {
      const rows = new Rows();
      const counts = new Map(pool.map((id) => [id, 0]));
      for (let turn = 0; turn < count; turn += 1) {
        const chosen = rows.decide(pool) ?? '';
        counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
        expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1);
      }
    }),
    { numRuns: 200 },
  );
});

it('says where each stood, and in words why the chosen was next [ROUTE-14]', () => {
  const { explanation } = decideOwner(rule, [member('a', { served: true, last: 7 }), member('b', { served: false, last: 3 })], now, 0);
  expect(explanation).toMatchObject({
    decidedBy: 'TURN',
    candidates: [
      { userId: 'b', turn: { served: false, last: 3 } },
      { userId: 'a', turn: { served: true, last: 7 } },
    ],
  });
  expect(explainInWords(explanation)).toBe(
    'user b was next in turn among 2 eligible: had turn 3 last; user a, the next, had turn 7 last, and had been served in that cycle',
  );
  const again = decideOwner(rule, [member('a', { served: true, last: 7 }), member('b', { served: true, last: 8 })], now, 0);
  expect(explainInWords(again.explanation)).toBe(
    'user a was next in turn among 2 eligible: had turn 7 last, and had been served in that cycle; user b, the next, had turn 8 last, and had been served in that cycle',
  );
  const first = decideOwner(rule, [member('b', { served: false, last: null }), member('a', { served: false, last: null })], now, 0);
  expect([first.ownerId, first.explanation.decidedBy]).toEqual(['a', 'ID']);
  expect(explainInWords(first.explanation)).toBe('user a was next in turn among 2 eligible: had never had a turn; user b, the next, had never had a turn');
});
