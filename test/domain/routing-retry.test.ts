import { expect, it } from 'vitest';
import { waitsFor } from '#domain/routing-retry.ts';
import type { CandidateNote, Explanation, LeftOutReason } from '#domain/routing.ts';

const note = (userId: string, reason: LeftOutReason): CandidateNote => ({
  userId,
  as: 'NAMED',
  outcome: 'LEFT_OUT',
  reason,
  open: null,
  active: null,
  lastAssignedAt: null,
});
const left = (rule: Explanation['rule'], candidates: readonly CandidateNote[] = []) => ({ outcome: 'NOBODY_ELIGIBLE', rule, candidates }) as const;

it('waits for whoever the rule names, and with skills for those who have them [ROUTE-13, ROUTE-11]', () => {
  expect(waitsFor(left('SPECIFIC'))).toBe('');
  expect(waitsFor({ ...left('SPECIFIC'), skillRule: { id: 'skilled', position: 1, required: ['x'], fellBack: false } })).toBe('skilled');
});

it('waits for the owner and the default user themselves, but not for whose contact nobody recognised [ROUTE-13, ROUTE-10]', () => {
  expect(waitsFor(left('CONTACT_OWNER', [note('b', 'NO_SEAT'), note('a', 'NO_ACCESS')]))).toBe('a,b');
  expect(waitsFor(left('CONTACT_OWNER', [note('b', 'NOT_RECOGNISED'), note('a', 'NO_ACCESS')]))).toBe('a');
  expect(waitsFor(left('CONTACT_OWNER', [note('b', 'NOT_RECOGNISED')]))).toBeNull();
});

it('does not wait where it was not for want of somebody free: with a team, by the rule nobody, without an owner, or once it is somebody’s [ROUTE-13]', () => {
  expect(waitsFor(left('TEAM'))).toBeNull();
  for (const outcome of ['ASSIGNED', 'RULE_IS_NOBODY', 'NO_OWNER'] as const) expect(waitsFor({ ...left('SPECIFIC'), outcome })).toBeNull();
});
