import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ChannelFailure, definePlugin, type Failure, type OutboundMessage } from '@trunkline/channel-sdk';
import type { SMTPServerOptions } from 'smtp-server';
import { sendWaiting } from '#activities/system-mail.ts';
import { disconnectChannel } from '#commands/channels.ts';
import { findStuck } from '#commands/guardian.ts';
import { queueSystemMail, resendSystemMail } from '#commands/system-mail.ts';
import { removeSystemSender, setSystemSender, type SmtpSenderInput } from '#commands/system-sender.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { sql } from 'kysely';
import { fakeSmtp, rawServer, refusal, upToTheDot, type FakeSmtp } from '../support/smtp-fake.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, makeUser, plainPlugin, testKeys } from '../support/fixtures.ts';

const handed: OutboundMessage[] = [];
let failing: Failure | undefined;
const scripted = definePlugin({
  ...plainPlugin,
  send: async (message) => {
    if (failing !== undefined) throw new ChannelFailure(failing);
    handed.push(message);
    return { providerMessageId: message.id, keys: [], state: 'sent' as const };
  },
});
const lines: object[] = [];
const log = {
  info: (fields: object) => void lines.push(fields),
  warn: (fields: object) => void lines.push(fields),
  error: (fields: object) => void lines.push(fields),
};

let database: TestDatabase;
let db: Db;
let userId: string;
let server: { close(): Promise<void> } | undefined;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  userId = await makeUser(db);
});
afterAll(() => database.drop());
beforeEach(async () => {
  await db.deleteFrom('system_mail').execute();
  await db.deleteFrom('system_sender').execute();
  failing = undefined;
  handed.length = 0;
  lines.length = 0;
});
afterEach(async () => {
  await server?.close();
  server = undefined;
});

const engine = () => ({ db, keys: testKeys, plugins: [scripted], log, now: () => Date.now() });
const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
const queue = async (subject: string, more: { readonly html?: string; readonly recipient?: string } = {}) =>
  (
    await run((unit) =>
      queueSystemMail(unit, [
        { kind: 'TRANSCRIPT', to: { userId }, recipient: more.recipient ?? 'ada@users.example', subject, text: 'marked words', html: more.html ?? null },
      ]),
    )
  )[0] ?? '';
const by = (port: number, more: Partial<SmtpSenderInput> = {}) =>
  run((unit) =>
    setSystemSender(
      unit,
      { plugins: [scripted], keys: testKeys },
      { smtp: { host: '127.0.0.1', port, security: 'none', fromAddress: 'desk@acme.example', fromName: 'Acme', ...more } },
    ),
  );
const smtp = async (hooks: SMTPServerOptions = {}): Promise<FakeSmtp> => {
  const fake = await fakeSmtp(hooks);
  server = fake;
  await by(fake.port);
  return fake;
};
const row = (id: string) => db.selectFrom('system_mail').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const due = () =>
  sql`update system_mail set not_before = now() where state = 'QUEUED'`.execute(db).then(() => sql`update system_sender set send_after = now()`.execute(db));

it('hands a mail to the SMTP server, marked as a machine’s, and logs ids only [CH-12] [EMAIL-6]', async () => {
  const fake = await smtp();
  const id = await queue('A subject', { html: '<p>marked words</p>' });
  expect(await sendWaiting(engine())).toEqual({ sent: 1, notSent: 0, remaining: 0, heldBy: null, nextTryAtIso: null });
  expect(await row(id)).toMatchObject({ state: 'SENT', attempt: 1, reason: null, sending_since: null, settled_at: expect.any(Date) });
  expect(fake.mails).toHaveLength(1);
  const mail = fake.mails[0];
  expect(mail?.from).toBe('desk@acme.example');
  expect(mail?.to).toEqual(['ada@users.example']);
  expect(mail?.mime).toContain('From: Acme <desk@acme.example>');
  expect(mail?.mime).toContain('Auto-Submitted: auto-generated');
  expect(mail?.mime).toContain('Subject: A subject');
  expect(mail?.mime).toContain(`Message-ID: <${id}@acme.example>`);
  expect(mail?.mime).toContain('text/html');
  expect(JSON.stringify(lines)).toContain(id);
  expect(JSON.stringify(lines)).not.toMatch(/marked|example|subject/i);
});

it('sends each once, however many run at once [CH-12]', async () => {
  const fake = await smtp();
  const ids = await run((unit) =>
    queueSystemMail(
      unit,
      Array.from({ length: 40 }, (_, index) => ({
        kind: 'TRANSCRIPT' as const,
        to: { userId },
        recipient: 'ada@users.example',
        subject: `number ${index}`,
        text: 'words',
      })),
    ),
  );
  const runs = await Promise.all(Array.from({ length: 8 }, () => sendWaiting(engine())));
  expect(runs.reduce((sum, one) => sum + one.sent, 0)).toBe(40);
  expect(fake.mails).toHaveLength(40);
  expect(new Set(fake.mails.map((mail) => /^Subject: (.*)$/m.exec(mail.mime)?.[1])).size).toBe(40);
  for (const id of ids) expect(await row(id)).toMatchObject({ state: 'SENT', attempt: 1 });
});

it('an end without an answer after the last line is never sent again by itself, a person may [CH-12] [CH-5]', async () => {
  const cut = await rawServer(upToTheDot((socket) => socket.destroy()));
  server = cut;
  await by(cut.port);
  const id = await queue('uncertain');
  await sendWaiting(engine());
  expect(await row(id)).toMatchObject({ state: 'MAYBE_SENT', reason: 'the connection ended before the SMTP server confirmed the mail' });
  expect(await sendWaiting(engine())).toMatchObject({ sent: 0, notSent: 0, remaining: 0 });
  expect(await row(id)).toMatchObject({ attempt: 1 });
  await cut.close();
  const fake = await smtp();
  await run((unit) => resendSystemMail(unit, { mailId: id }));
  await sendWaiting(engine());
  expect(fake.mails).toHaveLength(1);
});

it('one that was being sent when its process died may have been sent [CH-12] [CH-5]', async () => {
  const fake = await smtp();
  const [died, young] = [await queue('died'), await queue('young')];
  await sql`update system_mail set state = 'SENDING', attempt = 1, sending_since = now() - interval '61 s' where id = ${died}`.execute(db);
  await sql`update system_mail set state = 'SENDING', attempt = 1, sending_since = now() - interval '10 s' where id = ${young}`.execute(db);
  const result = await sendWaiting(engine());
  expect(await row(died)).toMatchObject({ state: 'MAYBE_SENT' });
  expect(await row(young)).toMatchObject({ state: 'SENDING' });
  expect(result).toMatchObject({ remaining: 1, nextTryAtIso: expect.any(String) });
  expect(fake.mails).toEqual([]);
});

it('a no to one mail is its own: for good it fails, for now it alone is tried again [CH-12]', async () => {
  const asked: string[] = [];
  const fake = await smtp({
    onRcptTo: ({ address }, _session, callback) => {
      asked.push(address);
      if (address.startsWith('gone')) return callback(refusal(550));
      if (address.startsWith('later') && asked.filter((one) => one === address).length === 1) return callback(refusal(451));
      return callback();
    },
  });
  const gone = await queue('gone', { recipient: 'gone@users.example' });
  const later = await queue('later', { recipient: 'later@users.example' });
  const fine = await queue('fine');
  const first = await sendWaiting(engine());
  expect(first).toMatchObject({ sent: 1, notSent: 2, remaining: 1, heldBy: 'smtp 451' });
  expect(await row(gone)).toMatchObject({ state: 'FAILED', reason: 'smtp 550' });
  expect(await row(later)).toMatchObject({ state: 'QUEUED', last_failure: 'smtp 451', reason: null, attempt: 1 });
  expect(await row(fine)).toMatchObject({ state: 'SENT' });
  // Not before its time.
  expect(await sendWaiting(engine())).toMatchObject({ sent: 0, remaining: 1 });
  await due();
  expect(await sendWaiting(engine())).toMatchObject({ sent: 1, remaining: 0 });
  expect(await row(later)).toMatchObject({ state: 'SENT', attempt: 2, last_failure: null });
  expect(fake.mails).toHaveLength(2);
});

it('a server that asks for patience, refuses the login or can not be reached holds all mail back, and none is lost [CH-12]', async () => {
  const closing = await rawServer((socket) => socket.end('421 not now\r\n'));
  const refusing = await fakeSmtp({ authOptional: false, onAuth: (_auth, _session, callback) => callback(refusal(535)) });
  const away = await rawServer(() => undefined);
  await away.close();
  for (const [begin, reason] of [
    [() => by(closing.port), 'smtp 421'],
    [() => by(refusing.port, { username: 'desk', password: 'wrong' }), 'smtp 535'],
    [() => by(away.port), 'the SMTP server can not be reached'],
  ] as const) {
    await db.deleteFrom('system_mail').execute();
    await begin();
    const first = await queue('first');
    await sendWaiting(engine());
    expect(await row(first)).toMatchObject({ state: 'QUEUED', last_failure: reason });
    const second = await queue('second');
    expect(await sendWaiting(engine())).toMatchObject({ sent: 0, notSent: 0, remaining: 2, nextTryAtIso: expect.any(String) });
    expect(await row(second)).toMatchObject({ attempt: 0 });
    // What holds it back is on record, so the guardian leaves it alone.
    expect((await findStuck(db, 10)).stuck).toEqual([]);
  }
  await closing.close();
  await refusing.close();
  const fake = await smtp();
  await due();
  expect(await sendWaiting(engine())).toMatchObject({ sent: 2, remaining: 0 });
  expect(fake.mails).toHaveLength(2);
});

it('gives up after 72 hours, and at once what goes to somebody deactivated since [CH-12] [MODEL-12]', async () => {
  const fake = await smtp();
  const [old, gone] = [await queue('old'), await queue('gone')];
  const left = await makeUser(db);
  await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', left).execute();
  await sql`update system_mail set queued_at = now() - interval '72 h 1 min' where id = ${old}`.execute(db);
  await sql`update system_mail set user_id = ${left} where id = ${gone}`.execute(db);
  await sendWaiting(engine());
  expect(await row(old)).toMatchObject({ state: 'FAILED', reason: 'waited for 72 hours' });
  expect(await row(gone)).toMatchObject({ state: 'FAILED', reason: 'the user was deactivated' });
  expect(fake.mails).toEqual([]);
  // Queued anew by a person, it has its full time again.
  await run((unit) => resendSystemMail(unit, { mailId: old }));
  await sendWaiting(engine());
  expect(await row(old)).toMatchObject({ state: 'SENT' });
});

it('goes through a channel as the first message of nobody’s conversation [CH-12]', async () => {
  const channel = await makeChannel(db);
  await run((unit) => setSystemSender(unit, { plugins: [scripted], keys: testKeys }, { channelId: channel.id }));
  const id = await queue('By a channel');
  await sendWaiting(engine());
  expect(handed).toEqual([
    {
      id,
      kind: 'start',
      to: { kind: 'email-address', value: 'ada@users.example' },
      cc: [],
      subject: 'By a channel',
      text: 'marked words',
      html: null,
      author: null,
      sender: 'automation',
      precedingIds: [],
      inReplyTo: null,
      attachments: [],
    },
  ]);
  expect(await db.selectFrom('conversation').select('id').execute()).toEqual([]);
  const outcomes: readonly (readonly [Failure, object])[] = [
    [
      { code: 'Rejected', reason: 'code 100' },
      { state: 'FAILED', reason: 'code 100' },
    ],
    [
      { code: 'MaybeSent', reason: 'no answer' },
      { state: 'MAYBE_SENT', reason: 'no answer' },
    ],
    [
      { code: 'Unavailable', reason: 'http 503' },
      { state: 'QUEUED', last_failure: 'http 503' },
    ],
    [
      { code: 'RateLimited', retryAfterSeconds: 9 },
      { state: 'QUEUED', last_failure: 'the provider limits the rate' },
    ],
  ];
  for (const [failure, expected] of outcomes) {
    failing = failure;
    const mail = await queue(failure.code);
    await sendWaiting(engine());
    expect(await row(mail)).toMatchObject(expected);
  }
  failing = undefined;
  await due();
  await run((unit) => disconnectChannel(unit, { channelId: channel.id }));
  const late = await queue('late');
  await sendWaiting(engine());
  expect(await row(late)).toMatchObject({ state: 'UNSENT', reason: 'the channel of the system sender is disconnected' });
});

it('what was queued while its sender was being taken away is listed as unsent, and the guardian finds what nobody woke [CH-12] [OPS-10]', async () => {
  await smtp();
  const id = await queue('waiting');
  await sql`update system_mail set not_before = now() - interval '40 s'`.execute(db);
  expect((await findStuck(db, 10)).stuck.map((one) => one.wake)).toEqual([{ kind: 'system-mail' }]);
  await Promise.all([run((unit) => removeSystemSender(unit)), queue('one'), queue('two')]);
  await sendWaiting(engine());
  const states = await db.selectFrom('system_mail').select(['id', 'state']).execute();
  expect(states.map((one) => one.state)).toEqual(['UNSENT', 'UNSENT', 'UNSENT']);
  expect(states.map((one) => one.id)).toContain(id);
  expect((await findStuck(db, 10)).stuck).toEqual([]);
});
