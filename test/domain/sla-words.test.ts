import { expect, it } from 'vitest';
import { clockWords, goalWords, timerWords, type SaidGoal } from '#domain/sla-words.ts';

const at = Date.parse('2026-11-21T13:05:00Z');
const goal: SaidGoal = { kind: 'FIRST_REPLY', round: 1, state: 'ACTIVE', dueAt: at, overdueAt: null, policy: 3, timeZone: 'Europe/Berlin' };

it('a timer says what is due when, by the clock of its calendar, and by which policy [SLA-13]', () => {
  expect(timerWords(goal, 'OVERDUE', at)).toBe('first reply due Sat 21 Nov 14:05 Europe/Berlin, policy 3');
  expect(timerWords({ ...goal, kind: 'NEXT_REPLY' }, 'DUE_SOON', at)).toBe('next reply due soon from Sat 21 Nov 14:05 Europe/Berlin, policy 3');
  expect(clockWords(Date.parse('2026-11-21T23:59:59.999Z'), 'UTC')).toBe('Sat 21 Nov 23:59 UTC');
});

it('a goal says in one line how it stands [OPS-4, SLA-4]', () => {
  const overdueAt = at;
  expect(goalWords(goal)).toBe('first reply (policy 3) is due Sat 21 Nov 14:05 Europe/Berlin');
  expect(goalWords({ ...goal, state: 'DUE_SOON' })).toBe('first reply (policy 3) is due soon, Sat 21 Nov 14:05 Europe/Berlin');
  expect(goalWords({ ...goal, state: 'OVERDUE', overdueAt })).toBe('first reply (policy 3) is **overdue** since Sat 21 Nov 14:05 Europe/Berlin');
  expect(goalWords({ ...goal, kind: 'NEXT_REPLY', round: 2, state: 'PAUSED', dueAt: null })).toBe('next reply 2 (policy 3) rests');
  expect(goalWords({ ...goal, dueAt: null })).toBe('first reply (policy 3) is running, without a deadline in sight');
});
