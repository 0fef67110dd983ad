import { afterAll, beforeAll, expect, it } from 'vitest';
import { deleteCalendar, readCalendar, saveCalendar, type CalendarInput } from '#commands/calendars.ts';
import { AlreadyExists, ChangedMeanwhile, InvalidInput, NotFound, NotPossible } from '#commands/refusals.ts';
import { deletePolicy, orderPolicies } from '#commands/sla-policies.ts';
import type { ApplyTo } from '#commands/sla-reevaluation.ts';
import { readPolicies } from '#commands/sla-rows.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { SLA_LIMITS } from '#domain/sla-policy.ts';
import { testDatabase } from '../support/database.ts';
import { goal, makePolicy } from './sla-support.ts';

let db: Db;
let drop: () => Promise<void>;
beforeAll(async () => {
  ({ db, drop } = await testDatabase());
});
afterAll(() => drop?.());

const MONDAY = { weekday: 1, from: 540, to: 1_020 };
let names = 0;

async function save(input: Partial<CalendarInput>, applyTo: ApplyTo = 'NEW_TICKETS') {
  names += 1;
  const whole = { name: `calendar ${names}`, timeZone: 'Europe/Berlin', periods: [MONDAY], holidays: [], ...input };
  return (await transact(db, { actor: 'SYSTEM' }, (unit) => saveCalendar(unit, whole, applyTo))).value;
}

it('keeps periods in order, and what a policy says follows an edit: the terms that tickets have already stay as they were [SLA-3] [SLA-10]', async () => {
  const afternoon = { weekday: 1, from: 1_080, to: 1_440 };
  const { calendarId } = await save({ periods: [afternoon, MONDAY], holidays: [{ date: '2026-12-25', name: ' Christmas ' }] });
  const policyId = await makePolicy(db, { targets: [goal('CLOSE', 60)], calendarId });
  const before = (await readPolicies(db)).find((one) => one.policyId === policyId);
  expect(before?.calendar).toEqual({ kind: 'HOURS', timeZone: 'Europe/Berlin', periods: [MONDAY, afternoon], holidays: ['2026-12-25'] });
  const row = await db.selectFrom('calendar_holiday').select('name').where('calendar_id', '=', calendarId).executeTakeFirstOrThrow();
  expect(row.name).toBe('Christmas');

  expect(await save({ calendarId, timeZone: 'Asia/Kathmandu' })).toEqual({ calendarId, reevaluationId: null });
  const after = (await readPolicies(db)).find((one) => one.policyId === policyId);
  expect(after?.calendar).toEqual({ kind: 'HOURS', timeZone: 'Asia/Kathmandu', periods: [MONDAY], holidays: [] });
  expect(after?.calendar).toEqual(await readCalendar(db, calendarId));
  const kept = await db
    .selectFrom('sla_terms')
    .select('calendar')
    .where('id', '=', before?.id ?? '')
    .executeTakeFirstOrThrow();
  expect(kept.calendar).toEqual(before?.calendar);
  expect(await db.selectFrom('sla_policy').select('version').where('id', '=', policyId).executeTakeFirstOrThrow()).toEqual({ version: 2 });
});

it('starts a re-evaluation only where a policy goes by it and open tickets were asked for, and returns its id [SLA-10]', async () => {
  const { calendarId, reevaluationId } = await save({}, 'OPEN_TICKETS_TOO');
  expect(reevaluationId).toBeNull();
  expect((await save({ calendarId }, 'OPEN_TICKETS_TOO')).reevaluationId).toBeNull();
  const policyId = await makePolicy(db, { targets: [goal('CLOSE', 60)], calendarId });
  const saved = await save({ calendarId }, 'OPEN_TICKETS_TOO');
  const ordered = await transact(db, { actor: 'SYSTEM' }, async (unit) => {
    const policyIds = (await readPolicies(unit.tx)).map((one) => one.policyId);
    return orderPolicies(unit, { policyIds }, 'OPEN_TICKETS_TOO');
  });
  const removed = await transact(db, { actor: 'SYSTEM' }, (unit) => deletePolicy(unit, { policyId }, 'OPEN_TICKETS_TOO'));
  const rows = await db.selectFrom('sla_reevaluation').select(['id', 'why']).orderBy('id').execute();
  expect(rows).toEqual([
    { id: saved.reevaluationId, why: 'CALENDAR_SAVED' },
    { id: ordered.value.reevaluationId, why: 'POLICIES_ORDERED' },
    { id: removed.value.reevaluationId, why: 'POLICY_DELETED' },
  ]);
  expect(ordered.wakes).toContainEqual({ kind: 'sla-reevaluation', reevaluationId: ordered.value.reevaluationId });
});

it('refuses what PostgreSQL would, before it is asked: times that are none, a day twice, a year that is not [SLA-3]', async () => {
  const refused = async (input: Partial<CalendarInput>): Promise<readonly string[]> => {
    const error: unknown = await save(input).catch((reason: unknown) => reason);
    if (!(error instanceof InvalidInput)) throw new Error('not refused', { cause: error });
    return error.problems.map(({ path }) => path);
  };
  expect(await refused({ periods: [{ weekday: 1, from: Number.NaN, to: 1_441 }] })).toEqual(['periods.0.from', 'periods.0.to']);
  expect(await refused({ periods: [{ weekday: 1, from: -1, to: 30.5 }] })).toEqual(['periods.0.from', 'periods.0.to']);
  expect(await refused({ periods: [MONDAY, MONDAY] })).toEqual(['periods.1']);
  expect(await refused({ holidays: [{ date: '0000-01-01' }, { date: '2026-02-29' }, { date: '2028-02-29' }, { date: '2028-02-29' }] })).toEqual([
    'holidays.0',
    'holidays.1',
    'holidays.3',
  ]);
  expect(await refused({ name: 'x'.repeat(SLA_LIMITS.characters + 1), holidays: [{ date: '2026-01-01', name: 'x'.repeat(201) }] })).toEqual([
    'name',
    'holidays.0.name',
  ]);
  expect(await refused({ periods: Array.from({ length: SLA_LIMITS.periods + 1 }, (_, at) => ({ weekday: 1, from: at * 2, to: at * 2 + 1 })) })).toEqual([
    'periods',
  ]);
});

it('of edits by the same version one is done, of makers of the same name one is, and a calendar that is gone is not found [SLA-3]', async () => {
  const { calendarId } = await save({});
  const edits = await Promise.allSettled(Array.from({ length: 20 }, () => save({ calendarId, expectedVersion: 1 })));
  expect(edits.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  const lost = edits.flatMap((one): unknown[] => (one.status === 'rejected' ? [one.reason] : []));
  expect(lost.every((reason) => reason instanceof ChangedMeanwhile)).toBe(true);

  const made = await Promise.allSettled(Array.from({ length: 6 }, (_, at) => save({ name: at % 2 === 0 ? 'Night' : ' NIGHT ' })));
  expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  const refused = made.flatMap((one): unknown[] => (one.status === 'rejected' ? [one.reason] : []));
  expect(refused.every((reason) => reason instanceof AlreadyExists)).toBe(true);

  const remove = (): Promise<unknown> => transact(db, { actor: 'SYSTEM' }, (unit) => deleteCalendar(unit, { calendarId }));
  await makePolicy(db, { targets: [goal('CLOSE', 60)], calendarId, name: 'by it' });
  await expect(remove()).rejects.toThrow(NotPossible);
  await db.updateTable('sla_policy').set({ deleted_at: new Date() }).where('name', '=', 'by it').execute();
  await remove();
  await expect(remove()).rejects.toThrow(NotFound);
  await expect(save({ calendarId })).rejects.toThrow(NotFound);
  expect(await readCalendar(db, calendarId)).toBeNull();
});

it('a policy that is saved while its calendar is removed either goes by it or is refused: never by one that is gone [SLA-3]', async () => {
  for (let round = 0; round < 10; round += 1) {
    const { calendarId } = await save({});
    const [saved, removed] = await Promise.allSettled([
      makePolicy(db, { targets: [goal('CLOSE', 60)], calendarId, name: `race ${round}` }),
      transact(db, { actor: 'SYSTEM' }, (unit) => deleteCalendar(unit, { calendarId })),
    ]);
    expect([saved.status, removed.status].toSorted()).toEqual(['fulfilled', 'rejected']);
    if (saved.status === 'rejected') expect(saved.reason).toBeInstanceOf(InvalidInput);
    if (removed.status === 'rejected') expect(removed.reason).toBeInstanceOf(NotPossible);
  }
});
