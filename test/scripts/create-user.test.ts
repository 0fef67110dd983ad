import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashToken } from '#commands/secrets.ts';
import { maybeToken } from '#commands/tokens.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database?.drop());

async function run(...given: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../scripts/create-user.ts', import.meta.url)), ...given], {
    env: { PATH: process.env['PATH'], DATABASE_URL: database.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  // Not its exit: what it said may come after that.
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

test('outside development there is nobody until a command makes the first user, and shows a token once [API-5]', async () => {
  expect(await database.db.selectFrom('app_user').select('id').execute()).toEqual([]);
  expect(await database.db.selectFrom('api_token').select('id').execute()).toEqual([]);
  const { code, output } = await run('--email', 'First@Inside.Example', '--name', 'First Person', '--role', 'SUPER_ADMIN');
  expect(code, output).toBe(0);
  const token = /tlk_\w+/.exec(output)?.[0] ?? '';
  expect(maybeToken(token)).toBe(true);
  const user = await database.db.selectFrom('app_user').selectAll().executeTakeFirstOrThrow();
  expect(user).toMatchObject({ email: 'first@inside.example', role: 'SUPER_ADMIN' });
  const kept = await database.db.selectFrom('api_token').selectAll().executeTakeFirstOrThrow();
  expect(kept).toMatchObject({ user_id: user.id, scopes: ['*'], expires_at: null, created_by: null });
  expect(kept.token_hash.equals(hashToken(token))).toBe(true);
});

test('the same address again changes nothing; with --existing it gets another token, which may end [API-5]', async () => {
  const again = await run('--email', 'first@inside.example', '--name', 'Somebody else', '--role', 'AGENT');
  expect(again.code).toBe(1);
  expect(again.output).toContain('--existing');
  expect(again.output).not.toContain('tlk_');
  const more = await run('--email', 'first@inside.example', '--existing', '--expires-in-days', '30');
  expect(more.code, more.output).toBe(0);
  expect(more.output).toContain('tlk_');
  const users = await database.db.selectFrom('app_user').select(['name', 'role']).execute();
  expect(users).toEqual([{ name: 'First Person', role: 'SUPER_ADMIN' }]);
  const tokens = await database.db.selectFrom('api_token').select('expires_at').orderBy('id').execute();
  expect(tokens.map(({ expires_at }) => expires_at === null)).toEqual([true, false]);
});

test('without a token, for who signs in through a provider; what is wrong is said and makes nobody [API-5]', async () => {
  const silent = await run('--email', 'second@inside.example', '--name', 'Second', '--no-token');
  expect(silent.code, silent.output).toBe(0);
  expect(silent.output).not.toContain('tlk_');
  for (const wrong of [
    ['--email', 'no address', '--name', 'x'],
    ['--email', 'third@inside.example'],
    ['--email', 'third@inside.example', '--name', 'x', '--role', 'KING'],
    ['--email', 'nobody@inside.example', '--existing'],
  ]) {
    expect((await run(...wrong)).code, wrong.join(' ')).not.toBe(0);
  }
  expect(await database.db.selectFrom('app_user').select('id').execute()).toHaveLength(2);
});
