/** A routing rule as the decision needs it. */
export interface Rule {
  readonly id: string;
  readonly kind: 'NOBODY' | 'SPECIFIC' | 'CONTACT_OWNER';
  readonly method: 'RANDOM' | 'LEAST_BUSY' | null;
  /** Leave out who is away (ROUTE-5). */
  readonly availableOnly: boolean;
}

/** Somebody the rule names, by themself or as a primary member of a named team, with all that counts for or against them. */
export interface Candidate {
  readonly userId: string;
  readonly deactivated: boolean;
  readonly hasSeat: boolean;
  readonly hasAccess: boolean;
  readonly available: boolean;
}

export type LeftOutReason = 'DEACTIVATED' | 'NO_SEAT' | 'NO_ACCESS' | 'AWAY';

export interface CandidateNote {
  readonly userId: string;
  readonly outcome: 'CHOSEN' | 'ELIGIBLE' | 'LEFT_OUT';
  readonly reason: LeftOutReason | null;
}

/** Why it went to whom: ids, codes and numbers only, so it may be stored and shown to operators (ROUTE-14). */
export interface Explanation {
  readonly ruleId: string;
  readonly rule: Rule['kind'];
  readonly method: Rule['method'];
  readonly availableOnly: boolean;
  /** ISO 8601. */
  readonly decidedAt: string;
  readonly ownerId: string | null;
  readonly outcome: 'ASSIGNED' | 'RULE_IS_NOBODY' | 'NOBODY_ELIGIBLE';
  readonly eligible: number;
  /** The nearest candidates, at most 50; the rest only as counts. */
  readonly candidates: readonly CandidateNote[];
  readonly leftOut: Readonly<Partial<Record<LeftOutReason, number>>>;
}

export interface Decision {
  readonly ownerId: string | null;
  readonly explanation: Explanation;
}

/** Candidates an explanation lists by name. */
const EXPLAINED = 50;

/**
 * Who gets it, and why: one pure function of rule, candidates, moment and a random number in [0, 1) (ROUTE-16).
 * Candidates may come in any order; the same set and the same random number give the same owner.
 */
export function decideOwner(rule: Rule, candidates: readonly Candidate[], now: Date, random: number): Decision {
  const notes = candidates
    .map((candidate) => ({ userId: candidate.userId, reason: reasonAgainst(rule, candidate) }))
    .toSorted((a, b) => (a.userId < b.userId ? -1 : 1));
  const eligible = notes.filter((note) => note.reason === null);
  const chosen = rule.kind === 'NOBODY' ? undefined : eligible[Math.floor(random * eligible.length)];
  const leftOut: Partial<Record<LeftOutReason, number>> = {};
  for (const { reason } of notes) if (reason !== null) leftOut[reason] = (leftOut[reason] ?? 0) + 1;
  const ownerId = chosen?.userId ?? null;
  return {
    ownerId,
    explanation: {
      ruleId: rule.id,
      rule: rule.kind,
      method: rule.method,
      availableOnly: rule.availableOnly,
      decidedAt: now.toISOString(),
      ownerId,
      outcome: ownerId !== null ? 'ASSIGNED' : rule.kind === 'NOBODY' ? 'RULE_IS_NOBODY' : 'NOBODY_ELIGIBLE',
      eligible: eligible.length,
      candidates: nearest(notes, ownerId).map((note) => ({
        userId: note.userId,
        outcome: note.userId === ownerId ? 'CHOSEN' : note.reason === null ? 'ELIGIBLE' : 'LEFT_OUT',
        reason: note.reason,
      })),
      leftOut,
    },
  };
}

/** What speaks against somebody, the gravest first; null: nothing (ROUTE-4, ROUTE-5). */
function reasonAgainst(rule: Rule, candidate: Candidate): LeftOutReason | null {
  if (candidate.deactivated) return 'DEACTIVATED';
  if (!candidate.hasSeat) return 'NO_SEAT';
  if (!candidate.hasAccess) return 'NO_ACCESS';
  if (rule.availableOnly && rule.kind !== 'CONTACT_OWNER' && !candidate.available) return 'AWAY';
  return null;
}

interface Note {
  readonly userId: string;
  readonly reason: LeftOutReason | null;
}

/** The chosen first, then the eligible, then the rest. */
function nearest(notes: readonly Note[], ownerId: string | null): readonly Note[] {
  const rank = (note: Note): number => (note.userId === ownerId ? 0 : note.reason === null ? 1 : 2);
  return notes.toSorted((a, b) => rank(a) - rank(b)).slice(0, EXPLAINED);
}

/** The explanation in one sentence, by ids. */
export function explainInWords(explanation: Explanation): string {
  const excluded = Object.entries(explanation.leftOut).map(([reason, count]) => `${count} ${IN_WORDS[reason as LeftOutReason]}`);
  const without = excluded.length === 0 ? '' : `; left out: ${excluded.join(', ')}`;
  switch (explanation.outcome) {
    case 'ASSIGNED':
      return `user ${explanation.ownerId} was chosen at random among ${explanation.eligible} eligible${without}`;
    case 'RULE_IS_NOBODY':
      return 'unassigned: the rule of the channel is "nobody"';
    case 'NOBODY_ELIGIBLE':
      return `unassigned: none of those the rule names was eligible${without}`;
  }
}

const IN_WORDS: Readonly<Record<LeftOutReason, string>> = {
  DEACTIVATED: 'deactivated',
  NO_SEAT: 'without a paid seat',
  NO_ACCESS: 'without access',
  AWAY: 'away',
};
