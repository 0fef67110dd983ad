import { compareTurns, type Turn } from './round-robin.ts';
import type { SkillRule } from './skills.ts';

/** A routing rule as the decision needs it. */
export interface Rule {
  /** Null: no stored rule stands behind it. */
  readonly id: string | null;
  /** `TEAM`: somebody gave it to a team, and one of its primary members is picked (ROUTE-3). */
  readonly kind: 'NOBODY' | 'SPECIFIC' | 'CONTACT_OWNER' | 'TEAM';
  readonly method: 'RANDOM' | 'LEAST_BUSY' | 'ROUND_ROBIN' | null;
  /** Leave out who is away (ROUTE-5). */
  readonly availableOnly: boolean;
  /** The account's setting: of the equally busy the one who got something last goes first, instead of last (ROUTE-9). */
  readonly recentlyAssignedFirst?: boolean;
  /** The first of its skill rules that the ticket meets; null or left out: none does (ROUTE-11). */
  readonly skillRule?: Pick<SkillRule, 'id' | 'position' | 'required' | 'otherwise'> | null;
}

/** Why somebody is considered: a rule names them, or it finds them. */
export type CandidateAs = 'NAMED' | 'OWNER' | 'DEFAULT_USER';

/** What "least busy" compares. */
export interface Load {
  /** Open conversations and tickets that are theirs; a conversation with its ticket counts once. */
  readonly open: number;
  /** They made an authenticated request that concerned the place in the last two minutes. */
  readonly active: boolean;
  /** When they last got something; null: never. */
  readonly lastAssignedAt: Date | null;
}

/** How many open tickets somebody may own before no decision gives them another: in all, or of a group of channels (ROUTE-11). */
export interface CapacityLimit {
  readonly of: 'total' | 'voice' | 'messaging' | 'written';
  /** Open tickets that are theirs. */
  readonly open: number;
  readonly limit: number;
}

/** Somebody the rule names or finds, with all that counts for or against them. */
export interface Candidate {
  readonly userId: string;
  /** `NAMED` unless given. */
  readonly as?: CandidateAs;
  readonly deactivated: boolean;
  readonly hasSeat: boolean;
  readonly hasAccess: boolean;
  readonly available: boolean;
  /** Of an `OWNER`: whether the contact is known to be the one whose owner this is; true unless given. */
  readonly recognised?: boolean;
  /** Null or left out where it was not read: the method compares nothing, or they are left out anyway. */
  readonly load?: Load | null;
  /** Those they have; left out where nobody read them, for they are left out anyway. */
  readonly limits?: readonly CapacityLimit[];
  /** Ids of skills that the rule's skill rule asks for and that they do not have. */
  readonly missing?: readonly string[];
  /** Left out where the method knows no turns. */
  readonly turn?: Turn;
}

export type LeftOutReason = 'DEACTIVATED' | 'NO_SEAT' | 'NO_ACCESS' | 'AWAY' | 'AT_CAPACITY' | 'MISSING_SKILL' | 'NOT_RECOGNISED';

/** Those further away than the candidates that were read one by one. */
export interface Further {
  readonly eligible: number;
  readonly leftOut: Readonly<Partial<Record<LeftOutReason, number>>>;
}

export interface CandidateNote {
  readonly userId: string;
  readonly as: CandidateAs;
  readonly outcome: 'CHOSEN' | 'ELIGIBLE' | 'LEFT_OUT';
  readonly reason: LeftOutReason | null;
  /** As in `Load`; null: not compared. */
  readonly open: number | null;
  readonly active: boolean | null;
  /** ISO 8601; null: never, or not compared. */
  readonly lastAssignedAt: string | null;
  /** Their limits and what they own of each; left out: they have none, or nobody asked. */
  readonly limits?: readonly CapacityLimit[];
  /** Of the skills that were asked for, those they lack. */
  readonly missing?: readonly string[];
  /** By turns: where they stood. */
  readonly turn?: Turn;
}

/** Which comparison told the chosen from the next: of several only the first that differed. */
export type DecidedBy = 'RANDOM' | 'ONLY_ONE' | 'OPEN' | 'ACTIVE' | 'LAST_ASSIGNED' | 'TURN' | 'ID' | 'OWNER' | 'DEFAULT_USER';

/** Why it went to whom: ids, codes and numbers only, so it may be stored and shown to operators (ROUTE-14). */
export interface Explanation {
  readonly ruleId: string | null;
  readonly rule: Rule['kind'];
  readonly method: Rule['method'];
  readonly availableOnly: boolean;
  readonly recentlyAssignedFirst: boolean;
  /** Which of the skill rules the ticket met. `fellBack`: nobody who has the skills was free, so they counted for nothing. Left out: none. */
  readonly skillRule?: { readonly id: string; readonly position: number; readonly required: readonly string[]; readonly fellBack: boolean };
  /** ISO 8601. */
  readonly decidedAt: string;
  readonly ownerId: string | null;
  /** `CHANNEL_OFF`: of a preview only, for where nothing is decided nothing is stored. */
  readonly outcome: 'ASSIGNED' | 'RULE_IS_NOBODY' | 'NOBODY_ELIGIBLE' | 'NO_OWNER' | 'CHANNEL_OFF';
  /** Null: nobody was chosen. */
  readonly decidedBy: DecidedBy | null;
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
export const EXPLAINED = 50;
/** Who is left out is listed by what keeps them from it: first whoever is next to getting something, whom deciding again may still reach (ROUTE-14). */
export const NEAREST_FIRST: readonly LeftOutReason[] = ['MISSING_SKILL', 'AT_CAPACITY', 'AWAY', 'NO_ACCESS', 'NO_SEAT', 'DEACTIVATED', 'NOT_RECOGNISED'];
/** Seconds for which a request to a place counts as being active there (ROUTE-9). */
export const ACTIVE_SECONDS = 120;

/**
 * Who gets it, and why: one pure function of rule, candidates, moment and a random number in [0, 1) (ROUTE-16).
 * Candidates may come in any order; the same set and the same random number give the same owner. `further` are those beyond the
 * candidates, for methods that need no more than the nearest.
 */
export function decideOwner(rule: Rule, candidates: readonly Candidate[], now: Date, random: number, beyond: Further = NONE_FURTHER): Decision {
  const judged = candidates.map((candidate): Note => ({ candidate, reason: reasonAgainst(rule, candidate) }));
  const fellBack = rule.skillRule?.otherwise === 'FALL_BACK' && judged.every(({ reason }) => reason !== null);
  const notes = fellBack ? judged.map(withoutSkills) : judged;
  const further = fellBack ? furtherWithoutSkills(beyond) : beyond;
  const eligible = notes.filter((note) => note.reason === null).toSorted(orderOf(rule));
  const rest = notes.filter((note) => note.reason !== null).toSorted(byReason);
  const chosen = choose(rule, eligible, random);
  const leftOut: Partial<Record<LeftOutReason, number>> = { ...further.leftOut };
  for (const { reason } of rest) if (reason !== null) leftOut[reason] = (leftOut[reason] ?? 0) + 1;
  const ownerId = chosen?.candidate.userId ?? null;
  const nearest = [...(chosen === undefined ? [] : [chosen]), ...eligible.filter((note) => note !== chosen), ...rest].slice(0, EXPLAINED);
  return {
    ownerId,
    explanation: {
      ruleId: rule.id,
      rule: rule.kind,
      method: rule.method,
      availableOnly: rule.availableOnly,
      recentlyAssignedFirst: rule.recentlyAssignedFirst === true,
      ...skillRuleTold(rule, fellBack),
      decidedAt: now.toISOString(),
      ownerId,
      outcome: outcomeOf(rule, ownerId, notes.length),
      decidedBy: chosen === undefined ? null : decidedBy(rule, chosen, eligible),
      eligible: eligible.length + further.eligible,
      candidates: nearest.map((note) => told(rule, note, chosen)),
      leftOut,
    },
  };
}

/**
 * What a decision says of the next one, of which nothing is assigned yet: of several at random it names none, and while the channel is off nobody is
 * chosen, whoever could be (ROUTE-14, CH-9).
 */
export function foretold({ ownerId, explanation }: Decision, { off }: { readonly off: boolean }): Decision {
  if (!off && explanation.decidedBy !== 'RANDOM') return { ownerId, explanation };
  const candidates = explanation.candidates.map((note) => (note.outcome === 'CHOSEN' ? { ...note, outcome: 'ELIGIBLE' as const } : note));
  const none = { ...explanation, ownerId: null, candidates };
  return { ownerId: null, explanation: off ? { ...none, outcome: 'CHANNEL_OFF', decidedBy: null } : none };
}

const NONE_FURTHER: Further = { eligible: 0, leftOut: {} };

interface Note {
  readonly candidate: Candidate;
  readonly reason: LeftOutReason | null;
}

/** What speaks against somebody, the gravest first; null: nothing (ROUTE-4, ROUTE-5, ROUTE-10). */
function reasonAgainst(rule: Rule, candidate: Candidate): LeftOutReason | null {
  if (candidate.as === 'OWNER' && candidate.recognised === false) return 'NOT_RECOGNISED';
  if (candidate.deactivated) return 'DEACTIVATED';
  if (!candidate.hasSeat) return 'NO_SEAT';
  if (!candidate.hasAccess) return 'NO_ACCESS';
  if (rule.availableOnly && rule.kind !== 'CONTACT_OWNER' && !candidate.available) return 'AWAY';
  if (candidate.limits?.some(({ open, limit }) => open >= limit) === true) return 'AT_CAPACITY';
  // The last of all: who lacks nothing else is who gets it where the skills are waived.
  if (rule.skillRule != null && (candidate.missing ?? []).length > 0) return 'MISSING_SKILL';
  return null;
}

function withoutSkills(note: Note): Note {
  return note.reason === 'MISSING_SKILL' ? { ...note, reason: null } : note;
}

function furtherWithoutSkills({ eligible, leftOut: { MISSING_SKILL: waived = 0, ...leftOut } }: Further): Further {
  return { eligible: eligible + waived, leftOut };
}

function skillRuleTold({ skillRule }: Rule, fellBack: boolean): Pick<Explanation, 'skillRule'> {
  if (skillRule == null) return {};
  return { skillRule: { id: skillRule.id, position: skillRule.position, required: skillRule.required, fellBack } };
}

function choose(rule: Rule, eligible: readonly Note[], random: number): Note | undefined {
  if (rule.kind === 'NOBODY') return undefined;
  return eligible[rule.method === 'RANDOM' ? Math.floor(random * eligible.length) : 0];
}

type Compare = (a: Note, b: Note) => number;

/** Nearest first. A method that compares nothing lists them by id, the contact's owner before who stands in. */
function orderOf(rule: Rule): Compare {
  const steps = comparisons(rule);
  if (steps.length === 0) return byFinding;
  return (a, b) => steps.reduce((found, [, compare]) => (found === 0 ? compare(a, b) : found), 0);
}

const ids: Compare = (a, b) => (a.candidate.userId < b.candidate.userId ? -1 : a.candidate.userId > b.candidate.userId ? 1 : 0);
const finding = (note: Note): number => (note.candidate.as === 'OWNER' ? 0 : note.candidate.as === 'DEFAULT_USER' ? 1 : 2);
const byFinding: Compare = (a, b) => finding(a) - finding(b) || ids(a, b);

const reasonOf = ({ reason }: Note): number => (reason === null ? -1 : NEAREST_FIRST.indexOf(reason));
const byReason: Compare = (a, b) => reasonOf(a) - reasonOf(b) || byFinding(a, b);

/** What a method compares, one after the other; the first that differs decides (ROUTE-9, ROUTE-11). */
function comparisons(rule: Rule): readonly (readonly [DecidedBy, Compare])[] {
  if (rule.method === 'ROUND_ROBIN')
    return [
      ['TURN', (a, b) => compareTurns(turnOf(a), turnOf(b))],
      ['ID', ids],
    ];
  if (rule.method !== 'LEAST_BUSY') return [];
  return [
    ['OPEN', (a, b) => loadOf(a).open - loadOf(b).open],
    ['ACTIVE', (a, b) => Number(loadOf(b).active) - Number(loadOf(a).active)],
    ['LAST_ASSIGNED', (a, b) => (assignedAt(a) === assignedAt(b) ? 0 : (assignedAt(a) - assignedAt(b)) * (rule.recentlyAssignedFirst === true ? -1 : 1))],
    ['ID', ids],
  ];
}

/** Whose turns nobody has read never had one. */
const turnOf = (note: Note): Turn => note.candidate.turn ?? { served: false, last: null };
/** Whose numbers nobody has read goes last: it must not look idle. */
const UNREAD: Load = { open: Number.MAX_SAFE_INTEGER, active: false, lastAssignedAt: null };
const loadOf = (note: Note): Load => note.candidate.load ?? UNREAD;
/** Never is before any time: first where the least recent goes first, last in the literal reading. */
const assignedAt = (note: Note): number => loadOf(note).lastAssignedAt?.getTime() ?? Number.MIN_SAFE_INTEGER;

function decidedBy(rule: Rule, chosen: Note, eligible: readonly Note[]): DecidedBy {
  if (chosen.candidate.as === 'OWNER' || chosen.candidate.as === 'DEFAULT_USER') return chosen.candidate.as;
  const next = eligible.find((note) => note !== chosen);
  if (next === undefined) return 'ONLY_ONE';
  if (rule.method === 'RANDOM' || rule.method === null) return 'RANDOM';
  return comparisons(rule).find(([, compare]) => compare(chosen, next) !== 0)?.[0] ?? 'ID';
}

function outcomeOf(rule: Rule, ownerId: string | null, candidates: number): Explanation['outcome'] {
  if (ownerId !== null) return 'ASSIGNED';
  if (rule.kind === 'NOBODY') return 'RULE_IS_NOBODY';
  return rule.kind === 'CONTACT_OWNER' && candidates === 0 ? 'NO_OWNER' : 'NOBODY_ELIGIBLE';
}

function told(rule: Rule, note: Note, chosen: Note | undefined): CandidateNote {
  const { candidate, reason } = note;
  const compared = rule.method === 'LEAST_BUSY' && reason === null ? (candidate.load ?? null) : null;
  return {
    userId: candidate.userId,
    as: candidate.as ?? 'NAMED',
    outcome: note === chosen ? 'CHOSEN' : reason === null ? 'ELIGIBLE' : 'LEFT_OUT',
    reason,
    open: compared?.open ?? null,
    active: compared?.active ?? null,
    lastAssignedAt: compared?.lastAssignedAt?.toISOString() ?? null,
    ...(candidate.limits === undefined || candidate.limits.length === 0 ? {} : { limits: candidate.limits }),
    ...(rule.skillRule == null || candidate.missing === undefined || candidate.missing.length === 0 ? {} : { missing: candidate.missing }),
    ...(rule.method === 'ROUND_ROBIN' && reason === null && candidate.turn !== undefined ? { turn: candidate.turn } : {}),
  };
}
