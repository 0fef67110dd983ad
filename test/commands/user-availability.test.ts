import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ruleAvailable } from '#commands/availability.ts';
import { assign } from '#commands/owners.ts';
import { deactivateUser, updateUser } from '#commands/people.ts';
import { InvalidInput, NotFound } from '#commands/refusals.ts';
import { decide } from '#commands/routing.ts';
import { previewRouting } from '#commands/routing-preview.ts';
import { transact, type Unit } from '#commands/unit.ts';
import {
  addOutOfOffice,
  clearAvailability,
  flipDue,
  flipDueNow,
  removeOutOfOffice,
  setAvailability,
  setWorkingHours,
  type PeriodInput,
} from '#commands/user-availability.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { lockRouting } from '#db/locks.ts';
import { checkInvariants } from '#db/invariants.ts';
import { AVAILABILITY_LIMITS } from '#domain/working-hours.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeTeam, makeUser } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { arriving, ruled } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}`)).toEqual([]);
});

const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
const rowOf = (id: string) =>
  db.selectFrom('app_user').select(['availability', 'availability_until', 'availability_set_at', 'time_zone']).where('id', '=', id).executeTakeFirstOrThrow();
const changesOf = async (id: string) =>
  (await db.selectFrom('event').select('why').where('user_id', '=', id).where('kind', '=', 'PEOPLE_CHANGED').orderBy('id').execute()).map(({ why }) => why);
/** So many seconds from now, by PostgreSQL's clock. */
async function seconds(ahead: number): Promise<Date> {
  const { rows } = await sql<{ at: Date }>`select date_trunc('milliseconds', clock_timestamp() + make_interval(secs => ${ahead})) as at`.execute(db);
  return rows[0]?.at ?? new Date(0);
}
const away = async (userId: string, from: number, to: number) => {
  const [begin, end] = [await seconds(from), await seconds(to)];
  return run((unit) => addOutOfOffice(unit, { userId, from: begin, to: end }));
};
const everyDay = (from: string, to: string): PeriodInput[] => [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, from, to }));

describe('the state that is stored', () => {
  it('follows working hours in their own time zone: another zone is another state [ROUTE-12]', async () => {
    const userId = await makeUser(db);
    // Somewhere it is between noon and half past two in the afternoon, on the other side of the world it is not.
    const { rows } = await sql<{ hour: number }>`select extract(hour from clock_timestamp() at time zone 'UTC')::int as hour`.execute(db);
    const ahead = 13 - (rows[0]?.hour ?? 0);
    const offset = ahead > 12 ? -12 : ahead;
    // The signs of these names are the other way round.
    const named = (hours: number) => (hours === 0 ? 'Etc/UTC' : `Etc/GMT${hours > 0 ? '-' : '+'}${Math.abs(hours)}`);
    const [zone, other] = [named(offset), named(offset > 0 ? offset - 12 : offset + 12)];
    // From noon to three: also where the hour ends meanwhile.
    await run((unit) => setWorkingHours(unit, { userId, periods: everyDay('12:00', '15:00'), timeZone: zone }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AVAILABLE', time_zone: zone, availability_until: expect.any(Date) });
    await run((unit) => updateUser(unit, { userId, timeZone: other }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AWAY', time_zone: other });
    expect(await changesOf(userId)).toEqual(['WORKING_HOURS', 'USER_CHANGED', 'AWAY']);
    await run((unit) => setWorkingHours(unit, { userId, periods: [] }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AVAILABLE', availability_until: null });
  });

  it('is away while out of office, and says until when; taken back it is over at once [ROUTE-12]', async () => {
    const userId = await makeUser(db);
    const [until, later] = [await seconds(3600), await seconds(7200)];
    const { outOfOfficeId } = await run((unit) => addOutOfOffice(unit, { userId, from: new Date(0), to: until }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AWAY', availability_until: until });
    // Ranges may overlap: together they are one.
    await run((unit) => addOutOfOffice(unit, { userId, from: until, to: later }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AWAY', availability_until: later });
    await run((unit) => removeOutOfOffice(unit, { outOfOfficeId }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AVAILABLE', availability_until: until });
    await expect(run((unit) => removeOutOfOffice(unit, { outOfOfficeId }))).rejects.toBeInstanceOf(NotFound);
  });

  it('holds by hand until the next change of the plan, however the plan is edited meanwhile, and can be taken back [ROUTE-12]', async () => {
    const userId = await makeUser(db);
    const [from, to] = [await seconds(3600), await seconds(7200)];
    await run((unit) => addOutOfOffice(unit, { userId, from, to }));
    await run((unit) => setAvailability(unit, { userId, availability: 'AWAY' }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AWAY', availability_until: from, availability_set_at: expect.any(Date) });
    const earlier = await seconds(1800);
    await run((unit) => addOutOfOffice(unit, { userId, from: earlier, to: from }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AWAY', availability_until: earlier, availability_set_at: expect.any(Date) });
    await run((unit) => clearAvailability(unit, { userId }));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AVAILABLE', availability_until: earlier, availability_set_at: null });
    // Without hours or absences nothing ends it.
    const plain = await makeUser(db);
    await run((unit) => setAvailability(unit, { userId: plain, availability: 'AWAY' }));
    expect(await rowOf(plain)).toMatchObject({ availability: 'AWAY', availability_until: null, availability_set_at: expect.any(Date) });
    expect(await changesOf(plain)).toEqual(['AWAY']);
  });

  it('names every wrong period, an unknown zone and a range the wrong way round by its place [ROUTE-12]', async () => {
    const userId = await makeUser(db);
    const periods = [
      { weekday: 1, from: '09:00', to: '17:00' },
      { weekday: 1, from: '16:59', to: '18:00' },
      { weekday: 2, from: '10:00', to: '10:00' },
      { weekday: 3, from: '9', to: '24:01' },
      { weekday: 8, from: '00:00', to: '24:00' },
      { weekday: 1, from: '17:00', to: '18:00' },
    ];
    const wrong = run((unit) => setWorkingHours(unit, { userId, periods, timeZone: 'Mars/Base' }));
    await expect(wrong).rejects.toBeInstanceOf(InvalidInput);
    await expect(wrong).rejects.toMatchObject({
      problems: [
        { path: 'periods.1', message: 'overlaps periods.0' },
        { path: 'periods.2.to' },
        { path: 'periods.3.from' },
        { path: 'periods.3.to' },
        { path: 'periods.4.weekday' },
        { path: 'periods.5', message: 'overlaps periods.1' },
        { path: 'timeZone' },
      ],
    });
    await expect(run((unit) => setWorkingHours(unit, { userId, periods: Array.from({ length: 71 }, () => periods.slice(0, 1)).flat() }))).rejects.toMatchObject(
      {
        problems: [{ path: 'periods' }],
      },
    );
    const range = (from: Date, to: Date) => run((unit) => addOutOfOffice(unit, { userId, from, to }));
    await expect(range(new Date(5), new Date(5))).rejects.toMatchObject({ problems: [{ path: 'to', message: 'must be later than from' }] });
    await expect(range(new Date(5), new Date(6))).rejects.toMatchObject({ problems: [{ path: 'to', message: 'is over already' }] });
    await expect(range(new Date(), new Date('9999-12-31'))).rejects.toMatchObject({ problems: [{ path: 'to', message: 'must be at most 3650 days ahead' }] });
    expect(await db.selectFrom('working_period').selectAll().where('user_id', '=', userId).execute()).toEqual([]);
    for (let index = 0; index < 100; index += 1) await away(userId, 3600, 7200);
    await expect(away(userId, 3600, 7200)).rejects.toMatchObject({ problems: [{ path: 'from' }] });
    // One that is over can be taken back too.
    const { id } = await db
      .insertInto('out_of_office')
      .values({ user_id: userId, from_at: new Date(0), to_at: new Date(1) })
      .returning('id')
      .executeTakeFirstOrThrow();
    expect(await run((unit) => removeOutOfOffice(unit, { outOfOfficeId: id }))).toEqual({ userId });
    await expect(run((unit) => setAvailability(unit, { userId: id, availability: 'AWAY' }))).rejects.toBeInstanceOf(NotFound);
  });

  it('is what hours, absences and override say together, after twenty changes of them at once [ROUTE-12]', async () => {
    const userId = await makeUser(db);
    const others = Array.from({ length: 3 }, () => openDatabase(database.url, { name: 'test-other', max: 8 }));
    const [to, later] = [await seconds(3600), await seconds(9000)];
    const works: ((unit: Unit) => Promise<unknown>)[] = Array.from({ length: 20 }, (_, index) => {
      if (index % 4 === 0) return (unit) => setAvailability(unit, { userId, availability: index % 8 === 0 ? 'AWAY' : 'AVAILABLE' });
      if (index % 4 === 1) return (unit) => setWorkingHours(unit, { userId, periods: index === 1 ? [] : everyDay('00:00', '24:00') });
      if (index % 4 === 2) return (unit) => clearAvailability(unit, { userId });
      return (unit) => addOutOfOffice(unit, { userId, from: to, to: later });
    });
    await Promise.all(works.map((work, index) => transact(others[index % 3] ?? db, { actor: 'SYSTEM' }, work)));
    await Promise.all(others.map((one) => one.destroy()));
    await run((unit) => clearAvailability(unit, { userId }));
    // At all hours of every day, and out of office in an hour.
    expect(await rowOf(userId)).toMatchObject({ availability: 'AVAILABLE', availability_until: to, availability_set_at: null });
    expect((await db.selectFrom('working_period').selectAll().where('user_id', '=', userId).execute()).length % 7).toBe(0);
  });
});

it('says by hand what holds already without an event, and follows nothing for who was deactivated [ROUTE-12]', async () => {
  const userId = await makeUser(db);
  for (let time = 0; time < 3; time += 1) await run((unit) => setAvailability(unit, { userId, availability: 'AWAY' }));
  expect(await changesOf(userId)).toEqual(['AWAY']);
  await run((unit) => clearAvailability(unit, { userId }));
  await away(userId, 3600, 7200);
  await run((unit) => deactivateUser(unit, { userId }));
  expect((await rowOf(userId)).availability_until).toBeNull();
  await run((unit) => setWorkingHours(unit, { userId, periods: everyDay('09:00', '17:00') }));
  expect(await rowOf(userId)).toMatchObject({ availability: 'AVAILABLE', availability_until: null });
});

describe('the moment of a change', () => {
  it('brings the state up to date once, however many look at it at once [ROUTE-12]', async () => {
    const userId = await makeUser(db);
    await away(userId, 600, 3600);
    await pass(601, userId);
    await Promise.all(Array.from({ length: 20 }, () => flipDueNow(db)));
    expect(await rowOf(userId)).toMatchObject({ availability: 'AWAY' });
    expect(await changesOf(userId)).toEqual(['OUT_OF_OFFICE', 'AWAY']);
  });

  it('is seen by the very next decision: nobody is chosen on a state that is past, and nothing is taken from who goes away [ROUTE-12, ROUTE-5]', async () => {
    const [back, leaving] = [await makeUser(db), await makeUser(db)];
    await away(back, -60, 600);
    await away(leaving, 600, 3600);
    const channel = await ruled(db, { users: [back, leaving] });
    const [first = '', second = ''] = await arriving(db, channel, 2);
    const { value: before } = await decide(db, { conversationId: first }, Math.random);
    expect(before.ownerId).toBe(leaving);
    await pass(601, back, leaving);
    // Nobody has looked meanwhile: the rows still say what was.
    expect([(await rowOf(back)).availability, (await rowOf(leaving)).availability]).toEqual(['AWAY', 'AVAILABLE']);
    const { value: after } = await decide(db, { conversationId: second }, Math.random);
    expect(after.ownerId).toBe(back);
    const { owner_id: owner } = await db.selectFrom('ticket').select('owner_id').where('conversation_id', '=', first).executeTakeFirstOrThrow();
    expect(owner).toBe(leaving);
  });

  it('is seen of all whose moment has come, however many these are [ROUTE-12, ROUTE-5]', async () => {
    const { rows } = await sql<{ id: string }>`
      insert into app_user (email, name, seat, availability, availability_until)
        select 'many' || n || '@users.example', 'Many ' || n, 'PAID', 'AVAILABLE', now() - interval '1 s' from generate_series(1, ${AVAILABILITY_LIMITS.flips + 1}::int) n returning id`.execute(
      db,
    );
    const ids = rows.map(({ id }) => id);
    await sql`insert into out_of_office (user_id, from_at, to_at) select id, now() - interval '1 s', now() + interval '1 h' from unnest(${ids}::uuid[]) as u (id)`.execute(
      db,
    );
    const channel = await ruled(db, { users: ids });
    const [conversationId = ''] = await arriving(db, channel, 1);
    const { value } = await decide(db, { conversationId }, Math.random);
    expect(value.ownerId).toBeNull();
    expect(await db.selectFrom('app_user').select('id').where('id', 'in', ids).where('availability', '=', 'AVAILABLE').execute()).toEqual([]);
  });

  it('comes for somebody who is just being chosen: neither waits for the other for ever [ROUTE-15, ROUTE-12]', async () => {
    const [chosen = '', due = ''] = [await makeUser(db), await makeUser(db)].toSorted();
    await away(due, -60, 600);
    await pass(601, due);
    let other: Promise<number> | undefined;
    // As a decision does it: those that are due, and then whoever was chosen.
    await run(async (unit) => {
      await lockRouting(unit.tx);
      await flipDue(unit);
      await away(chosen, 600, 3600);
      await pass(601, chosen);
      other = flipDueNow(db);
      await eventually(async () => {
        const { rows } = await sql<{ n: number }>`
          select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(db);
        return rows[0]?.n === 1;
      });
      await sql`update app_user set last_assigned_at = now() where id = ${chosen}`.execute(unit.tx);
    });
    expect(await other).toBe(1);
    expect(await rowOf(chosen)).toMatchObject({ availability: 'AWAY' });
  });

  it('is seen by the pick of a team, by a preview, and by what a visitor is told [ROUTE-3, ROUTE-14, CHAT-3]', async () => {
    const userId = await makeUser(db);
    const channel = await ruled(db, { users: [userId] });
    const teamId = await makeTeam(db, { primary: [userId] });
    const [conversationId = ''] = await arriving(db, channel, 1);
    await away(userId, -60, 600);
    expect(await ruleAvailable(db, channel.id)).toBe(false);
    await pass(601, userId);
    expect(await run((unit) => assign(unit, { conversationId }, { teamId }))).toEqual({ ownerId: userId, teamId });
    await away(userId, 600, 1200);
    await pass(601, userId);
    expect((await previewRouting(db, [], { channelId: channel.id, contactId: null })).ownerId).toBeNull();
    await pass(600, userId);
    expect(await ruleAvailable(db, channel.id)).toBe(true);
  });
});

/** As if so many seconds had passed for these users, and nobody had looked. */
async function pass(seconds: number, ...userIds: string[]): Promise<void> {
  await sql`update out_of_office set from_at = from_at - make_interval(secs => ${seconds}), to_at = to_at - make_interval(secs => ${seconds})
    where user_id = any(${userIds}::uuid[])`.execute(db);
  await sql`update app_user set availability_until = availability_until - make_interval(secs => ${seconds}) where id = any(${userIds}::uuid[])`.execute(db);
}
