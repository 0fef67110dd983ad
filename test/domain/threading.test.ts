import fc from 'fast-check';
import { expect, it } from 'vitest';
import { joinable, placeMessage, ticketName, type ArrivingMessage } from '#domain/threading.ts';

const now = new Date('2026-03-10T12:00:00Z');
const daysAgo = (days: number) => new Date(now.getTime() - days * 86_400_000);
const person: ArrivingMessage = { automatic: null, verdict: 'pass' };
const robot: ArrivingMessage = { automatic: 'auto-reply', verdict: 'pass' };
const bounce: ArrivingMessage = { automatic: 'bounce', verdict: 'unknown' };
const open = { closedAt: null, senderTakesPart: true };
const strangers = { closedAt: null, senderTakesPart: false };
const policy = { reopening: 'REOPEN', reopenDays: null } as const;

it('starts where no key leads anywhere, continues what is open, reopens what is closed [MODEL-6]', () => {
  expect(placeMessage(person, null, policy, now)).toBe('start');
  expect(placeMessage(person, open, policy, now)).toBe('continue');
  expect(placeMessage(person, { ...open, closedAt: daysAgo(1) }, policy, now)).toBe('reopen');
});

it('starts a new one from the very moment the days are over, and reopens before that [MODEL-6]', () => {
  const after = { reopening: 'NEW_AFTER', reopenDays: 7 } as const;
  const closedMs = (ms: number) => ({ ...open, closedAt: new Date(daysAgo(7).getTime() + ms) });
  expect(placeMessage(person, closedMs(1), after, now)).toBe('reopen');
  expect(placeMessage(person, closedMs(0), after, now)).toBe('succeed');
});

it('keeps it closed where the channel says so [MODEL-6]', () => {
  expect(placeMessage(person, { ...open, closedAt: daysAgo(1) }, { reopening: 'KEEP_CLOSED', reopenDays: null }, now)).toBe('kept');
});

it('never lets a stranger into a conversation by its keys alone, signed or not [EMAIL-5]', () => {
  expect(joinable(person, { proven: null, named: strangers, sent: null }, true)).toBeNull();
  expect(joinable(person, { proven: strangers, named: null, sent: null }, true)).toBeNull();
  expect(joinable(robot, { proven: strangers, named: strangers, sent: null }, true)).toBeNull();
  expect(joinable(person, { proven: null, named: strangers, sent: null }, false)).toBe(strangers);
});

it('lets a header join only a sender who is who they say they are, a signed key whoever that is [EMAIL-8]', () => {
  for (const verdict of ['fail', 'unknown'] as const) {
    expect(joinable({ ...person, verdict }, { proven: null, named: open, sent: null }, true)).toBeNull();
    expect(joinable({ ...person, verdict }, { proven: null, named: open, sent: null }, false)).toBeNull();
    expect(joinable({ ...person, verdict }, { proven: open, named: null, sent: null }, true)).toBe(open);
  }
  expect(joinable({ ...person, verdict: 'pass' }, { proven: null, named: open, sent: null }, true)).toBe(open);
  expect(joinable({ ...person, verdict: null }, { proven: null, named: open, sent: null }, true)).toBe(open);
});

it('tries a signed key first, and a header where that leads a stranger [EMAIL-5]', () => {
  const other = { closedAt: null, senderTakesPart: true };
  expect(joinable(person, { proven: open, named: other, sent: null }, true)).toBe(open);
  expect(joinable(person, { proven: strangers, named: other, sent: null }, true)).toBe(other);
  expect(joinable({ ...person, verdict: 'unknown' }, { proven: strangers, named: other, sent: null }, true)).toBeNull();
});

it('lets a bounce join what we sent, whoever it comes from, and nothing by an id of somebody else’s [EMAIL-5, EMAIL-6]', () => {
  expect(joinable(bounce, { proven: null, named: strangers, sent: strangers }, true)).toBe(strangers);
  expect(joinable(bounce, { proven: strangers, named: null, sent: null }, true)).toBe(strangers);
  for (const participantsOnly of [true, false]) {
    expect(joinable(bounce, { proven: null, named: open, sent: null }, participantsOnly)).toBeNull();
    expect(joinable({ ...bounce, verdict: 'pass' }, { proven: null, named: open, sent: null }, participantsOnly)).toBeNull();
    expect(joinable({ ...bounce, verdict: null }, { proven: null, named: open, sent: null }, participantsOnly)).toBeNull();
  }
});

it('lets no one else join by an id of a message of ours alone [EMAIL-5, EMAIL-8]', () => {
  for (const message of [person, robot]) {
    expect(joinable(message, { proven: null, named: strangers, sent: strangers }, true)).toBeNull();
    expect(joinable({ ...message, verdict: 'unknown' }, { proven: null, named: open, sent: open }, true)).toBeNull();
  }
});

it('lets automatic mail change nothing: it is filtered, or kept where it belongs [EMAIL-6, MODEL-6]', () => {
  fc.assert(
    fc.property(
      fc.option(fc.integer({ min: 0, max: 400 })),
      fc.constantFrom(robot, bounce),
      fc.constantFrom('REOPEN', 'NEW_AFTER', 'KEEP_CLOSED'),
      (closed, message, reopening) => {
        const found = { closedAt: closed === null ? null : daysAgo(closed), senderTakesPart: true };
        const placement = placeMessage(message, found, { reopening, reopenDays: reopening === 'NEW_AFTER' ? 30 : null }, now);
        expect(placement).toBe(closed === null ? 'continue' : 'kept');
        expect(placeMessage(message, null, policy, now)).toBe('filtered');
      },
    ),
  );
});

it('joins only what the rules let it, whatever comes together [EMAIL-5, EMAIL-8]', () => {
  const found = fc.option(fc.record({ closedAt: fc.constant(null), senderTakesPart: fc.boolean() }));
  fc.assert(
    fc.property(
      fc.constantFrom(null, 'auto-reply', 'bounce'),
      fc.constantFrom(null, 'pass', 'fail', 'unknown'),
      found,
      found,
      found,
      fc.boolean(),
      (automatic, verdict, proven, named, sent, participantsOnly) => {
        const joined = joinable({ automatic, verdict }, { proven, named, sent }, participantsOnly);
        if (automatic === 'bounce') expect(joined).toBe(proven ?? sent);
        if (joined === null || automatic === 'bounce') return;
        if (participantsOnly) expect(joined.senderTakesPart).toBe(true);
        if (joined !== proven) expect([null, 'pass']).toContain(verdict);
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
