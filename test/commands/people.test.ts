import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTeam, createUser, deactivateUser, setRole, setTeamMembers, updateUser } from '#commands/people.ts';
import { createApiToken } from '#commands/tokens.ts';
import { AddressTaken, AlreadyExists, Forbidden, InvalidInput } from '#commands/refusals.ts';
import { hashToken, keysFrom } from '#commands/secrets.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { connectEmailChannel } from '../support/email-channel.ts';

const keys = keysFrom('cd'.repeat(32));
let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());

async function run<T>(work: (unit: Unit) => Promise<T>): Promise<T> {
  return (await transact(database.db, { actor: 'SYSTEM' }, work)).value;
}
const user = (email: string) => run((unit) => createUser(unit, { name: 'Somebody', email })).then(({ userId }) => userId);

describe('users', () => {
  it('keeps one user for an address however it is written and however many ask at once [CH-2]', async () => {
    const written = ['Same@People.example', 'same@people.example', ' SAME@PEOPLE.EXAMPLE '];
    const results = await Promise.allSettled(Array.from({ length: 12 }, (_, index) => user(written[index % 3] ?? '')));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const one of results) {
      if (one.status === 'fulfilled') continue;
      expect(one.reason).toBeInstanceOf(AlreadyExists);
      expect(String(one.reason)).not.toContain('people.example');
    }
  });

  it('holds a written domain and its ASCII form for one mailbox [CH-2]', async () => {
    await user('ann@müller.example');
    await expect(connectEmailChannel(database.db, keys, { address: 'ann@xn--mller-kva.example' })).rejects.toBeInstanceOf(AddressTaken);
  });

  it('claims the new mailbox and lets the old one go when the address changes [CH-2]', async () => {
    const userId = await user('old@people.example');
    const team = await connectEmailChannel(database.db, keys, { address: 'team@people.example' });
    const taken = run((unit) => updateUser(unit, { userId, email: 'team@people.example' }));
    await expect(taken).rejects.toMatchObject({ name: 'AddressTaken', channelKey: team.key });
    await run((unit) => updateUser(unit, { userId, email: 'new@people.example', name: 'Renamed' }));
    await connectEmailChannel(database.db, keys, { address: 'old@people.example' });
    await expect(connectEmailChannel(database.db, keys, { address: 'new@people.example' })).rejects.toBeInstanceOf(AddressTaken);
  });

  it('names every wrong field at once [CH-3]', async () => {
    const wrong = run((unit) => createUser(unit, { name: ' ', email: 'no address', timeZone: 'Mars/Base' }));
    await expect(wrong).rejects.toMatchObject({ problems: [{ path: 'name' }, { path: 'email' }, { path: 'timeZone' }] });
  });

  it('shows a token once, stores its hash, and ends it with its user [API-5]', async () => {
    const userId = await user('token@people.example');
    const { token, tokenId } = await run((unit) => createApiToken(unit, { userId, name: 'script', scopes: ['*'], expiresAt: null }));
    const stored = () => database.db.selectFrom('api_token').selectAll().where('id', '=', tokenId).executeTakeFirstOrThrow();
    expect((await stored()).token_hash.equals(hashToken(token))).toBe(true);
    expect(JSON.stringify(await stored())).not.toContain(token);
    await run((unit) => deactivateUser(unit, { userId }));
    expect((await stored()).revoked_at).toBeInstanceOf(Date);
    await expect(run((unit) => createApiToken(unit, { userId, name: 'again', scopes: ['*'], expiresAt: null }))).rejects.toBeInstanceOf(InvalidInput);
  });

  it('keeps a super admin, also when two remove one another at once [API-6]', async () => {
    const [a, b] = await Promise.all([user('super-a@people.example'), user('super-b@people.example')]);
    for (const userId of [a, b]) await run((unit) => setRole(unit, { userId, role: 'SUPER_ADMIN' }));
    const results = await Promise.allSettled([run((unit) => setRole(unit, { userId: a, role: 'AGENT' })), run((unit) => deactivateUser(unit, { userId: b }))]);
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([expect.objectContaining({ reason: expect.any(Forbidden) })]);
  });
});

describe('teams', () => {
  it('lets a user be a primary member of one team, also when two teams ask at once, and names who is taken [MODEL-11]', async () => {
    const users = await Promise.all([1, 2, 3].map((index) => user(`member-${index}@people.example`)));
    const teams = await Promise.all(['Red', 'Blue'].map((name) => run((unit) => createTeam(unit, { name })).then(({ teamId }) => teamId)));
    const [red = '', blue = ''] = teams;
    const results = await Promise.allSettled([
      run((unit) => setTeamMembers(unit, { teamId: red, primaryUserIds: users })),
      run((unit) => setTeamMembers(unit, { teamId: blue, primaryUserIds: users.toReversed() })),
    ]);
    const refused = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused).toEqual([expect.any(InvalidInput)]);
    expect(refused[0]).toMatchObject({
      problems: expect.arrayContaining([{ path: 'primaryUserIds.0', message: 'is a primary member of another team already' }]),
    });
    const primary = await database.db.selectFrom('team_member').select('user_id').where('kind', '=', 'PRIMARY').execute();
    expect(primary).toHaveLength(3);
    const loser = results[0]?.status === 'rejected' ? red : blue;
    await run((unit) => setTeamMembers(unit, { teamId: loser, primaryUserIds: [], extraUserIds: users }));
    await expect(run((unit) => setTeamMembers(unit, { teamId: loser, primaryUserIds: ['nobody'] }))).rejects.toMatchObject({
      problems: [{ path: 'primaryUserIds.0' }],
    });
    await expect(run((unit) => createTeam(unit, { name: 'RED' }))).rejects.toBeInstanceOf(AlreadyExists);
  });
});
