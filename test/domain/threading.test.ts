import fc from 'fast-check';
import { expect, it } from 'vitest';
import { placeMessage, ticketName } from '#domain/threading.ts';

const now = new Date('2026-03-10T12:00:00Z');
const daysAgo = (days: number) => new Date(now.getTime() - days * 86_400_000);
const person = { automatic: false };
const robot = { automatic: true };
const open = { closedAt: null, senderTakesPart: true };
const policy = { reopening: 'REOPEN', reopenDays: null } as const;

it('starts where no key leads anywhere, continues what is open, reopens what is closed [MODEL-6]', () => {
  expect(placeMessage(person, null, policy, true, now)).toBe('start');
  expect(placeMessage(person, open, policy, true, now)).toBe('continue');
  expect(placeMessage(person, { ...open, closedAt: daysAgo(1) }, policy, true, now)).toBe('reopen');
});

it('starts a new one from the very moment the days are over, and reopens before that [MODEL-6]', () => {
  const after = { reopening: 'NEW_AFTER', reopenDays: 7 } as const;
  const closedMs = (ms: number) => ({ ...open, closedAt: new Date(daysAgo(7).getTime() + ms) });
  expect(placeMessage(person, closedMs(1), after, true, now)).toBe('reopen');
  expect(placeMessage(person, closedMs(0), after, true, now)).toBe('succeed');
});

it('keeps it closed where the channel says so [MODEL-6]', () => {
  expect(placeMessage(person, { ...open, closedAt: daysAgo(1) }, { reopening: 'KEEP_CLOSED', reopenDays: null }, true, now)).toBe('kept');
});

it('never lets a stranger into a conversation by its keys alone [EMAIL-5]', () => {
  expect(placeMessage(person, { ...open, senderTakesPart: false }, policy, true, now)).toBe('start');
  expect(placeMessage(person, { ...open, senderTakesPart: false }, policy, false, now)).toBe('continue');
});

it('lets automatic mail change nothing: it is filtered, or kept where it belongs [EMAIL-6, MODEL-6]', () => {
  fc.assert(
    fc.property(
      fc.option(fc.integer({ min: 0, max: 400 })),
      fc.boolean(),
      fc.constantFrom('REOPEN', 'NEW_AFTER', 'KEEP_CLOSED'),
      (closed, takesPart, reopening) => {
        const found = { closedAt: closed === null ? null : daysAgo(closed), senderTakesPart: takesPart };
        const placement = placeMessage(robot, found, { reopening, reopenDays: reopening === 'NEW_AFTER' ? 30 : null }, true, now);
        expect(placement).toBe(closed === null ? 'continue' : 'kept');
        expect(placeMessage(robot, null, policy, true, now)).toBe('filtered');
      },
    ),
  );
});

it('names a ticket by the subject, else by the first words, never by nothing [CH-1]', () => {
  expect(ticketName('  Lamp  ', 'text')).toBe('Lamp');
  expect(ticketName('', 'first\n words')).toBe('first words');
  expect(ticketName(null, '  ')).toBe('(no subject)');
  fc.assert(
    fc.property(fc.string(), fc.string(), (subject, text) => {
      const name = ticketName(subject, text);
      expect(name.length).toBeGreaterThan(0);
      expect(name.length).toBeLessThanOrEqual(120);
    }),
  );
});
