import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockSlaSettings } from '#db/locks.ts';
import { calendarOf, calendarProblems, isOffered, SLA_LIMITS, type StoredCalendar } from '#domain/sla-policy.ts';
import type { WorkingPeriod } from '#domain/working-time.ts';
import { AlreadyExists, ChangedMeanwhile, InvalidInput, NotFound, NotPossible, type Problem } from './refusals.ts';
import { startIfWanted, type ApplyTo, type Started } from './sla-reevaluation.ts';
import { writeTerms } from './sla-terms.ts';
import type { Unit } from './unit.ts';

export interface CalendarInput {
  /** None: a new one. */
  readonly calendarId?: string | null;
  /** Refused when somebody else changed it since that version. */
  readonly expectedVersion?: number | null;
  readonly name: string;
  readonly timeZone: string;
  readonly periods: readonly WorkingPeriod[];
  readonly holidays: readonly { readonly date: string; readonly name?: string | null }[];
}

/**
 * Saves when working time passes (SLA-3). Policies that go by it say so from now on, to new tickets or also to the open ones (SLA-10). Throws `InvalidInput`
 * (each thing with where), `NotFound`, `AlreadyExists`, `ChangedMeanwhile`.
 */
export async function saveCalendar(unit: Unit, input: CalendarInput, applyTo: ApplyTo): Promise<Started & { readonly calendarId: string }> {
  const { tx } = unit;
  await lockSlaSettings(tx);
  const before = input.calendarId == null ? undefined : await readRow(tx, input.calendarId);
  if (before !== undefined && input.expectedVersion != null && input.expectedVersion !== before.version) throw new ChangedMeanwhile('calendar');
  const name = input.name.trim();
  const holidays = input.holidays.map(({ date }) => date);
  const stored: StoredCalendar = { kind: 'HOURS', timeZone: input.timeZone, periods: inOrder(input.periods), holidays: holidays.toSorted() };
  const problems = [
    ...nameProblems(name),
    ...calendarProblems({ ...input, holidays }),
    ...input.holidays.flatMap((one, at) => ((one.name ?? '').length > SLA_LIMITS.characters ? [tooLong(`holidays.${at}.name`)] : [])),
  ];
  if (problems.length > 0) throw new InvalidInput(problems);
  await requireGoalsOffered(tx, before?.id ?? null, stored);
  if (before === undefined) await requireRoom(tx);
  await requireFreeName(tx, name, before?.id ?? null);
  const calendarId = await write(tx, before?.id ?? null, { ...input, name });
  unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: before === undefined ? 'CALENDAR_MADE' : 'CALENDAR_EDITED', data: { calendarId } });
  if (before === undefined) return { calendarId, reevaluationId: null };
  const using = await tx.selectFrom('sla_policy').selectAll().where('calendar_id', '=', calendarId).where('deleted_at', 'is', null).execute();
  for (const policy of using) await writeTerms(tx, policy, { calendar: stored });
  return { calendarId, ...(await startIfWanted(unit, 'CALENDAR_SAVED', using.length === 0 ? 'NEW_TICKETS' : applyTo)) };
}

/** Takes a calendar off the list. Throws `NotFound`, `NotPossible` while a policy goes by it. */
export async function deleteCalendar(unit: Unit, { calendarId }: { readonly calendarId: string }): Promise<{ readonly calendarId: string }> {
  const { tx } = unit;
  await lockSlaSettings(tx);
  const { id } = await readRow(tx, calendarId);
  const using = await tx.selectFrom('sla_policy').select('id').where('calendar_id', '=', id).where('deleted_at', 'is', null).limit(1).executeTakeFirst();
  if (using !== undefined) throw new NotPossible('CALENDAR_IN_USE');
  await tx
    .updateTable('business_calendar')
    .set({ deleted_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute();
  unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: 'CALENDAR_REMOVED', data: { calendarId: id } });
  return { calendarId: id };
}

/** As terms keep it; null: there is no such calendar. */
export async function readCalendar(tx: Db | Tx, calendarId: string): Promise<StoredCalendar | null> {
  const row = await tx
    .selectFrom('business_calendar')
    .select(['id', 'time_zone'])
    .where(sql<string>`id::text`, '=', calendarId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) return null;
  const periods = await tx.selectFrom('calendar_period').selectAll().where('calendar_id', '=', row.id).orderBy('weekday').orderBy('from_minute').execute();
  const holidays = await tx
    .selectFrom('calendar_holiday')
    .select(sql<string>`to_char(date, 'YYYY-MM-DD')`.as('date'))
    .where('calendar_id', '=', row.id)
    .orderBy('date')
    .execute();
  return {
    kind: 'HOURS',
    timeZone: row.time_zone,
    periods: periods.map(({ weekday, from_minute: from, to_minute: to }) => ({ weekday, from, to })),
    holidays: holidays.map(({ date }) => date),
  };
}

function inOrder(periods: readonly WorkingPeriod[]): readonly WorkingPeriod[] {
  return periods.map(({ weekday, from, to }) => ({ weekday, from, to })).toSorted((a, b) => a.weekday - b.weekday || a.from - b.from);
}

export function nameProblems(name: string): readonly Problem[] {
  if (name === '') return [{ path: 'name', message: 'must not be empty' }];
  return name.length > SLA_LIMITS.characters ? [tooLong('name')] : [];
}

function tooLong(path: string): Problem {
  return { path, message: `at most ${SLA_LIMITS.characters} characters` };
}

async function readRow(tx: Tx, calendarId: string) {
  const row = await tx
    .selectFrom('business_calendar')
    .selectAll()
    .where(sql<string>`id::text`, '=', calendarId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('calendar', calendarId);
  return row;
}

/** A policy must not come to have a goal that can never be missed. */
async function requireGoalsOffered(tx: Tx, calendarId: string | null, stored: StoredCalendar): Promise<void> {
  if (calendarId === null) return;
  const rows = await tx
    .selectFrom('sla_policy')
    .innerJoin('sla_terms', 'sla_terms.id', 'sla_policy.terms_id')
    .select(['sla_policy.number', 'sla_terms.targets'])
    .where('sla_policy.calendar_id', '=', calendarId)
    .where('sla_policy.deleted_at', 'is', null)
    .execute();
  const calendar = calendarOf(stored);
  const problems = rows.flatMap(({ number, targets }) =>
    targets.some(({ durationMs }) => !isOffered(calendar, durationMs))
      ? [{ path: 'periods', message: `a goal of policy ${number} would be longer than the calendar offers in twenty years` }]
      : [],
  );
  if (problems.length > 0) throw new InvalidInput(problems);
}

async function requireRoom(tx: Tx): Promise<void> {
  const { count } = await tx
    .selectFrom('business_calendar')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('deleted_at', 'is', null)
    .executeTakeFirstOrThrow();
  if (count >= SLA_LIMITS.calendars) throw new InvalidInput([{ path: 'name', message: `at most ${SLA_LIMITS.calendars} calendars` }]);
}

async function requireFreeName(tx: Tx, name: string, own: string | null): Promise<void> {
  const taken = await tx
    .selectFrom('business_calendar')
    .select('id')
    .where(sql<boolean>`lower(name) = lower(${name})`)
    .where('deleted_at', 'is', null)
    .where(sql<boolean>`id is distinct from ${own}::uuid`)
    .executeTakeFirst();
  if (taken !== undefined) throw new AlreadyExists('calendar');
}

async function write(tx: Tx, before: string | null, { name, timeZone, periods, holidays }: CalendarInput): Promise<string> {
  const { id } =
    before === null
      ? await tx.insertInto('business_calendar').values({ name, time_zone: timeZone }).returning('id').executeTakeFirstOrThrow()
      : await tx
          .updateTable('business_calendar')
          .set((eb) => ({ name, time_zone: timeZone, version: eb('version', '+', 1) }))
          .where('id', '=', before)
          .returning('id')
          .executeTakeFirstOrThrow();
  await tx.deleteFrom('calendar_period').where('calendar_id', '=', id).execute();
  await tx.deleteFrom('calendar_holiday').where('calendar_id', '=', id).execute();
  await tx
    .insertInto('calendar_period')
    .values(periods.map(({ weekday, from, to }) => ({ calendar_id: id, weekday, from_minute: from, to_minute: to })))
    .execute();
  if (holidays.length > 0) {
    await tx
      .insertInto('calendar_holiday')
      .values(holidays.map((one) => ({ calendar_id: id, date: one.date, name: one.name?.trim() || null })))
      .execute();
  }
  return id;
}
