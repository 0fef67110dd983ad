import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Plugin } from '@trunkline/channel-sdk';
import { disconnectChannel } from '#commands/channels.ts';
import { InvalidInput, NotPossible } from '#commands/refusals.ts';
import { removeExpired } from '#commands/retention.ts';
import { queueSystemMail, resendSystemMail, testSystemSender } from '#commands/system-mail.ts';
import { loadSystemSender, readSystemSender, removeSystemSender, setSystemSender, type SmtpSenderInput } from '#commands/system-sender.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, makeUser, plainCapabilities, plainPlugin, testKeys } from '../support/fixtures.ts';

/** The same plugin, where it can only answer. */
const replying: Plugin = { ...plainPlugin, capabilities: { ...plainCapabilities, outbound: 'reply' } };
const deps = { plugins: [plainPlugin], keys: testKeys };
const PASSWORD = 'marked-password-5517';
const smtp: SmtpSenderInput = {
  host: 'smtp.acme.example',
  port: 587,
  security: 'starttls',
  username: 'desk',
  password: PASSWORD,
  fromAddress: 'Desk@ACME.example',
  fromName: 'Acme',
};

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(() => database.drop());
beforeEach(async () => {
  await db.deleteFrom('system_sender').execute();
  await db.deleteFrom('system_mail').execute();
});

const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
const set = (input: SmtpSenderInput | { channelId: string }) => run((unit) => setSystemSender(unit, deps, 'host' in input ? { smtp: input } : input));
const problems = async (input: SmtpSenderInput | { channelId: string }) => {
  const error = await set(input).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(InvalidInput);
  expect(String(error)).not.toContain(PASSWORD);
  return (error as InvalidInput).problems.map(({ path }) => path);
};
const queue = (subject = 'subject', userId?: string) =>
  run((unit) =>
    queueSystemMail(unit, [
      { kind: 'TRANSCRIPT', to: userId === undefined ? { contactId: contact } : { userId }, recipient: 'ben@out.example', subject, text: 'words' },
    ]),
  );
let contact: string;
beforeAll(async () => {
  contact = (await db.insertInto('contact').values({ name: 'Ben' }).returning('id').executeTakeFirstOrThrow()).id;
});
const states = async () => (await db.selectFrom('system_mail').select('state').orderBy('id').execute()).map((row) => row.state);

it('keeps the password sealed and shows it nowhere [CH-12] [CH-3]', async () => {
  await set(smtp);
  const row = await db.selectFrom('system_sender').selectAll().executeTakeFirstOrThrow();
  expect(JSON.stringify(row.settings)).not.toContain(PASSWORD);
  expect(row.secrets?.includes(PASSWORD)).toBe(false);
  expect(JSON.stringify(await readSystemSender(db))).not.toContain(PASSWORD);
  expect(await loadSystemSender(db, testKeys)).toEqual({
    kind: 'smtp',
    smtp: { host: 'smtp.acme.example', port: 587, security: 'starttls', username: 'desk', fromAddress: 'desk@acme.example', fromName: 'Acme' },
    password: PASSWORD,
  });
  const events = await db.selectFrom('event').selectAll().where('kind', '=', 'SYSTEM_SENDER_CHANGED').execute();
  expect(events.at(-1)).toMatchObject({ why: 'SMTP', place_id: null });
  expect(JSON.stringify(events)).not.toContain('acme.example');
});

it('names every wrong field in one answer [CH-12] [CH-3]', async () => {
  expect(await problems({ ...smtp, host: 'no host', port: 0, fromAddress: 'nobody', fromName: 'two\r\nlines' })).toEqual([
    'smtp.host',
    'smtp.port',
    'smtp.fromAddress',
    'smtp.fromName',
  ]);
  const { username: _username, ...nobody } = smtp;
  expect(await problems(nobody)).toEqual(['smtp.username']);
  expect(await problems({ ...smtp, security: 'none' })).toEqual(['smtp.security']);
});

it('a stored password stays for the same login only: it is sent to no other server [CH-12]', async () => {
  await set(smtp);
  const { password: _password, ...again } = smtp;
  await set({ ...again, fromName: 'Acme Ltd' });
  expect(await loadSystemSender(db, testKeys)).toMatchObject({ password: PASSWORD, smtp: { fromName: 'Acme Ltd' } });
  for (const other of [{ host: 'evil.example' }, { port: 2525 }, { username: 'somebody' }])
    expect(await problems({ ...again, ...other })).toEqual(['smtp.password']);
});

it('a channel can send where it is connected and can write to an email address first [CH-12]', async () => {
  const channel = await makeChannel(db);
  await set(smtp);
  await set({ channelId: channel.id });
  expect(await loadSystemSender(db, testKeys)).toMatchObject({ kind: 'channel', channel: { key: channel.key } });
  expect(await readSystemSender(db)).toMatchObject({ smtp: null, channelId: channel.id });
  const other = await makeChannel(db);
  await run((unit) => disconnectChannel(unit, { channelId: other.id }));
  expect(await problems({ channelId: other.id })).toEqual(['channelId']);
  expect(await problems({ channelId: '00000000-0000-7000-8000-000000000000' })).toEqual(['channelId']);
  await expect(run((unit) => setSystemSender(unit, { ...deps, plugins: [replying] }, { channelId: channel.id }))).rejects.toBeInstanceOf(InvalidInput);
});

it('of twenty at once the last stands, whole [CH-12]', async () => {
  const channel = await makeChannel(db);
  await Promise.all(Array.from({ length: 20 }, (_, index) => set(index % 2 === 0 ? { ...smtp, port: 1000 + index } : { channelId: channel.id })));
  const rows = await db.selectFrom('system_sender').selectAll().execute();
  expect(rows).toHaveLength(1);
  expect((rows[0]?.channel_id === null) !== (rows[0]?.settings === null)).toBe(true);
});

it('taken away, what waits is listed as unsent, and goes by itself no more; a person can send it [CH-12]', async () => {
  await set(smtp);
  await queue('one');
  await queue('two');
  expect(await run((unit) => removeSystemSender(unit))).toEqual({ unsent: 2 });
  expect(await run((unit) => removeSystemSender(unit))).toEqual({ unsent: 0 });
  const [mailId = ''] = await queue('three');
  expect(await states()).toEqual(['UNSENT', 'UNSENT', 'UNSENT']);
  await expect(run((unit) => resendSystemMail(unit, { mailId }))).rejects.toMatchObject({ reason: 'NO_SENDER' });
  await set(smtp);
  expect(await states()).toEqual(['UNSENT', 'UNSENT', 'UNSENT']);
  // Twenty times at once it is queued once.
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => run((unit) => resendSystemMail(unit, { mailId }))));
  expect(results.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
  for (const one of results) if (one.status === 'rejected') expect(one.reason).toMatchObject({ reason: 'NOT_WAITING' });
  expect((await states()).toSorted()).toEqual(['QUEUED', 'UNSENT', 'UNSENT']);
});

it('sent anew it goes to the address the user has now, and to nobody who is deactivated [CH-12]', async () => {
  const userId = await makeUser(db);
  const [mailId = ''] = await queue('late', userId);
  await set(smtp);
  await db.updateTable('app_user').set({ email: 'moved@users.example' }).where('id', '=', userId).execute();
  await run((unit) => resendSystemMail(unit, { mailId }));
  expect(await db.selectFrom('system_mail').select(['recipient', 'state']).executeTakeFirst()).toEqual({ recipient: 'moved@users.example', state: 'QUEUED' });
  await db.updateTable('system_mail').set({ state: 'FAILED', reason: 'smtp 550', settled_at: new Date() }).execute();
  await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', userId).execute();
  await expect(run((unit) => resendSystemMail(unit, { mailId }))).rejects.toMatchObject({ reason: 'RECIPIENT_GONE' });
});

it('a test goes to the caller, and needs a sender [CH-12]', async () => {
  const userId = await makeUser(db);
  await expect(run((unit) => testSystemSender(unit, { userId }))).rejects.toBeInstanceOf(NotPossible);
  await set(smtp);
  const committed = await transact(db, { actor: 'USER', userId }, (unit) => testSystemSender(unit, { userId }));
  expect(committed.wakes).toEqual([{ kind: 'system-mail' }]);
  expect(await db.selectFrom('system_mail').select(['id', 'kind', 'user_id', 'state']).execute()).toEqual([
    { id: committed.value.mailId, kind: 'TEST', user_id: userId, state: 'QUEUED' },
  ]);
});

it('is kept for thirty days, what waits for longer [CH-12]', async () => {
  await set(smtp);
  await queue('old');
  await queue('new');
  await queue('old and waiting');
  const ago = (days: number) => new Date(Date.now() - days * 86_400_000);
  await db
    .updateTable('system_mail')
    .set({ state: 'SENT', settled_at: new Date(), created_at: ago(31) })
    .where('subject', '=', 'old')
    .execute();
  await db
    .updateTable('system_mail')
    .set({ state: 'SENT', settled_at: new Date(), created_at: ago(29) })
    .where('subject', '=', 'new')
    .execute();
  await db
    .updateTable('system_mail')
    .set({ created_at: ago(31) })
    .where('subject', '=', 'old and waiting')
    .execute();
  expect(await removeExpired(db, 100)).toMatchObject({ systemMails: 1 });
  expect((await db.selectFrom('system_mail').select('subject').orderBy('subject').execute()).map((row) => row.subject)).toEqual(['new', 'old and waiting']);
});
