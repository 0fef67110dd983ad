import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { setHealth } from '#commands/channel-health.ts';
import { notify, notifyUnassigned, setNotificationSwitch } from '#commands/notifications.ts';
import { assign } from '#commands/owners.ts';
import { lockSubject } from '#commands/subjects.ts';
import { setSystemSender } from '#commands/system-sender.ts';
import { createTicket } from '#commands/tickets.ts';
import { transact, type ActorRef, type Unit } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { notificationMail } from '#domain/system-mail.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, makeUser, plainPlugin, testKeys } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(() => database.drop());
beforeEach(() => run((unit) => setSystemSender(unit, { plugins: [plainPlugin], keys: testKeys }, SENDER)));
afterEach(async () => {
  await db.deleteFrom('system_mail').execute();
  await db.deleteFrom('notification').execute();
});

const SENDER = { smtp: { host: 'localhost', port: 25, security: 'none', fromAddress: 'desk@acme.example' } } as const;
async function run<T>(work: (unit: Unit) => Promise<T>, actor: ActorRef = { actor: 'SYSTEM' }): Promise<T> {
  return (await transact(db, actor, work)).value;
}
const ticket = (name = 'Printer on fire') => run((unit) => createTicket(unit, { name, source: 'API' }));
const mails = () => db.selectFrom('system_mail').selectAll().orderBy('created_at').orderBy('id').execute();
const told = () => db.selectFrom('notification').select(['id', 'user_id', 'kind', 'channel_id']).execute();

it('a notification is a mail too: what happened, number and name, to the user’s address [MODEL-12]', async () => {
  const owner = await makeUser(db);
  const { ticketId } = await ticket('Printer on\r\nfire\u2028now');
  const committed = await transact(db, { actor: 'USER', userId: await makeUser(db) }, (unit) => assign(unit, { ticketId }, { userId: owner }));
  const [notification] = await told();
  const { number } = await db.selectFrom('ticket').select('number').where('id', '=', ticketId).executeTakeFirstOrThrow();
  const { email } = await db.selectFrom('app_user').select('email').where('id', '=', owner).executeTakeFirstOrThrow();
  const sent = await mails();
  expect(sent).toMatchObject([
    {
      kind: 'NOTIFICATION',
      user_id: owner,
      recipient: email,
      notification_id: notification?.id,
      ticket_id: ticketId,
      state: 'QUEUED',
      subject: `Ticket ${number} is yours: Printer on fire now`,
      html: null,
    },
  ]);
  expect(sent[0]?.text).toContain(`Ticket ${number} became yours: Printer on fire now\n`);
  // Nothing leads anywhere, so nothing is linked.
  expect(sent[0]?.text).not.toMatch(/https?:/);
  expect(committed.wakes).toContainEqual({ kind: 'system-mail' });
});

it('says every kind in words, on one line of subject however long the name [MODEL-12]', () => {
  const words = [
    notificationMail({ kind: 'TICKET_UNASSIGNED', ticket: { number: 7, name: 'x'.repeat(900) } }),
    notificationMail({ kind: 'MESSAGE_IN_CLOSED', ticket: null }),
    notificationMail({ kind: 'CHANNEL_HEALTH', channel: { key: 'plain-1', name: 'Support', health: 'DISCONNECTED', reason: 'smtp 535' } }),
    notificationMail({ kind: 'CHANNEL_HEALTH', channel: { key: 'plain-1', name: 'Support', health: 'CONNECTED', reason: null } }),
  ];
  expect(words.map((one) => one.subject.slice(0, 60))).toEqual([
    `Ticket 7 waits for somebody: ${'x'.repeat(31)}`,
    'A conversation stays closed though the contact wrote',
    'The channel Support (plain-1) has lost its provider',
    'The channel Support (plain-1) works again',
  ]);
  expect(words[2]?.text).toContain('has lost its provider: smtp 535.');
  for (const { subject } of words) expect(subject.length).toBeLessThanOrEqual(200);
});

it('each kind can be switched off in the API and by mail, apart from one another [MODEL-12]', async () => {
  const users = [await makeUser(db), await makeUser(db), await makeUser(db), await makeUser(db), await makeUser(db)] as const;
  const [all, noMail, onlyMail, none, back] = users;
  const off = (userId: string, by: 'API' | 'MAIL' | null, on = false) =>
    run((unit) => setNotificationSwitch(unit, { userId, kind: 'TICKET_ASSIGNED', on, by }));
  await off(noMail, 'MAIL');
  await off(onlyMail, 'API');
  await off(none, null);
  await off(back, null);
  await off(back, null, true);
  const { ticketId } = await ticket();
  const subject = (unit: Unit) => lockSubject(unit.tx, { ticketId });
  await run(async (unit) => notify(unit, 'TICKET_ASSIGNED', users, await subject(unit)));
  expect((await told()).map((one) => one.user_id).toSorted()).toEqual([all, noMail, back].toSorted());
  expect((await mails()).map((one) => one.user_id).toSorted()).toEqual([all, onlyMail, back].toSorted());
  // Another kind is another switch.
  await run(async (unit) => notify(unit, 'MESSAGE_IN_CLOSED', [none], await subject(unit)));
  expect((await mails()).filter((one) => one.user_id === none)).toHaveLength(1);
});

it('nobody gets a mail for what they did themselves, nor once they are deactivated [MODEL-12]', async () => {
  const [doer, gone, other] = [await makeUser(db), await makeUser(db), await makeUser(db)];
  await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', gone).execute();
  const { ticketId } = await ticket();
  await run(async (unit) => notify(unit, 'TICKET_ASSIGNED', [doer, gone, other], await lockSubject(unit.tx, { ticketId })), { actor: 'USER', userId: doer });
  expect((await mails()).map((one) => one.user_id)).toEqual([other]);
});

it('to a crowd by as many statements as to one, one mail each, also for twenty tickets at once [MODEL-12] [API-8]', async () => {
  const statements: string[] = [];
  const counted = openDatabase(database.url, { onStatement: (text) => void statements.push(text) });
  const tellAll = async (ref: { readonly ticketId: string }): Promise<number> => {
    const before = statements.length;
    await transact(counted, { actor: 'SYSTEM' }, async (unit) => notifyUnassigned(unit, await lockSubject(unit.tx, ref)));
    return statements.length - before;
  };
  try {
    const few = await tellAll(await ticket());
    const crowd = await Promise.all(Array.from({ length: 60 }, () => makeUser(db)));
    expect(await tellAll(await ticket())).toBe(few);
    await db.deleteFrom('system_mail').execute();
    await Promise.all((await Promise.all(Array.from({ length: 20 }, (_, index) => ticket(`ticket ${index}`)))).map(tellAll));
    const sent = await mails();
    for (const userId of crowd) expect(sent.filter((one) => one.user_id === userId)).toHaveLength(20);
    expect(new Set(sent.map((one) => one.notification_id)).size).toBe(sent.length);
  } finally {
    await counted.destroy();
  }
});

it('without a system sender it is listed as unsent with the reason, and everything else is as ever [CH-12]', async () => {
  await db.deleteFrom('system_sender').execute();
  const owner = await makeUser(db);
  const { ticketId } = await ticket();
  const committed = await transact(db, { actor: 'SYSTEM' }, (unit) => assign(unit, { ticketId }, { userId: owner }));
  expect(await mails()).toMatchObject([{ state: 'UNSENT', reason: 'there is no system sender', settled_at: expect.any(Date) }]);
  expect(await told()).toHaveLength(1);
  expect(committed.wakes.map((one) => one.kind)).not.toContain('system-mail');
});

it('admins are told of a channel’s health once a change, however many find it at once [CH-4]', async () => {
  const admins = [await makeUser(db, { role: 'ADMIN' }), await makeUser(db, { role: 'SUPER_ADMIN' })];
  const agent = await makeUser(db);
  const channel = await makeChannel(db);
  const lose = () => run((unit) => setHealth(unit, channel.id, 'DISCONNECTED', 'smtp 535'));
  await Promise.all(Array.from({ length: 20 }, lose));
  const first = await told();
  expect(first.map((one) => one.user_id).toSorted()).toEqual(admins.toSorted());
  expect(first.every((one) => one.kind === 'CHANNEL_HEALTH' && one.channel_id === channel.id)).toBe(true);
  expect(first.map((one) => one.user_id)).not.toContain(agent);
  expect((await mails()).map((one) => one.subject)).toEqual(admins.map(() => `The channel Plain channel (${channel.key}) has lost its provider`));
  await Promise.all(Array.from({ length: 20 }, () => run((unit) => setHealth(unit, channel.id, 'CONNECTED', null))));
  expect(await told()).toHaveLength(2 * admins.length);
});
