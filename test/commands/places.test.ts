import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTeam, createUser, setTeamMembers } from '#commands/people.ts';
import { createInbox, setAccessList } from '#commands/places.ts';
import { AlreadyExists, InvalidInput } from '#commands/refusals.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());

async function run<T>(work: (unit: Unit) => Promise<T>): Promise<T> {
  return (await transact(database.db, { actor: 'SYSTEM' }, work)).value;
}
const user = (name: string) => run((unit) => createUser(unit, { name, email: `${name}@places.example` })).then(({ userId }) => userId);

it('gives access to all members of a listed team, lets only its primary ones be assigned, and keeps others out [MODEL-11]', async () => {
  const [listed, primary, extra, outside] = await Promise.all(['listed', 'primary', 'extra', 'outside'].map(user));
  const { teamId } = await run((unit) => createTeam(unit, { name: 'Team' }));
  await run((unit) => setTeamMembers(unit, { teamId, primaryUserIds: [primary ?? ''], extraUserIds: [extra ?? ''] }));
  const { placeId } = await run((unit) => createInbox(unit, { name: 'Sales' }));
  const ids = async (view: 'place_member' | 'place_assignable') =>
    new Set((await database.db.selectFrom(view).select('user_id').where('place_id', '=', placeId).execute()).map((one) => one.user_id));
  expect(await ids('place_member')).toContain(outside);
  await run((unit) => setAccessList(unit, { placeId, access: { userIds: [listed ?? ''], teamIds: [teamId] } }));
  expect(await ids('place_member')).toEqual(new Set([listed, primary, extra]));
  expect(await ids('place_assignable')).toEqual(new Set([listed, primary]));
  await run((unit) => setAccessList(unit, { placeId, access: { everyone: true } }));
  expect(await ids('place_assignable')).toContain(outside);
});

it('refuses an empty list and unknown ids, each named, and leaves the list as it was [MODEL-11]', async () => {
  const { placeId } = await run((unit) => createInbox(unit, { name: 'Empty' }));
  await expect(run((unit) => setAccessList(unit, { placeId, access: { userIds: [], teamIds: [] } }))).rejects.toBeInstanceOf(InvalidInput);
  const unknown = run((unit) => setAccessList(unit, { placeId, access: { userIds: ['nobody'], teamIds: ['none'] } }));
  await expect(unknown).rejects.toMatchObject({ problems: [{ path: 'access.userIds.0' }, { path: 'access.teamIds.0' }] });
  const entries = await database.db.selectFrom('access_entry').select('everyone').where('place_id', '=', placeId).execute();
  expect(entries).toEqual([{ everyone: true }]);
});

it('keeps the names of inboxes apart, also at once [MODEL-11]', async () => {
  const results = await Promise.allSettled(['Twice', 'twice', 'TWICE'].map((name) => run((unit) => createInbox(unit, { name }))));
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))).toEqual([expect.any(AlreadyExists), expect.any(AlreadyExists)]);
});
