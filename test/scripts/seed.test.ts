import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkInvariants } from '#db/invariants.ts';
import { spreadOverHours } from '#scripts/seed/hours.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const CONVERSATIONS = 3_000;

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database?.drop());

async function run(...given: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../scripts/seed.ts', import.meta.url)), ...given], {
    env: { PATH: process.env['PATH'], DATABASE_URL: database.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'exit')) as [number];
  return { code, output };
}

/** One row of counts. */
async function counted(query: string): Promise<Readonly<Record<string, number>>> {
  const { rows } = await sql.raw<Readonly<Record<string, number>>>(query).execute(database.db);
  return rows[0] ?? {};
}

test('a seeded inbox keeps every rule the doctor knows [OPS-11]', async () => {
  const { code, output } = await run('--conversations', String(CONVERSATIONS), '--seed', '7');
  expect(code, output).toBe(0);
  expect(output).toContain('seed 7');
  const broken = (await checkInvariants(database.db)).filter(({ violations }) => violations !== 0);
  expect(broken.map(({ invariant, violations }) => `${invariant.holds}: ${violations}`)).toEqual([]);
}, 120_000);

test('it has what a move meets: owners of all kinds, tickets for a third, open and closed, and what went on by email', async () => {
  const found = await counted(`
    select count(*) as all, count(*) filter (where c.ticket_id is not null) as tickets, count(*) filter (where c.status = 'CLOSED') as closed,
      count(*) filter (where c.place <> 'INBOX') as elsewhere,
      count(*) filter (where a.owner_id is null) as unowned,
      count(*) filter (where m.user_id is not null and u.deactivated_at is null) as with_access,
      count(*) filter (where a.owner_id is not null and m.user_id is null) as without_access,
      count(*) filter (where u.deactivated_at is not null) as gone,
      count(*) filter (where c.channel_id <> c.origin_channel_id and o.plugin = 'form' and h.plugin = 'email') as forms_by_mail,
      count(*) filter (where c.channel_id <> c.origin_channel_id and o.plugin = 'chat' and h.plugin = 'email') as chats_by_mail,
      count(*) filter (where c.channel_id = c.origin_channel_id and h.plugin = 'email') as mails,
      count(*) filter (where c.channel_id = c.origin_channel_id and h.plugin = 'form') as forms,
      count(*) filter (where c.channel_id = c.origin_channel_id and h.plugin = 'chat') as chats
    from conversation c join assignment a on a.conversation_id = c.id join channel h on h.id = c.channel_id join channel o on o.id = c.origin_channel_id
    left join app_user u on u.id = a.owner_id
    left join place_member m on m.user_id = a.owner_id and m.place_id = (select id from place where kind = 'HELP_DESK')`);
  expect(found['all']).toBe(CONVERSATIONS);
  expect(found['elsewhere']).toBe(0);
  expect((found['tickets'] ?? 0) / CONVERSATIONS).toBeCloseTo(0.3, 1);
  for (const some of ['unowned', 'with_access', 'without_access', 'gone', 'forms_by_mail', 'chats_by_mail', 'mails', 'forms', 'chats']) {
    expect(found[some], some).toBeGreaterThan(10);
  }
  expect(found['closed']).toBeGreaterThan(CONVERSATIONS / 2);
  expect(found['closed']).toBeLessThan(CONVERSATIONS);
});

test('nothing in it lies in the future, and one to six messages stand in their order', async () => {
  const found = await counted(`
    select count(*) filter (where c.started_at > now() or c.last_message_at > now() or c.closed_at > now() or c.closed_at < c.last_message_at) as misdated,
      count(*) filter (where n.messages not between 1 and 6 or n.first <> c.started_at or n.last <> c.last_message_at) as mismatched,
      count(*) filter (where c.started_at > now() - interval '29 days') as recent
    from conversation c join lateral (
      select count(*) as messages, min(occurred_at) as first, max(occurred_at) filter (where direction <> 'COMMENT') as last from message where conversation_id = c.id
    ) n on true`);
  expect(found['misdated']).toBe(0);
  expect(found['mismatched']).toBe(0);
  expect((found['recent'] ?? 0) / CONVERSATIONS).toBeCloseTo(0.8, 1);
});

test('every address in it is one nobody can have', async () => {
  const { rows } = await sql<{ host: string }>`
    select distinct split_part(address, '@', 2) as host from (
      select value as address from contact_identity where kind = 'email-address' union all select email from app_user union all select value from participant where kind = 'email-address'
    ) addresses`.execute(database.db);
  expect(rows.map(({ host }) => host).filter((host) => host !== 'example.com' && !host.endsWith('.example'))).toEqual([]);
  expect(rows.length).toBeGreaterThan(1);
});

test('the same seed is refused a second time; another one adds to what is there, of the kinds that are asked for', async () => {
  const again = await run('--conversations', '10', '--seed', '7');
  expect(again.code).toBe(1);
  expect(again.output).toContain('choose another');
  const more = await run('--conversations', '50', '--channels', 'forms,chats', '--seed', '8');
  expect(more.code, more.output).toBe(0);
  const found = await counted(`select count(*) as all, count(*) filter (where h.plugin = 'email') as mails
    from conversation c join channel h on h.id = c.channel_id join place p on p.id = c.place_id where p.name = 'Inbox 8'`);
  expect(found).toEqual({ all: 50, mails: 0 });
  for (const wrong of [
    ['--conversations', '0'],
    ['--channels', 'pigeon'],
    ['--seed', 'x'],
  ])
    expect((await run(...wrong)).code).toBe(1);
  const broken = (await checkInvariants(database.db)).filter(({ violations }) => violations !== 0);
  expect(broken).toEqual([]);
}, 120_000);

test('the same seed makes the same conversations in another database', async () => {
  const other = await testDatabase();
  const texts = async ({ db }: TestDatabase) =>
    (
      await sql<{ row: string }>`
        select concat_ws(' ', m.provider_message_id, m.direction, m.text, c.status, c.subject, t.priority, o.name) as row
        from message m join conversation c on c.id = m.conversation_id join place p on p.id = c.place_id and p.name = 'Inbox 9'
        left join ticket t on t.id = c.ticket_id left join app_user o on o.id = coalesce(t.owner_id, c.owner_id) order by 1`.execute(db)
    ).rows.map(({ row }) => row);
  try {
    const first = database;
    await run('--conversations', '200', '--seed', '9');
    database = other;
    await run('--conversations', '200', '--seed', '9');
    database = first;
    const made = await texts(first);
    expect(made.length).toBeGreaterThan(200);
    // Whether it is closed depends on how long ago it was, which the clock moves on meanwhile.
    const differing = (await texts(other)).filter((row, index) => row !== made[index]).length;
    expect(differing).toBeLessThan(made.length / 50);
  } finally {
    await other.drop();
  }
}, 120_000);

test('the hours of four weeks have their share, by day, night and weekday, and none is lost', () => {
  const until = new Date('2026-11-20T12:30:00Z');
  const hours = spreadOverHours(100_000, until);
  expect(hours.reduce((sum, { count }) => sum + count, 0)).toBe(100_000);
  expect(hours.every(({ first }, index) => first === hours.slice(0, index).reduce((sum, { count }) => sum + count, 1) || index % 97 !== 0)).toBe(true);
  const recent = hours.filter(({ from }) => from.getTime() >= until.getTime() - 28 * 86_400_000);
  const sum = (wanted: (from: Date) => boolean): number => recent.filter(({ from }) => wanted(from)).reduce((all, { count }) => all + count, 0);
  expect(sum(() => true) / 100_000).toBeCloseTo(0.8, 2);
  expect(sum((from) => from.getUTCHours() === 10)).toBeGreaterThan(10 * sum((from) => from.getUTCHours() === 3));
  expect(sum((from) => from.getUTCDay() === 2)).toBeGreaterThan(3 * sum((from) => from.getUTCDay() === 0));
});
