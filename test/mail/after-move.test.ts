import { createTransport } from 'nodemailer';
import email from '@trunkline/plugin-email';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createActivities } from '#activities/index.ts';
import type { Engine } from '#activities/dependencies.ts';
import { drain } from '#activities/intake.ts';
import { LIMITS } from '#activities/limits.ts';
import { createParsePool } from '#activities/parse-pool.ts';
import { sendFirst } from '#activities/outbox.ts';
import { connectChannel } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { startMigration } from '#commands/migrations.ts';
import { close } from '#commands/tickets.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import type { MigrationHistory } from '#db/schema.ts';
import { createLogger } from '#runtime/log.ts';
import { makeMapping, superAdmin, walkToTheEnd, type Mapping } from '../commands/migration-support.ts';
import { fakeTemporal, keys, testDoors, type TestDoors } from '../doors/support.ts';
import config from '../support/config.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { emailSettings, placeId } from '../support/email-channel.ts';
import { makeUser } from '../support/fixtures.ts';
import { fakeSmtp, type FakeSmtp } from '../support/smtp-fake.ts';
import { eventually } from '../support/wait.ts';
import { mailFrom, type At } from './world.ts';

const configUrl = new URL('../support/config.ts', import.meta.url).href;

let database: TestDatabase;
let db: Db;
let server: FakeSmtp;
let doors: TestDoors;
let port: number;
let engine: Engine;
let closeActivities: () => Promise<void>;
let ada: string;
let boss: string;
let mapping: Mapping;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  server = await fakeSmtp();
  doors = testDoors(db, fakeTemporal(), new Map([[email.key, 0]]));
  port = (await doors.listen())[0]?.port ?? 0;
  const set = createActivities({
    db,
    keys,
    plugins: config.plugins,
    configUrl,
    waker: { signalWithStart: () => Promise.resolve(), terminate: () => Promise.resolve(false) },
    log: createLogger({ service: 'test', level: 'fatal' }),
    now: () => Date.now(),
  });
  const { engine: own } = set;
  // Its parsing thread waits however busy this machine is: what is tested is what becomes of a mail, not how fast.
  engine = { ...own, pool: createParsePool(configUrl, keys.signingKey, { ...LIMITS, parseMs: 120_000, sanitiseMs: 60_000 }) };
  closeActivities = async () => {
    await engine.pool.close();
    await set.close();
  };
  ada = await makeUser(db, { name: 'Ada Lindqvist' });
  boss = await superAdmin(db);
  mapping = await makeMapping(db);
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await doors.close();
  await closeActivities();
  await server.close();
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

let connected = 0;
interface Desk extends At {
  readonly address: string;
}

/** An address whose channel lives in an inbox; a server of the company's own forwards its mail. */
async function inboxChannel(): Promise<Desk> {
  connected += 1;
  const address = `support${connected}@acme.example`;
  const settings = { ...emailSettings(address, server.port), inboundDomain: 'in.desk.example', trustedAuthenticator: 'mx.acme.example' };
  const input = { plugin: email.key, name: 'Support', placeId: await placeId(db, 'INBOX'), settings };
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: config.plugins, keys }, input));
  return { id: value.channelId, key: value.key, address };
}

/** Hands a mail in over SMTP and takes it in; the conversation it is in then. */
async function mailIn(at: Desk, to: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const { id, mail } = mailFrom('Ben Carter <ben@customer.example>', { To: to, ...headers });
  const transport = createTransport({ host: '127.0.0.1', port, secure: false, ignoreTLS: true });
  try {
    await transport.sendMail({ envelope: { from: 'ben@customer.example', to }, raw: mail.toString() });
  } finally {
    transport.close();
  }
  const message = await eventually(async () => {
    await drain(engine, at.key, { beat: () => undefined, stopped: () => false });
    return db.selectFrom('message').select('conversation_id').where('provider_message_id', '=', id).executeTakeFirstOrThrow();
  });
  return message.conversation_id;
}

const act = async <Value>(userId: string, work: (unit: Unit) => Promise<Value>): Promise<Value> => (await transact(db, { actor: 'USER', userId }, work)).value;

/** An answer of Ada's, as it came to the customer. */
interface Answer {
  readonly id: string;
  readonly references: string;
  readonly replyTo: string;
}

async function answer(conversationId: string): Promise<Answer> {
  await act(ada, (unit) => reply(unit, config.plugins, { conversationId, text: 'We send you a new one.' }));
  expect((await sendFirst(engine, conversationId)).outcome).toBe('SENT');
  const mime = server.mails.at(-1)?.mime ?? '';
  const header = (name: string): string => (new RegExp(`^${name}: (.*(?:\r\n[ \t].*)*)`, 'im').exec(mime)?.[1] ?? '').replaceAll(/\r\n[ \t]/g, ' ');
  return { id: header('Message-ID'), references: header('References'), replyTo: /<([^>]+)>/.exec(header('Reply-To'))?.[1] ?? header('Reply-To') };
}

/** A thread from before: the customer wrote, Ada answered. */
async function thread(at: Desk): Promise<{ readonly id: string } & { readonly answered: Answer }> {
  const id = await mailIn(at, at.address, { Subject: 'The lamp is broken' });
  expect(await rowOf(id)).toMatchObject({ place: 'INBOX', ticket_id: null });
  return { id, answered: await answer(id) };
}

async function start(at: Desk, history: MigrationHistory): Promise<string> {
  const statuses = history === 'ALL' ? { openStatusId: mapping.openStatusId, closedStatusId: mapping.closedStatusId } : {};
  const input = { channelId: at.id, history, ...statuses };
  return (await act(boss, (unit) => startMigration(unit, { plugins: config.plugins, keys }, input))).migrationId;
}

const move = async (at: Desk) => walkToTheEnd(db, await start(at, 'ALL'));
const rowOf = (id: string) =>
  db.selectFrom('conversation').select(['place', 'status', 'ticket_id', 'channel_id']).where('id', '=', id).executeTakeFirstOrThrow();
const ticketsOf = (at: Desk) => db.selectFrom('ticket').select(['id', 'conversation_id', 'closed_at']).where('source', '=', at.key).orderBy('id').execute();
const messagesOf = async (id: string) =>
  (await db.selectFrom('message').select('direction').where('conversation_id', '=', id).orderBy('arrival').execute()).map(({ direction }) => direction);

const ways: readonly (readonly [string, (at: Desk, answered: Answer) => readonly [to: string, headers: Readonly<Record<string, string>>]])[] = [
  ['In-Reply-To, to the address itself', (at, { id }) => [at.address, { 'In-Reply-To': id }]],
  ['References alone, over other mails', (at, { id, references }) => [at.address, { References: `${references} ${id} <noise@other.example>` }]],
  ['our Reply-To, with nobody to vouch for them', (_at, { replyTo }) => [replyTo, { 'Authentication-Results': '' }]],
];
it.each(ways)('who answers an old mail by %s lands on the moved ticket, and is answered in the same thread [MIG-22, MODEL-5]', async (_by, address) => {
  const at = await inboxChannel();
  const { id, answered } = await thread(at);
  await move(at);
  const { ticket_id: ticketId, ...moved } = await rowOf(id);
  expect(moved).toEqual({ place: 'HELP_DESK', status: 'OPEN', channel_id: at.id });
  expect(await ticketsOf(at)).toEqual([{ id: ticketId, conversation_id: id, closed_at: null }]);

  expect(await mailIn(at, ...address(at, answered))).toBe(id);
  expect(await rowOf(id)).toMatchObject({ place: 'HELP_DESK', ticket_id: ticketId });
  expect(await ticketsOf(at)).toHaveLength(1);
  expect(await messagesOf(id)).toEqual(['INBOUND', 'OUTBOUND', 'INBOUND']);

  const again = await answer(id);
  expect(again.references).toContain(answered.id);
  expect(await mailIn(at, at.address, { 'In-Reply-To': again.id })).toBe(id);
  expect(await ticketsOf(at)).toHaveLength(1);
  // What begins now has a ticket of its own.
  const fresh = await mailIn(at, at.address, { Subject: 'Another lamp' });
  expect(fresh).not.toBe(id);
  expect((await rowOf(fresh)).ticket_id).not.toBe(ticketId);
  expect(await ticketsOf(at)).toHaveLength(2);
});

it('a closed conversation’s ticket is opened again by the answer, not made twice [MIG-22, MODEL-6]', async () => {
  const at = await inboxChannel();
  const { id, answered } = await thread(at);
  await act(ada, (unit) => close(unit, { conversationId: id }));
  await move(at);
  const [ticket] = await ticketsOf(at);
  expect(ticket).toMatchObject({ conversation_id: id, closed_at: expect.any(Date) });
  expect(await mailIn(at, at.address, { 'In-Reply-To': answered.id })).toBe(id);
  expect(await rowOf(id)).toMatchObject({ place: 'HELP_DESK', status: 'OPEN', ticket_id: ticket?.id });
  expect(await ticketsOf(at)).toEqual([{ ...ticket, closed_at: null }]);
});

it('an answer that comes before its conversation’s turn finds the ticket which that has from then on [MIG-10, MIG-22]', async () => {
  const at = await inboxChannel();
  const { id, answered } = await thread(at);
  const migrationId = await start(at, 'ALL');
  expect(await mailIn(at, at.address, { 'In-Reply-To': answered.id })).toBe(id);
  const [ticket] = await ticketsOf(at);
  expect(await rowOf(id)).toMatchObject({ place: 'HELP_DESK', ticket_id: ticket?.id });
  await walkToTheEnd(db, migrationId);
  expect(await ticketsOf(at)).toEqual([ticket]);
  expect(await messagesOf(id)).toEqual(['INBOUND', 'OUTBOUND', 'INBOUND']);
});

it('without history it lands in the old conversation, in the inbox and without a ticket; what begins anew has one [MIG-13, MIG-22]', async () => {
  const at = await inboxChannel();
  const { id, answered } = await thread(at);
  await start(at, 'NONE');
  expect(await mailIn(at, at.address, { 'In-Reply-To': answered.id })).toBe(id);
  expect(await rowOf(id)).toMatchObject({ place: 'INBOX', ticket_id: null });
  expect(await ticketsOf(at)).toEqual([]);
  const again = await answer(id);
  expect(await mailIn(at, again.replyTo, { 'Authentication-Results': '' })).toBe(id);
  expect(await messagesOf(id)).toEqual(['INBOUND', 'OUTBOUND', 'INBOUND', 'OUTBOUND', 'INBOUND']);
  expect(await rowOf(id)).toMatchObject({ place: 'INBOX', ticket_id: null });

  const fresh = await mailIn(at, at.address, { Subject: 'Another lamp' });
  expect(await rowOf(fresh)).toMatchObject({ place: 'HELP_DESK', ticket_id: (await ticketsOf(at))[0]?.id });
  expect(await ticketsOf(at)).toHaveLength(1);
});
