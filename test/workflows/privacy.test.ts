import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { globalId } from '#api/builder.ts';
import { createDoors } from '#api/doors/index.ts';
import { createFeed } from '#api/feed.ts';
import { createGraphqlHandler } from '#api/server.ts';
import { connectChannel } from '#commands/channels.ts';
import { hashToken } from '#commands/secrets.ts';
import { transact } from '#commands/unit.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { connectEmailChannel, placeId } from '../support/email-channel.ts';
import { testDelivery } from '../support/test-plugin.ts';
import { everyString } from './every-string.ts';
import config from './privacy-config.ts';
import { openWorld, until, type Channel, type World } from './world.ts';
import { noDns } from '#runtime/dns.ts';

/** In every name, address and text that is planted. */
const MARK = 'xmarkedx';

let world: World;
let channel: Channel;
beforeAll(async () => {
  world = await openWorld({ channels: { config, configUrl: new URL('./privacy-config.ts', import.meta.url).href } });
  channel = await world.connect('HELP_DESK');
});
afterAll(() => world?.close());

/** Whatever an operator of Temporal can read: histories, what the list shows, what is pending, and what queries and details say. */
async function everythingInTemporal(): Promise<string> {
  const all: string[] = [];
  for await (const { workflowId, runId, raw } of world.client.workflow.list()) {
    all.push(everyString(raw));
    const handle = world.client.workflow.getHandle(workflowId, runId);
    const description = await handle.describe();
    all.push(everyString(await handle.fetchHistory()), everyString(description.raw));
    for (const query of ['status', 'explain', '__temporal_workflow_metadata', '__stack_trace']) {
      if (description.status.name === 'RUNNING') all.push(everyString(await handle.query(query)));
    }
  }
  return all.join('\n');
}

const found = (text: string): string[] => text.split('\n').filter((line) => /xmarkedx|SECRET-TEXT|customer\.example/i.test(line));

async function allSettled(): Promise<void> {
  await until(
    'all is settled',
    async () => {
      const { rows } = await sql<{ open: number }>`
      select (select count(*) from outbound where state in ('QUEUED', 'SENDING')) + (select count(*) from raw_delivery where state = 'WAITING') as open`.execute(
        world.db,
      );
      return rows[0]?.open === 0;
    },
    40,
  );
}

test('no name, address or text reaches a history, a failure, a summary, the visibility store or a log [OPS-4] [OPS-7] [OPS-9]', async () => {
  await sql`update channel set name = ${`${MARK} channel`} where id = ${channel.id}`.execute(world.db);
  await sql`update app_user set name = ${`${MARK} agent`}`.execute(world.db);
  // An error of PostgreSQL that quotes a customer, as a unique violation does, while an owner is decided.
  await sql`
    create function quote_customer() returns trigger language plpgsql as $$
    begin raise unique_violation using message = 'Key (email)=(xmarkedx@customer.example) already exists'; end $$`.execute(world.db);
  await sql`create trigger quote before insert on routing_decision for each row execute function quote_customer()`.execute(world.db);

  await world.deliver(channel, { do: 'message', id: `${MARK}-id`, from: `${MARK}@customer.example`, name: `${MARK} Customer`, text: `${MARK} text` });
  const ticket = await until('the ticket', () => world.db.selectFrom('ticket').select(['number', 'conversation_id', 'owner_id']).executeTakeFirst());
  const handle = world.client.workflow.getHandle(`ticket/${ticket.number}`);
  await until('the decision fails', async () => ((await handle.describe()).raw.pendingActivities ?? []).some((one) => (one.attempt ?? 0) > 1));
  const failing = await everythingInTemporal();
  await sql`drop trigger quote on routing_decision`.execute(world.db);
  await until('the decision is made', async () => (await world.db.selectFrom('ticket').select('owner_id').executeTakeFirst())?.owner_id);

  for (const kind of ['throw', 'wrong'] as const) await world.deliver(channel, { do: kind });
  const conversationId = ticket.conversation_id ?? '';
  for (const code of ['Unexpected', 'Rejected', 'MaybeSent']) await world.reply(conversationId, `${code} always ${MARK} reply`);
  await world.reply(conversationId, `${MARK} reply`);
  await allSettled();
  const settled = await everythingInTemporal();

  // What is searched is really there: else nothing would be found in nothing.
  expect(failing).toContain('Unexpected');
  expect(settled).toContain(`decides who gets ticket ${ticket.number}`);
  expect(settled).toContain(`sends the messages of conversation ${conversationId}`);
  expect(settled).toContain(world.userId);
  const logs = world.logged.join('\n');
  expect(logs).toContain('errorId');
  expect(logs).toContain('a message was tried');
  for (const text of [failing, settled, logs]) {
    expect(found(text)).toEqual([]);
  }
});

test('nor by the real doors: a mail, a webhook, a request that fails, an answer of an SMTP server [OPS-4] [OPS-7]', async () => {
  const { db, keys, log, waker } = world;
  const doors = createDoors({
    db,
    keys,
    plugins: config.plugins,
    waker,
    resolveDns: noDns,
    log: (message, fields) => log.info(fields, message),
    env: { publicUrl: 'https://desk.example', listen: { host: '127.0.0.1', ports: new Map([['email', 0]]) } },
  });
  // A greylisted recipient first, then one that is not there: in words that hold the address, as servers answer.
  let asked = 0;
  const smtp = new SMTPServer({
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    closeTimeout: 20,
    logger: false,
    onRcptTo: (to, _session, callback) => {
      asked += 1;
      callback(Object.assign(new Error(`<${to.address}>: ${MARK} is not wanted`), { responseCode: asked === 1 ? 450 : 550 }));
    },
  });
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', () => resolve()));
  const bound = smtp.server.address();
  const smtpPort = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const feed = createFeed({ db, directUrl: 'postgres://127.0.0.1:9/nothing', lookMs: 60_000, beatMs: 60_000, keep: 10 });
  try {
    // By the mail server's door.
    const mailbox = await connectEmailChannel(db, keys, { address: `${MARK}@acme.example`, smtpPort, more: { name: `${MARK} mailbox` } });
    const [listener] = await doors.listen();
    const transport = createTransport({ host: '127.0.0.1', port: listener?.port ?? 0, secure: false, ignoreTLS: true });
    const from = `"${MARK} Sender" <${MARK}.mail@customer.example>`;
    await transport.sendMail({ from, to: `${MARK}@acme.example`, subject: `${MARK} subject`, text: `${MARK} words` });
    await expect(transport.sendMail({ from, to: `${MARK}.unknown@acme.example`, text: `${MARK} words` })).rejects.toMatchObject({ responseCode: 550 });
    // While it can not be stored: PostgreSQL's own error quotes the address.
    await sql`
      create function quote_mail() returns trigger language plpgsql as $$
      begin raise unique_violation using message = 'Key (email)=(xmarkedx@customer.example) already exists'; end $$`.execute(db);
    await sql`create trigger quote_mail before insert on raw_delivery for each row execute function quote_mail()`.execute(db);
    await expect(transport.sendMail({ from, to: `${MARK}@acme.example`, text: `${MARK} words` })).rejects.toMatchObject({ responseCode: 451 });
    await sql`drop trigger quote_mail on raw_delivery`.execute(db);
    transport.close();

    // By a webhook, once as it should be, once with a wrong signature, once with what is no event.
    const appSecret = `secret-${MARK}`;
    const settings = { page: `${MARK}-page`, appSecret };
    const input = { plugin: 'testhook', name: `${MARK} hook`, placeId: await placeId(db, 'HELP_DESK'), settings };
    const { value: hook } = await transact(db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: config.plugins, keys }, input));
    const event = { type: 'message', id: `${MARK}-event`, from: `${MARK}-visitor`, name: `${MARK} Visitor`, text: `${MARK} by a hook` } as const;
    const call = (secret: string, misbehave?: 'throw') =>
      doors.app.request(`https://desk.example/hooks/testhook/${hook.key}?${MARK}=1`, {
        method: 'POST',
        ...testDelivery({ events: [event], ...(misbehave === undefined ? {} : { misbehave }) }, secret),
      });
    expect((await call(appSecret)).status).toBe(200);
    expect((await call(`wrong-${MARK}`)).status).toBeGreaterThanOrEqual(400);
    expect((await call(appSecret, 'throw')).status).toBe(200);

    const mail = await until('the mail is in', () =>
      db.selectFrom('conversation').select('id').where('channel_id', '=', mailbox.channelId).where('ticket_id', 'is not', null).executeTakeFirst(),
    );

    // By GraphQL: a refusal, and an error of PostgreSQL that quotes what was written.
    const token = `test_${randomBytes(16).toString('hex')}`;
    await db
      .insertInto('api_token')
      .values({ user_id: world.userId, name: 'test', token_hash: hashToken(token) })
      .execute();
    const graphql = createGraphqlHandler({
      db,
      keys,
      plugins: config.plugins,
      feed,
      dispatch: () => undefined,
      pluginContext: (_plugin, channel) => createPluginContext(channel, { sign: (text) => text, log: (message, fields) => log.info({ ...fields }, message) }),
      graphiql: false,
      onError: (errorId, error) => log.error({ errorId, err: error }, 'an unexpected error'),
    });
    const mutate = async (conversationId: string): Promise<string> => {
      const query = 'mutation ($input: ReplyInput!) { reply(input: $input) { __typename } }';
      const body = JSON.stringify({ query, variables: { input: { conversationId, text: `${MARK} by a request` } } });
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
      return (await graphql(new Request('http://desk.example/graphql', { method: 'POST', headers, body }))).text();
    };
    await sql`create trigger quote_mail before insert on message for each row execute function quote_mail()`.execute(db);
    expect(await mutate(globalId('Conversation', mail.id))).toContain('errors');
    await sql`drop trigger quote_mail on message`.execute(db);
    expect(await mutate(globalId('Conversation', '00000000-0000-7000-8000-000000000000'))).toContain('NotFound');

    // Out by SMTP: greylisted, and after the back-off refused for good.
    const reply = await world.reply(mail.id, `${MARK} answer`);
    await until(
      'it failed',
      async () => (await db.selectFrom('outbound').select('state').where('message_id', '=', reply).executeTakeFirst())?.state === 'FAILED',
      40,
    );
    expect(asked).toBe(2);
    await allSettled();
  } finally {
    await doors.close();
    await new Promise<void>((resolve) => smtp.close(() => resolve()));
    await feed.close();
  }

  // It was planted: both doors' messages are in the database, by name, address and text.
  const planted = await db.selectFrom('message').select('text').where('text', 'like', `%${MARK}%`).execute();
  expect(planted.map((one) => one.text.trim())).toEqual(expect.arrayContaining([`${MARK} words`, `${MARK} by a hook`, `${MARK} answer`]));
  const temporal = await everythingInTemporal();
  expect(temporal).toContain('sends the messages of conversation');
  expect(temporal).toContain('again at');
  const logs = world.logged.join('\n');
  for (const said of ['mail not stored', 'an unexpected error', 'a message was tried', 'a delivery could not be taken in']) expect(logs).toContain(said);
  // They are lines of the logger of production.
  expect(JSON.parse(world.logged[0] ?? '{}')).toMatchObject({ service: 'test', time: expect.any(String) });
  for (const text of [temporal, logs]) expect(found(text)).toEqual([]);
});
