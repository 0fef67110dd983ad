import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockRouting } from '#db/locks.ts';
import type { Availability } from '#db/schema.ts';
import { isTimeZone } from '#domain/time-zone.ts';
import { availabilityAt, overrideHolds, type OutOfOffice, type Override, type Plan } from '#domain/user-availability.ts';
import { AVAILABILITY_LIMITS, minutesOf, overlaps } from '#domain/working-hours.ts';
import type { Wake } from '#domain/wake.ts';
import type { WorkingPeriod } from '#domain/working-time.ts';
import { InvalidInput, NotFound, type Problem } from './refusals.ts';
import { noteFreed } from './routing-retry.ts';
import { transact, type Unit } from './unit.ts';

export interface PeriodInput {
  /** 1 is Monday, 7 is Sunday. */
  readonly weekday: number;
  /** By the user's own clock: '09:00'. */
  readonly from: string;
  /** Not included; at most '24:00'. */
  readonly to: string;
}

export interface WorkingHoursInput {
  readonly userId: string;
  /** None: working at any time. */
  readonly periods: readonly PeriodInput[];
  /** An IANA name; left out: as it is. */
  readonly timeZone?: string;
}

/** Replaces somebody's working hours. An override goes on if the new hours bring no change before now. Throws `NotFound`, `InvalidInput`. */
export async function setWorkingHours(unit: Unit, { userId, periods: written, timeZone }: WorkingHoursInput): Promise<void> {
  const { tx } = unit;
  const periods = readPeriods(written, timeZone === undefined || isTimeZone(timeZone) ? [] : [NO_ZONE]);
  await lockUser(tx, userId);
  if (timeZone !== undefined) await tx.updateTable('app_user').set({ time_zone: timeZone }).where('id', '=', userId).execute();
  await tx.deleteFrom('working_period').where('user_id', '=', userId).execute();
  if (periods.length > 0) {
    const rows = periods.map(({ weekday, from, to }) => ({ user_id: userId, weekday, from_minute: from, to_minute: to }));
    await tx.insertInto('working_period').values(rows).execute();
  }
  unit.record({ kind: 'PEOPLE_CHANGED', userId, why: 'WORKING_HOURS' });
  await followPlan(unit, [userId]);
}

/** Says that somebody is out of office in `[from, to)`. Ranges may overlap: each counts. Throws `NotFound`, `InvalidInput`. */
export async function addOutOfOffice(
  unit: Unit,
  { userId, from, to }: { readonly userId: string; readonly from: Date; readonly to: Date },
): Promise<{ readonly outOfOfficeId: string }> {
  const { tx } = unit;
  if (from >= to) throw new InvalidInput([{ path: 'to', message: 'must be later than from' }]);
  await lockUser(tx, userId);
  const { over, far, ahead } = await tx
    .selectFrom('out_of_office')
    .select([
      sql<boolean>`${to}::timestamptz <= clock_timestamp()`.as('over'),
      sql<boolean>`${to}::timestamptz > clock_timestamp() + make_interval(days => ${AVAILABILITY_LIMITS.outOfOfficeDays})`.as('far'),
      sql<number>`count(*) filter (where to_at > clock_timestamp())`.as('ahead'),
    ])
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow();
  if (over) throw new InvalidInput([{ path: 'to', message: 'is over already' }]);
  if (far) throw new InvalidInput([{ path: 'to', message: `must be at most ${AVAILABILITY_LIMITS.outOfOfficeDays} days ahead` }]);
  if (Number(ahead) >= AVAILABILITY_LIMITS.outOfOffice) {
    throw new InvalidInput([{ path: 'from', message: `at most ${AVAILABILITY_LIMITS.outOfOffice} ranges that are not over` }]);
  }
  const { id } = await tx.insertInto('out_of_office').values({ user_id: userId, from_at: from, to_at: to }).returning('id').executeTakeFirstOrThrow();
  unit.record({ kind: 'PEOPLE_CHANGED', userId, why: 'OUT_OF_OFFICE', data: { outOfOfficeId: id } });
  await followPlan(unit, [userId]);
  return { outOfOfficeId: id };
}

/** Takes a range back, also one that is over. Throws `NotFound`. */
export async function removeOutOfOffice(unit: Unit, { outOfOfficeId }: { readonly outOfOfficeId: string }): Promise<{ readonly userId: string }> {
  const { tx } = unit;
  const found = await tx
    .selectFrom('out_of_office')
    .select('user_id')
    .where(sql<string>`id::text`, '=', outOfOfficeId)
    .executeTakeFirst();
  if (found === undefined) throw new NotFound('out of office', outOfOfficeId);
  const { user_id: userId } = found;
  await lockUser(tx, userId);
  const removed = await tx.deleteFrom('out_of_office').where('id', '=', outOfOfficeId).returning('id').executeTakeFirst();
  if (removed === undefined) throw new NotFound('out of office', outOfOfficeId);
  unit.record({ kind: 'PEOPLE_CHANGED', userId, why: 'BACK_IN_OFFICE', data: { outOfOfficeId } });
  await followPlan(unit, [userId]);
  return { userId };
}

/**
 * Says by hand whether somebody is available. It holds until the next change that their hours or absences bring. Nothing that is theirs is taken from
 * them (ROUTE-12). Throws `NotFound`.
 */
export async function setAvailability(unit: Unit, { userId, availability }: { readonly userId: string; readonly availability: Availability }): Promise<void> {
  await lockUser(unit.tx, userId);
  await followPlan(unit, [userId], availability);
}

/** Takes back what was said by hand: hours and absences alone say it again. Throws `NotFound`. */
export async function clearAvailability(unit: Unit, { userId }: { readonly userId: string }): Promise<void> {
  await lockUser(unit.tx, userId);
  const cleared = await unit.tx
    .updateTable('app_user')
    .set({ availability_set_at: null })
    .where('id', '=', userId)
    .where('availability_set_at', 'is not', null)
    .returning('id')
    .executeTakeFirst();
  if (cleared !== undefined) unit.record({ kind: 'PEOPLE_CHANGED', userId, why: 'AVAILABILITY_CLEARED' });
  await followPlan(unit, [userId]);
}

/**
 * Brings everybody up to date whose moment has come, by PostgreSQL's clock. The routing lock must be held: whoever holds several users' rows, or is about to choose
 * one, holds it, so that no two of these wait for each other. A decision calls it before it reads its pool, so it never sees a state that is past. Nearly
 * always nobody is due, and it is one look into an index. Returns how many there were.
 */
export async function flipDue(unit: Unit): Promise<number> {
  let flipped = 0;
  for (;;) {
    const count = await flipSome(unit);
    flipped += count;
    if (count < AVAILABILITY_LIMITS.flips) return flipped;
  }
}

/** The same in transactions of its own, so that nobody else's decision waits for more than some of them. `wakes` of each go to `then`. */
export async function flipDueNow(db: Db, then: (wakes: readonly Wake[]) => Promise<void> = async () => undefined): Promise<number> {
  let flipped = 0;
  while (await anyDue(db)) {
    const { value, wakes } = await transact(db, { actor: 'SYSTEM' }, async (unit) => {
      await lockRouting(unit.tx);
      return flipSome(unit);
    });
    flipped += value;
    await then(wakes);
  }
  return flipped;
}

async function anyDue(db: Db): Promise<boolean> {
  const { due } = await db
    .selectNoFrom(sql<boolean>`exists (select from app_user where availability_until <= (select clock_timestamp()))`.as('due'))
    .executeTakeFirstOrThrow();
  return due;
}

/** Whoever is being edited just now is waited for. The clock is a statement of its own: asked for each row, it would keep PostgreSQL from the index. */
async function flipSome(unit: Unit): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    select id from app_user where availability_until <= (select clock_timestamp()) order by availability_until limit ${AVAILABILITY_LIMITS.flips} for no key update`.execute(
    unit.tx,
  );
  if (rows.length > 0)
    await followPlan(
      unit,
      rows.map(({ id }) => id),
    );
  return rows.length;
}

/**
 * Works out state and next change of users whose rows are locked, after anything that counts for them has changed, and writes what is different. `byHand`:
 * a state that is being set now.
 */
export async function followPlan(unit: Unit, userIds: readonly string[], byHand?: Availability): Promise<void> {
  const changes = (await readPlans(unit.tx, userIds)).map((user) => ({ user, ...followed(user, byHand) }));
  const written = changes.filter(({ user, state, until, setAt }) => state !== user.availability || until !== at(user.until) || setAt !== at(user.setAt));
  if (written.length > 0) {
    const rows = written.map(({ user, state, until, setAt }) => ({ id: user.id, state, until: iso(until), set_at: iso(setAt) }));
    await sql`
      update app_user u set availability = n.state, availability_until = n.until, availability_set_at = n.set_at
      from json_to_recordset(${JSON.stringify(rows)}::json) as n (id uuid, state text, until timestamptz, set_at timestamptz) where u.id = n.id`.execute(
      unit.tx,
    );
  }
  // Its one timer may have to be nearer now (ROUTE-13).
  if (written.some(({ user, until }) => until !== null && (user.until === null || until < user.until.getTime()))) unit.wake({ kind: 'routing-retry' });
  await noteFreed(
    unit,
    written.flatMap(({ user, state }) => (state === 'AVAILABLE' && user.availability === 'AWAY' ? [user.id] : [])),
  );
  for (const { user, state, until } of changes) {
    // Said once more by hand, it is no other.
    if (state === user.availability && (byHand === undefined || (user.setAt !== null && until === at(user.until)))) continue;
    unit.record({
      kind: 'PEOPLE_CHANGED',
      userId: user.id,
      why: state,
      data: { until: iso(until), by: byHand === undefined ? 'PLAN' : 'HAND' },
      ...(byHand === undefined ? { by: { actor: 'SYSTEM' } as const } : {}),
    });
  }
}

interface PlanRow {
  readonly id: string;
  readonly timeZone: string;
  readonly availability: Availability;
  readonly until: Date | null;
  readonly setAt: Date | null;
  readonly periods: readonly WorkingPeriod[];
  readonly absences: readonly OutOfOffice[];
  /** By PostgreSQL's clock, after the lock was had. */
  readonly now: Date;
}

/** Absences that were over before the override and before now say nothing any more. Who was deactivated has no plan. */
async function readPlans(tx: Tx, userIds: readonly string[]): Promise<readonly PlanRow[]> {
  const { rows } = await sql<PlanRow>`
    select u.id, u.time_zone as "timeZone", u.availability, u.availability_until as until, u.availability_set_at as "setAt", clock_timestamp() as now,
      (select coalesce(jsonb_agg(jsonb_build_object('weekday', p.weekday, 'from', p.from_minute, 'to', p.to_minute)), '[]')
        from working_period p where p.user_id = u.id) as periods,
      (select coalesce(jsonb_agg(jsonb_build_object('from', extract(epoch from o.from_at) * 1000, 'to', extract(epoch from o.to_at) * 1000)), '[]')
        from out_of_office o where o.user_id = u.id and o.to_at > least(u.availability_set_at, clock_timestamp())) as absences
    from app_user u where u.id = any(${[...userIds]}::uuid[]) and u.deactivated_at is null`.execute(tx);
  return rows;
}

/** What holds now, until when, and since when by hand, if it still does. */
function followed(
  user: PlanRow,
  byHand: Availability | undefined,
): { readonly state: Availability; readonly until: number | null; readonly setAt: number | null } {
  const plan: Plan = {
    calendar: user.periods.length === 0 ? { kind: 'ALWAYS' } : { kind: 'HOURS', timeZone: user.timeZone, periods: user.periods, holidays: NO_HOLIDAYS },
    outOfOffice: user.absences,
  };
  const now = user.now.getTime();
  const before = user.setAt === null ? null : { state: user.availability, at: user.setAt.getTime() };
  const override: Override | null = byHand === undefined ? before : { state: byHand, at: now };
  return { ...availabilityAt(plan, override, now), setAt: override !== null && overrideHolds(plan, override, now) ? override.at : null };
}

const NO_HOLIDAYS: ReadonlySet<string> = new Set();
const NO_ZONE: Problem = { path: 'timeZone', message: 'must be an IANA time zone' };

function at(moment: Date | null): number | null {
  return moment === null ? null : moment.getTime();
}

function iso(moment: number | null): string | null {
  return moment === null ? null : new Date(moment).toISOString();
}

/** As minutes. Throws `InvalidInput` naming every wrong one by its place in the list, of two that overlap the later one of the list. */
function readPeriods(written: readonly PeriodInput[], others: readonly Problem[]): readonly WorkingPeriod[] {
  if (written.length > AVAILABILITY_LIMITS.periods) {
    throw new InvalidInput([{ path: 'periods', message: `at most ${AVAILABILITY_LIMITS.periods} periods` }, ...others]);
  }
  const problems: Problem[] = [];
  const periods: WorkingPeriod[] = [];
  const places: number[] = [];
  for (const [index, { weekday, from, to }] of written.entries()) {
    const path = `periods.${index}`;
    const [opens, closes] = [minutesOf(from), minutesOf(to)];
    if (!Number.isInteger(weekday) || weekday < 1 || weekday > 7) problems.push({ path: `${path}.weekday`, message: 'must be 1 (Monday) to 7 (Sunday)' });
    if (opens === undefined) problems.push({ path: `${path}.from`, message: CLOCK });
    if (closes === undefined) problems.push({ path: `${path}.to`, message: CLOCK });
    if (opens === undefined || closes === undefined) continue;
    const period = { weekday, from: opens, to: closes };
    const other = periods.findIndex((one) => overlaps(one, period));
    if (opens >= closes) problems.push({ path: `${path}.to`, message: 'must be later than from; a period over midnight is written as two' });
    else if (other !== -1) problems.push({ path, message: `overlaps periods.${places[other]}` });
    periods.push(period);
    places.push(index);
  }
  if (problems.length + others.length > 0) throw new InvalidInput([...problems, ...others]);
  return periods;
}

const CLOCK = 'must be a time like 09:30, at most 24:00';

async function lockUser(tx: Tx, userId: string): Promise<void> {
  const user = await tx
    .selectFrom('app_user')
    .select('id')
    .where(sql<string>`id::text`, '=', userId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (user === undefined) throw new NotFound('user', userId);
}
