import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  beginMeasuring,
  isRunning,
  measure,
  nextMoment,
  usedBy,
  type Fact,
  type Goal,
  type GoalKind,
  type Measured,
  type Target,
  type Terms,
} from '#domain/sla.ts';
import { isWorking, type Calendar } from '#domain/working-time.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const at = (text: string): number => Date.parse(text);
const target = (minutes: number, soon = 0): Target => ({ durationMs: minutes * MINUTE, dueSoonMs: soon * MINUTE });
const ALWAYS: Calendar = { kind: 'ALWAYS' };
const hours = (timeZone: string, ...periods: readonly (readonly [number, number])[]): Calendar => ({
  kind: 'HOURS',
  timeZone,
  periods: [1, 2, 3, 4, 5].flatMap((weekday) => periods.map(([from, to]) => ({ weekday, from: from * 60, to: to * 60 }))),
  holidays: new Set(['2026-12-25']),
});
const OFFICE = hours('UTC', [9, 12], [13, 17]);
const terms = (targets: Terms['targets'], calendar: Calendar = ALWAYS, policyId = 'p'): Terms => ({ policyId, calendar, targets });
/** A Monday. */
const MONDAY = '2026-03-02';
const begun = (of: Terms | null, created: string, more: Partial<Pick<Measured, 'paused' | 'firstOwedAt'>> = {}): Measured =>
  beginMeasuring({ terms: of, paused: false, createdAt: at(created), firstOwedAt: at(created), ...more }, at(created));
const told = (start: Measured, facts: readonly (readonly [string, Fact])[]): Measured =>
  facts.reduce((before, [moment, fact]) => measure(before, fact, at(moment)), start);
const goal = ({ goals }: Measured, kind: GoalKind): Goal | undefined => goals.findLast((one) => one.kind === kind);
const WROTE: Fact = { kind: 'CONTACT_WROTE' };
const REPLIED: Fact = { kind: 'PERSON_REPLIED' };
const CLOSED: Fact = { kind: 'CLOSED' };
const REOPENED: Fact = { kind: 'REOPENED' };
const TIME: Fact = { kind: 'TIME' };
const pause = (paused: boolean): Fact => ({ kind: 'PAUSE', paused });

describe('the states of a goal', () => {
  it('becomes due soon and overdue at its moments, and says which comes next [SLA-4, SLA-12]', () => {
    const start = begun(terms({ CLOSE: target(60, 15) }), `${MONDAY}T10:00Z`);
    expect(nextMoment(start.goals)).toMatchObject({ at: at(`${MONDAY}T10:45Z`), becomes: 'DUE_SOON' });
    const soon = told(start, [[`${MONDAY}T10:45Z`, TIME]]);
    expect(goal(soon, 'CLOSE')).toMatchObject({ state: 'DUE_SOON', overdueAt: null });
    expect(nextMoment(soon.goals)).toMatchObject({ at: at(`${MONDAY}T11:00Z`), becomes: 'OVERDUE' });
    // Looked at late, as after an outage, the deadline is the real one.
    const over = told(start, [[`${MONDAY}T18:00Z`, TIME]]);
    expect(goal(over, 'CLOSE')).toMatchObject({ state: 'OVERDUE', overdueAt: at(`${MONDAY}T11:00Z`) });
    expect(nextMoment(over.goals)).toBeNull();
    expect(goal(told(over, [[`${MONDAY}T19:00Z`, CLOSED]]), 'CLOSE')).toMatchObject({ state: 'COMPLETED_LATE', overdueAt: at(`${MONDAY}T11:00Z`) });
    expect(goal(told(start, [[`${MONDAY}T10:59Z`, CLOSED]]), 'CLOSE')).toMatchObject({ state: 'COMPLETED_ON_TIME', usedMs: 59 * MINUTE });
  });

  it('counts working hours, several periods a day and no holidays [SLA-3]', () => {
    const friday = begun(terms({ FIRST_REPLY: target(120) }, OFFICE), '2026-03-06T16:30Z');
    expect(goal(friday, 'FIRST_REPLY')?.dueAt).toBe(at('2026-03-09T10:30Z'));
    expect(goal(begun(terms({ FIRST_REPLY: target(120) }, OFFICE), `${MONDAY}T11:00Z`), 'FIRST_REPLY')?.dueAt).toBe(at(`${MONDAY}T14:00Z`));
    expect(goal(begun(terms({ FIRST_REPLY: target(120) }, OFFICE), '2026-12-24T16:00Z'), 'FIRST_REPLY')?.dueAt).toBe(at('2026-12-28T10:00Z'));
  });
});

describe('the first reply', () => {
  it('is owed from the creation until a person replies; what an agent writes first answers nothing [SLA-6]', () => {
    const start = begun(terms({ FIRST_REPLY: target(60) }), `${MONDAY}T10:00Z`);
    expect(goal(told(start, [[`${MONDAY}T10:20Z`, REPLIED]]), 'FIRST_REPLY')).toMatchObject({ state: 'COMPLETED_ON_TIME', usedMs: 20 * MINUTE });
    const agents = begun(terms({ FIRST_REPLY: target(60) }), `${MONDAY}T10:00Z`, { firstOwedAt: null });
    const wrote = told(agents, [
      [`${MONDAY}T10:05Z`, REPLIED],
      [`${MONDAY}T12:00Z`, WROTE],
    ]);
    expect(goal(wrote, 'FIRST_REPLY')).toMatchObject({ state: 'ACTIVE', startedAt: at(`${MONDAY}T12:00Z`), dueAt: at(`${MONDAY}T13:00Z`) });
  });
});

describe('the next reply', () => {
  const start = begun(terms({ NEXT_REPLY: target(60) }), `${MONDAY}T10:00Z`);

  it('is owed since the first unanswered message, whatever follows; each stretch is measured by itself [SLA-7]', () => {
    const after = told(start, [
      [`${MONDAY}T10:10Z`, WROTE],
      [`${MONDAY}T10:20Z`, REPLIED],
      [`${MONDAY}T11:00Z`, WROTE],
      [`${MONDAY}T11:50Z`, WROTE],
    ]);
    expect(after.goals).toMatchObject([{ kind: 'NEXT_REPLY', round: 1, startedAt: at(`${MONDAY}T11:00Z`), dueAt: at(`${MONDAY}T12:00Z`) }]);
    const twice = told(after, [
      [`${MONDAY}T12:10Z`, REPLIED],
      [`${MONDAY}T12:20Z`, WROTE],
    ]);
    expect(twice.goals).toMatchObject([
      { round: 1, state: 'COMPLETED_LATE', overdueAt: at(`${MONDAY}T12:00Z`) },
      { round: 2, state: 'ACTIVE', dueAt: at(`${MONDAY}T13:20Z`) },
    ]);
  });

  it('does not count on after the ticket was closed: late if its time was up, else nobody’s any more [SLA-8]', () => {
    const waiting = told(start, [
      [`${MONDAY}T10:10Z`, REPLIED],
      [`${MONDAY}T11:00Z`, WROTE],
    ]);
    expect(goal(told(waiting, [[`${MONDAY}T11:30Z`, CLOSED]]), 'NEXT_REPLY')).toMatchObject({ state: 'CANCELLED', reason: 'CLOSED', dueAt: null });
    const late = told(waiting, [
      [`${MONDAY}T12:30Z`, CLOSED],
      [`${MONDAY}T23:00Z`, TIME],
    ]);
    expect(goal(late, 'NEXT_REPLY')).toMatchObject({ state: 'COMPLETED_LATE', usedMs: 90 * MINUTE });
    expect(nextMoment(late.goals)).toBeNull();
  });

  it('is owed again by who writes after a close without any reply [SLA-6, SLA-7]', () => {
    const none = told(begun(terms({ FIRST_REPLY: target(60), NEXT_REPLY: target(30) }), `${MONDAY}T10:00Z`), [
      [`${MONDAY}T10:10Z`, CLOSED],
      [`${MONDAY}T12:00Z`, WROTE],
      [`${MONDAY}T12:00Z`, REOPENED],
    ]);
    expect(none.goals).toMatchObject([
      { kind: 'FIRST_REPLY', state: 'CANCELLED', reason: 'CLOSED' },
      { kind: 'NEXT_REPLY', state: 'ACTIVE', dueAt: at(`${MONDAY}T12:30Z`) },
    ]);
  });
});

describe('resting', () => {
  it('while it waits for the customer nothing passes; it goes on with what was left, on the same calendar [SLA-5]', () => {
    const start = begun(terms({ CLOSE: target(240) }, OFFICE), `${MONDAY}T09:00Z`);
    const resting = told(start, [[`${MONDAY}T11:00Z`, pause(true)]]);
    expect(goal(resting, 'CLOSE')).toMatchObject({ state: 'PAUSED', dueAt: null, usedMs: 2 * HOUR });
    expect(nextMoment(resting.goals)).toBeNull();
    // Resumed in the evening: the two hours that are left are office hours of the next day.
    const resumed = told(resting, [[`${MONDAY}T20:00Z`, pause(false)]]);
    expect(goal(resumed, 'CLOSE')).toMatchObject({ state: 'ACTIVE', dueAt: at('2026-03-03T11:00Z') });
  });

  it('gives back what was used when it is closed and reopened, and is not overdue by that alone [SLA-8]', () => {
    const start = begun(terms({ CLOSE: target(60, 30) }), `${MONDAY}T10:00Z`);
    const again = told(start, [
      [`${MONDAY}T10:20Z`, CLOSED],
      ['2026-03-09T10:00Z', REOPENED],
    ]);
    expect(goal(again, 'CLOSE')).toMatchObject({ state: 'ACTIVE', usedMs: 20 * MINUTE, dueAt: at('2026-03-09T10:40Z'), overdueAt: null, endedAt: null });
    const late = told(start, [
      [`${MONDAY}T12:00Z`, CLOSED],
      ['2026-03-09T10:00Z', REOPENED],
    ]);
    // The miss does not grow while it is closed.
    expect(goal(late, 'CLOSE')).toMatchObject({ state: 'OVERDUE', overdueAt: at(`${MONDAY}T11:00Z`), usedMs: 2 * HOUR });
  });

  it('two hundred times in a minute costs nothing and gains nothing [SLA-5]', () => {
    let ticket = begun(terms({ CLOSE: target(60) }), `${MONDAY}T10:00Z`);
    for (let flap = 0; flap < 200; flap += 1) ticket = measure(ticket, pause(flap % 2 === 0), at(`${MONDAY}T10:10Z`) + flap * 300);
    const counted = 10 * MINUTE + 100 * 300;
    expect(goal(ticket, 'CLOSE')).toMatchObject({ state: 'ACTIVE', usedMs: counted - 300 });
    expect(goal(ticket, 'CLOSE')?.dueAt).toBe(at(`${MONDAY}T10:10Z`) + 199 * 300 + 60 * MINUTE - (counted - 300));
  });

  it('one goal’s end says nothing to another: each has its own clock [SLA-1]', () => {
    const all = told(begun(terms({ FIRST_REPLY: target(30), NEXT_REPLY: target(30), CLOSE: target(120) }), `${MONDAY}T10:00Z`), [
      [`${MONDAY}T11:00Z`, REPLIED],
      [`${MONDAY}T11:10Z`, WROTE],
    ]);
    expect(all.goals.map(({ kind, state, dueAt }) => [kind, state, dueAt])).toEqual([
      ['CLOSE', 'ACTIVE', at(`${MONDAY}T12:00Z`)],
      ['FIRST_REPLY', 'COMPLETED_LATE', null],
      ['NEXT_REPLY', 'ACTIVE', at(`${MONDAY}T11:40Z`)],
    ]);
  });
});

describe('other terms', () => {
  it('keep the time already used: more urgent is due sooner, and at once where that much has passed [SLA-9]', () => {
    const start = begun(terms({ CLOSE: target(240) }), `${MONDAY}T10:00Z`);
    const urgent = (minutes: number) => told(start, [[`${MONDAY}T11:00Z`, { kind: 'TERMS', terms: terms({ CLOSE: target(minutes) }, ALWAYS, 'q') }]]);
    expect(goal(urgent(90), 'CLOSE')).toMatchObject({ state: 'ACTIVE', policyId: 'q', dueAt: at(`${MONDAY}T11:30Z`), usedMs: HOUR });
    expect(goal(urgent(30), 'CLOSE')).toMatchObject({ state: 'OVERDUE', overdueAt: at(`${MONDAY}T11:00Z`) });
  });

  it('counts by the old calendar until the change, and by the new one from there on [SLA-9]', () => {
    const start = begun(terms({ CLOSE: target(240) }, OFFICE), `${MONDAY}T11:00Z`);
    const changed = told(start, [[`${MONDAY}T13:30Z`, { kind: 'TERMS', terms: terms({ CLOSE: target(240) }) }]]);
    // An hour in the morning and half an hour after lunch are used.
    expect(goal(changed, 'CLOSE')).toMatchObject({ usedMs: 1.5 * HOUR, dueAt: at(`${MONDAY}T16:00Z`) });
  });

  it('that ask for it no more end it with the reason; asked for again it goes on with what it had used [SLA-4, SLA-9]', () => {
    const start = begun(terms({ CLOSE: target(60) }), `${MONDAY}T10:00Z`);
    const none = told(start, [[`${MONDAY}T10:20Z`, { kind: 'TERMS', terms: null }]]);
    expect(goal(none, 'CLOSE')).toMatchObject({ state: 'CANCELLED', reason: 'NO_POLICY', usedMs: 20 * MINUTE });
    const back = told(none, [[`${MONDAY}T14:00Z`, { kind: 'TERMS', terms: terms({ CLOSE: target(60) }) }]]);
    expect(back.goals).toHaveLength(1);
    expect(goal(back, 'CLOSE')).toMatchObject({ state: 'ACTIVE', dueAt: at(`${MONDAY}T14:40Z`), reason: null, endedAt: null });
  });

  it('that come late find the time since the creation used, but not what was closed or waited by then [SLA-10, SLA-11]', () => {
    const plain = told(begun(null, `${MONDAY}T10:00Z`), [
      [`${MONDAY}T10:30Z`, pause(true)],
      [`${MONDAY}T12:30Z`, pause(false)],
      [`${MONDAY}T13:00Z`, CLOSED],
      [`${MONDAY}T14:00Z`, REOPENED],
    ]);
    const late = (minutes: number) => told(plain, [[`${MONDAY}T14:30Z`, { kind: 'TERMS', terms: terms({ CLOSE: target(minutes) }) }]]);
    expect(goal(late(120), 'CLOSE')).toMatchObject({ state: 'ACTIVE', startedAt: at(`${MONDAY}T10:00Z`), dueAt: at(`${MONDAY}T15:00Z`) });
    expect(goal(late(45), 'CLOSE')).toMatchObject({ state: 'OVERDUE', overdueAt: at(`${MONDAY}T12:45Z`) });
  });
});

describe('whatever happens', () => {
  const STEP = 7 * MINUTE;
  const facts = fc.array(
    fc.record({
      wait: fc.integer({ min: 1, max: 90 }),
      fact: fc.constantFrom<Fact>(WROTE, REPLIED, CLOSED, REOPENED, TIME, pause(true), pause(false)),
    }),
    { maxLength: 25 },
  );
  const calendars = fc.constantFrom<Calendar>(
    ALWAYS,
    OFFICE,
    hours('Europe/Berlin', [8, 12], [13, 20]),
    hours('America/St_Johns', [0, 24]),
    hours('Australia/Lord_Howe', [1, 3], [22, 24]),
    hours('Asia/Kathmandu', [9, 17]),
  );
  const targets = fc.record({ first: fc.integer({ min: 1, max: 400 }), next: fc.integer({ min: 1, max: 400 }), close: fc.integer({ min: 1, max: 900 }) });
  const starts = fc.constantFrom('2026-03-28T22:00Z', '2026-10-24T21:00Z', '2026-04-04T13:00Z', '2026-03-06T14:00Z', '2026-12-24T15:00Z').map(at);
  const told2 = (start: number, of: Terms, happened: readonly { readonly wait: number; readonly fact: Fact }[]) => {
    let ticket = beginMeasuring({ terms: of, paused: false, createdAt: start, firstOwedAt: start }, start);
    let now = start;
    const moments: { readonly at: number; readonly fact: Fact }[] = [];
    for (const { wait, fact } of happened) {
      now += wait * STEP;
      ticket = measure(ticket, fact, now);
      moments.push({ at: now, fact });
    }
    return { ticket, now, moments };
  };

  it('the time that a close has used is that which a counter of every minute finds, open and not waiting [SLA-5, SLA-8, SLA-14]', () => {
    fc.assert(
      fc.property(starts, calendars, targets, facts, (start, calendar, { close }, happened) => {
        const of = terms({ CLOSE: target(close * 7) }, calendar);
        const { ticket, now, moments } = told2(start, of, happened);
        let [open, waits, used] = [true, false, 0];
        let overdueAt: number | null = null;
        let place = 0;
        for (let minute = start; minute < now; minute += MINUTE) {
          while (place < moments.length && (moments[place]?.at ?? 0) <= minute) {
            const fact = moments[place]?.fact;
            if (fact?.kind === 'CLOSED') open = false;
            if (fact?.kind === 'REOPENED') open = true;
            if (fact?.kind === 'PAUSE') waits = fact.paused;
            place += 1;
          }
          if (!open || waits || !isWorking(calendar, minute)) continue;
          used += MINUTE;
          if (used === close * 7 * MINUTE) overdueAt = minute + MINUTE;
        }
        const found = goal(ticket, 'CLOSE');
        expect(found === undefined ? null : usedBy(found, calendar, now)).toBe(used);
        expect(found?.overdueAt ?? null).toBe(overdueAt);
      }),
      { numRuns: 300 },
    );
  });

  it('told in one go or looked at in between as often as one likes, the end is the same [SLA-11, SLA-13]', () => {
    fc.assert(
      fc.property(starts, calendars, targets, facts, (start, calendar, { first, next, close }, happened) => {
        const of = terms({ FIRST_REPLY: target(first, 5), NEXT_REPLY: target(next, 5), CLOSE: target(close, 30) }, calendar);
        const { ticket, now } = told2(start, of, happened);
        let looked = beginMeasuring({ terms: of, paused: false, createdAt: start, firstOwedAt: start }, start);
        let at1 = start;
        for (const { wait, fact } of happened) {
          for (let step = 0; step < wait; step += 10) looked = measure(looked, TIME, at1 + step * STEP);
          at1 += wait * STEP;
          // As the timer does: at the very moment.
          for (let moment = nextMoment(looked.goals); moment !== null && moment.at <= at1; moment = nextMoment(looked.goals))
            looked = measure(looked, TIME, moment.at);
          looked = measure(looked, fact, at1);
        }
        expect(measure(looked, TIME, now)).toEqual(measure(ticket, TIME, now));
      }),
      { numRuns: 300 },
    );
  });

  it('of each kind at most the last goal runs, none runs while closed, and one that is over has no deadline [SLA-4, SLA-8]', () => {
    fc.assert(
      fc.property(starts, calendars, targets, facts, (start, calendar, { first, next, close }, happened) => {
        const of = terms({ FIRST_REPLY: target(first), NEXT_REPLY: target(next), CLOSE: target(close) }, calendar);
        const { ticket } = told2(start, of, happened);
        for (const kind of ['FIRST_REPLY', 'NEXT_REPLY', 'CLOSE'] as const) {
          const goals = ticket.goals.filter((one) => one.kind === kind);
          expect(goals.map(({ round }) => round)).toEqual(goals.map((_, index) => index + 1));
          expect(goals.slice(0, -1).some(isRunning)).toBe(false);
        }
        if (ticket.closed) expect(ticket.goals.some(isRunning)).toBe(false);
        for (const one of ticket.goals) {
          if (!isRunning(one)) expect([one.dueAt, one.dueSoonAt, one.countingSince]).toEqual([null, null, null]);
          expect(one.endedAt === null).toBe(isRunning(one));
          expect(one.state === 'PAUSED').toBe(isRunning(one) && one.countingSince === null);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('what is told later than it happened', () => {
  const reply = terms({ FIRST_REPLY: target(80), NEXT_REPLY: target(80) });
  const wrote = (since: string): Fact => ({ kind: 'CONTACT_WROTE', since: at(since) });
  const replied = (since: string): Fact => ({ kind: 'PERSON_REPLIED', since: at(since) });
  /** A ticket whose first reply is done. */
  const answered = told(begun(reply, `${MONDAY}T09:00Z`), [[`${MONDAY}T09:10Z`, REPLIED]]);

  it('counts since it was received, and not what rested since, whichever rests came in between [SLA-5, SLA-7]', () => {
    const paused = told(answered, [
      [`${MONDAY}T10:05Z`, pause(true)],
      [`${MONDAY}T10:25Z`, pause(false)],
      [`${MONDAY}T10:30Z`, wrote(`${MONDAY}T10:01Z`)],
    ]);
    expect(goal(paused, 'NEXT_REPLY')).toMatchObject({ state: 'ACTIVE', startedAt: at(`${MONDAY}T10:01Z`), dueAt: at(`${MONDAY}T11:41Z`) });
    const resting = told(answered, [
      [`${MONDAY}T10:15Z`, pause(true)],
      [`${MONDAY}T10:30Z`, wrote(`${MONDAY}T10:05Z`)],
    ]);
    expect(goal(resting, 'NEXT_REPLY')).toMatchObject({ state: 'PAUSED', usedMs: 10 * MINUTE, dueAt: null });
  });

  it('an answer ends what was owed when it was given, and nothing that began after it [SLA-6, SLA-7]', () => {
    const waits = told(answered, [
      [`${MONDAY}T10:20Z`, WROTE],
      [`${MONDAY}T10:30Z`, replied(`${MONDAY}T10:10Z`)],
    ]);
    expect(goal(waits, 'NEXT_REPLY')).toMatchObject({ state: 'ACTIVE', startedAt: at(`${MONDAY}T10:20Z`), endedAt: null });
    expect(waits.unansweredSince).toBe(at(`${MONDAY}T10:20Z`));
    const begins = told(begun(reply, `${MONDAY}T10:00Z`, { firstOwedAt: null }), [
      [`${MONDAY}T10:20Z`, WROTE],
      [`${MONDAY}T10:30Z`, replied(`${MONDAY}T10:10Z`)],
    ]);
    expect(goal(begins, 'FIRST_REPLY')).toMatchObject({ state: 'ACTIVE', endedAt: null });
    expect(begins.replied).toBe(false);
  });

  it('an answer given in time is in time, though its deadline passed before it was told [SLA-6]', () => {
    const ended = told(begun(reply, `${MONDAY}T10:00Z`), [
      [`${MONDAY}T10:30Z`, pause(true)],
      [`${MONDAY}T11:30Z`, pause(false)],
      [`${MONDAY}T14:00Z`, replied(`${MONDAY}T10:20Z`)],
    ]);
    expect(goal(ended, 'FIRST_REPLY')).toMatchObject({
      state: 'COMPLETED_ON_TIME',
      usedMs: 20 * MINUTE,
      overdueAt: null,
      endedAt: at(`${MONDAY}T10:20Z`),
      dueAt: null,
    });
  });

  it('question, answer and question of one moment leave the last one owed [SLA-7]', () => {
    const moment = `${MONDAY}T10:00Z`;
    const last = told(answered, [
      [moment, WROTE],
      [moment, REPLIED],
      [moment, WROTE],
    ]);
    expect(last.goals.filter(({ kind }) => kind === 'NEXT_REPLY').map(({ round, state }) => [round, state])).toEqual([
      [1, 'COMPLETED_ON_TIME'],
      [2, 'ACTIVE'],
    ]);
  });
});
