import { afterAll, beforeAll, expect, it } from 'vitest';
import { definePlugin } from '@trunkline/channel-sdk';
import { onAgentReply, onContactReply } from '#commands/automation.ts';
import { connectChannel, disconnectChannel, setChannelEnabled, updateChannel, type UpdateInput } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { createPipeline } from '#commands/pipelines.ts';
import { InvalidInput } from '#commands/refusals.ts';
import { close, createTicket, reopen, setTicketStatus } from '#commands/tickets.ts';
import { transact, type ActorRef, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';

const silent = definePlugin({
  key: 'silent',
  name: 'Silent',
  contract: 1,
  settings: plainPlugin.settings,
  secrets: [],
  capabilities: { ...plainCapabilities, outbound: 'none' },
  address: () => 'silent',
  parse: plainPlugin.parse,
});
const deps = { plugins: [plainPlugin, silent], keys: testKeys };

let database: TestDatabase;
let db: Db;
let user: ActorRef;
/** The statuses of the first pipeline by name, and of another. */
let status: Readonly<Record<'New' | 'Waiting on us' | 'Waiting on contact' | 'Closed' | 'Elsewhere', string>>;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  user = { actor: 'USER', userId: await makeUser(db) };
  await run((unit) =>
    createPipeline(unit, {
      name: 'Other',
      statuses: [
        { name: 'Elsewhere', category: 'OPEN' },
        { name: 'Over', category: 'CLOSED' },
      ],
    }),
  );
  const rows = await db.selectFrom('ticket_status').select(['id', 'name']).execute();
  status = Object.fromEntries(rows.map(({ id, name }) => [name, id])) as typeof status;
});
afterAll(() => database.drop());

async function run<T>(work: (unit: Unit) => Promise<T>, actor: ActorRef = { actor: 'SYSTEM' }): Promise<T> {
  return (await transact(db, actor, work)).value;
}
const set = (channel: MadeChannel, automation: UpdateInput['automation']) =>
  run((unit) => updateChannel(unit, deps, { channelId: channel.id, ...(automation === undefined ? {} : { automation }) }));

/** A conversation somebody began, with its ticket. */
async function begin(channel: MadeChannel, from = 'ben@out.example') {
  const message = inbound(from);
  await take(db, channel, [message]);
  const row = await db
    .selectFrom('message')
    .innerJoin('conversation', 'conversation.id', 'message.conversation_id')
    .select(['conversation.id', 'conversation.ticket_id'])
    .where('provider_message_id', '=', message.providerMessageId)
    .executeTakeFirstOrThrow();
  return { conversationId: row.id, ticketId: row.ticket_id ?? '', key: message.providerMessageId, from };
}
const statusOf = async (ticketId: string) =>
  (
    await db
      .selectFrom('ticket')
      .innerJoin('ticket_status', 'ticket_status.id', 'ticket.status_id')
      .select('ticket_status.name')
      .where('ticket.id', '=', ticketId)
      .executeTakeFirstOrThrow()
  ).name;
const changes = (ticketId: string) => db.selectFrom('event').selectAll().where('ticket_id', '=', ticketId).where('kind', '=', 'STATUS_CHANGED').execute();
const outbound = (conversationId: string) =>
  db
    .selectFrom('outbound')
    .innerJoin('message', 'message.id', 'outbound.message_id')
    .select(['message.text', 'message.automatic', 'message.author_user_id', 'outbound.kind', 'outbound.sender', 'outbound.state', 'outbound.recipient'])
    .where('outbound.conversation_id', '=', conversationId)
    .orderBy('outbound.arrival')
    .execute();

it('a reply of the contact and one of an agent give the ticket the statuses the channel names [CH-8] [MODEL-7]', async () => {
  const channel = await makeChannel(db);
  await set(channel, { onContactReplyStatusId: status['Waiting on us'], onAgentReplyStatusId: status['Waiting on contact'] });
  const { conversationId, ticketId } = await begin(channel);
  expect(await statusOf(ticketId)).toBe('New');
  const answered = await transact(db, user, (unit) => reply(unit, deps.plugins, { conversationId, text: 'an answer' }));
  expect(await statusOf(ticketId)).toBe('Waiting on contact');
  expect(answered.wakes).toContainEqual(expect.objectContaining({ kind: 'ticket' }));
  await run((unit) => onContactReply(unit, [conversationId]));
  expect(await statusOf(ticketId)).toBe('Waiting on us');
  const events = await changes(ticketId);
  expect(events.map(({ actor, why, data }) => ({ actor, why, data }))).toEqual([
    { actor: 'SYSTEM', why: 'AUTOMATION', data: { from: status.New, to: status['Waiting on contact'], category: 'OPEN' } },
    { actor: 'SYSTEM', why: 'AUTOMATION', data: { from: status['Waiting on contact'], to: status['Waiting on us'], category: 'OPEN' } },
  ]);
});

it('many conversations in one go, each once, however often they are named [CH-8]', async () => {
  const channel = await makeChannel(db);
  await set(channel, { onContactReplyStatusId: status['Waiting on us'] });
  const begun: Awaited<ReturnType<typeof begin>>[] = [];
  for (let index = 0; index < 20; index += 1) begun.push(await begin(channel, `many-${index}@out.example`));
  const ids = begun.map((one) => one.conversationId);
  await Promise.all(Array.from({ length: 8 }, () => run((unit) => onContactReply(unit, ids))));
  for (const { ticketId } of begun) {
    expect(await statusOf(ticketId)).toBe('Waiting on us');
    expect(await changes(ticketId)).toHaveLength(1);
  }
});

it('leaves closed tickets and tickets of another pipeline as they are; the current channel counts [CH-8] [MODEL-5]', async () => {
  const [first, second] = [await makeChannel(db), await makeChannel(db)];
  await set(first, { onContactReplyStatusId: status['Waiting on us'], onAgentReplyStatusId: status['Waiting on us'] });
  await set(second, { onContactReplyStatusId: status['Waiting on contact'] });
  const closed = await begin(first);
  await run((unit) => close(unit, { ticketId: closed.ticketId }), user);
  const elsewhere = await begin(first);
  await run((unit) => setTicketStatus(unit, { ticketId: elsewhere.ticketId, statusId: status.Elsewhere }), user);
  const moved = await begin(first);
  await db.updateTable('conversation').set({ channel_id: second.id }).where('id', '=', moved.conversationId).execute();
  await run(async (unit) => {
    await onContactReply(unit, [closed.conversationId, elsewhere.conversationId, moved.conversationId]);
    await onAgentReply(unit, closed);
  });
  expect([await statusOf(closed.ticketId), await statusOf(elsewhere.ticketId), await statusOf(moved.ticketId)]).toEqual([
    'Closed',
    'Elsewhere',
    'Waiting on contact',
  ]);
});

it('a contact who reopens gives the ticket the status the channel names, a person the first open one [MODEL-13]', async () => {
  const channel = await makeChannel(db);
  await set(channel, { onContactReplyStatusId: status['Waiting on us'] });
  const { conversationId, ticketId, key, from } = await begin(channel);
  await run((unit) => close(unit, { conversationId }), user);
  await take(db, channel, [inbound(from, { joins: [key] })]);
  expect(await statusOf(ticketId)).toBe('Waiting on us');
  // In one step: it never was anything else in between.
  expect((await changes(ticketId)).slice(1).map(({ why, data }) => [why, data['from'], data['to']])).toEqual([
    ['CONTACT_WROTE', status.Closed, status['Waiting on us']],
  ]);
  await run((unit) => close(unit, { conversationId }), user);
  await run((unit) => reopen(unit, { conversationId }), user);
  expect(await statusOf(ticketId)).toBe('New');
  await run((unit) => setTicketStatus(unit, { ticketId, statusId: status.Elsewhere }), user);
  await run((unit) => close(unit, { conversationId }), user);
  await take(db, channel, [inbound(from, { joins: [key] })]);
  expect(await statusOf(ticketId)).toBe('Elsewhere');
});

it('names every wrong field of the automation in one answer, at connecting and editing [CH-8] [CH-3]', async () => {
  const channel = await makeChannel(db);
  const refused = async (automation: UpdateInput['automation']) => {
    const error = await set(channel, automation).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(InvalidInput);
    return (error as InvalidInput).problems;
  };
  expect(await refused({ onContactReplyStatusId: status.Closed, onAgentReplyStatusId: status.Elsewhere, onCloseMessage: ' ' })).toEqual([
    { path: 'automation.onContactReplyStatusId', message: expect.stringContaining('closed status') },
    { path: 'automation.onAgentReplyStatusId', message: expect.stringContaining('another pipeline') },
    { path: 'automation.onCloseMessage', message: expect.stringContaining('empty') },
  ]);
  expect(await refused({ onAgentReplyStatusId: 'nonsense', onCloseMessage: 'x'.repeat(5_001) })).toEqual([
    { path: 'automation.onAgentReplyStatusId', message: 'there is no such status' },
    { path: 'automation.onCloseMessage', message: 'is 5001 characters long, this channel takes 5000' },
  ]);
  const input = {
    plugin: 'silent',
    name: '',
    placeId: channel.placeId,
    settings: {},
    automation: { onCloseMessage: 'Bye', onAgentReplyStatusId: status.Closed },
  };
  const connecting = await run((unit) => connectChannel(unit, deps, input)).catch((one: unknown) => one);
  expect((connecting as InvalidInput).problems.map(({ path }) => path)).toEqual([
    'name',
    'settings.address',
    'automation.onAgentReplyStatusId',
    'automation.onCloseMessage',
  ]);
});

it('another pipeline for new tickets is refused while the automation names statuses of the old one, and taken with null or its own [CH-8]', async () => {
  const channel = await makeChannel(db);
  await set(channel, { onContactReplyStatusId: status['Waiting on us'], onAgentReplyStatusId: status['Waiting on contact'], onCloseMessage: 'Bye' });
  const change = (automation?: UpdateInput['automation']) =>
    run((unit) =>
      updateChannel(unit, deps, {
        channelId: channel.id,
        ticketDefaults: { statusId: status.Elsewhere },
        ...(automation === undefined ? {} : { automation }),
      }),
    );
  await expect(change()).rejects.toMatchObject({
    problems: [{ path: 'automation.onContactReplyStatusId' }, { path: 'automation.onAgentReplyStatusId' }],
  });
  await change({ onContactReplyStatusId: status.Elsewhere, onAgentReplyStatusId: null });
  expect(
    await db
      .selectFrom('channel')
      .select(['on_contact_reply_status_id', 'on_agent_reply_status_id', 'on_close_message'])
      .where('id', '=', channel.id)
      .executeTakeFirstOrThrow(),
  ).toEqual({ on_contact_reply_status_id: status.Elsewhere, on_agent_reply_status_id: null, on_close_message: 'Bye' });
});

it('an edit of the automation and one of the pipeline at once never leave a status of another pipeline [CH-8]', async () => {
  for (let round = 0; round < 10; round += 1) {
    const channel = await makeChannel(db);
    await Promise.allSettled([
      run((unit) => updateChannel(unit, deps, { channelId: channel.id, ticketDefaults: { statusId: status.Elsewhere } })),
      set(channel, { onContactReplyStatusId: status['Waiting on us'] }),
    ]);
    const row = await db
      .selectFrom('channel')
      .leftJoin('ticket_status', 'ticket_status.id', 'on_contact_reply_status_id')
      .select(['default_pipeline_id', 'ticket_status.pipeline_id'])
      .where('channel.id', '=', channel.id)
      .executeTakeFirstOrThrow();
    expect([null, row.default_pipeline_id]).toContain(row.pipeline_id);
  }
});

it('closing 50 times at once sends the message on closing once, as an automation [CH-8]', async () => {
  const channel = await makeChannel(db);
  await set(channel, { onCloseMessage: '  Thank you, good bye  ' });
  const { conversationId, ticketId, from } = await begin(channel);
  const committed = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      transact(db, user, async (unit) => {
        if (index % 3 === 0) await setTicketStatus(unit, { ticketId, statusId: status.Closed });
        else await close(unit, index % 2 === 0 ? { ticketId } : { conversationId });
      }),
    ),
  );
  expect(await outbound(conversationId)).toEqual([
    {
      text: 'Thank you, good bye',
      automatic: true,
      author_user_id: null,
      kind: 'REPLY',
      sender: 'AUTOMATION',
      state: 'QUEUED',
      recipient: { kind: 'email-address', value: from },
    },
  ]);
  expect(committed.flatMap(({ wakes }) => wakes).filter((one) => one.kind === 'outbox')).toEqual([
    { kind: 'outbox', conversationId, channelKey: channel.key, plugin: 'plain' },
  ]);
  // Closed anew after a reopening, it is said anew.
  await run((unit) => reopen(unit, { ticketId }), user);
  await run((unit) => close(unit, { ticketId }), user);
  expect(await outbound(conversationId)).toHaveLength(2);
});

it('an inbox conversation without a ticket gets it too [CH-8]', async () => {
  const channel = await makeChannel(db, { place: 'INBOX' });
  await set(channel, { onCloseMessage: 'Bye' });
  const { conversationId } = await begin(channel);
  await run((unit) => close(unit, { conversationId }), user);
  expect(await outbound(conversationId)).toHaveLength(1);
});

it('says nothing on closing where the channel is off or disconnected, nobody can be told, or no person closed [CH-8] [CH-9]', async () => {
  const channel = await makeChannel(db);
  await set(channel, { onCloseMessage: 'Bye' });
  const [off, gone, machine, nobody] = [await begin(channel), await begin(channel), await begin(channel), await begin(channel)];
  await run((unit) => close(unit, { ticketId: machine.ticketId }));
  await db.updateTable('conversation').set({ contact_id: null }).where('id', '=', nobody.conversationId).execute();
  await run((unit) => close(unit, { ticketId: nobody.ticketId }), user);
  const alone = await run((unit) => createTicket(unit, { name: 'Alone', source: 'API' }), user);
  await run((unit) => close(unit, { ticketId: alone.ticketId }), user);
  await run((unit) => setChannelEnabled(unit, { channelId: channel.id, enabled: false }));
  await run((unit) => close(unit, { ticketId: off.ticketId }), user);
  await run((unit) => setChannelEnabled(unit, { channelId: channel.id, enabled: true }));
  await run((unit) => disconnectChannel(unit, { channelId: channel.id }));
  await run((unit) => close(unit, { ticketId: gone.ticketId }), user);
  for (const one of [off, gone, machine, nobody]) expect(await outbound(one.conversationId)).toEqual([]);
});

it('closing and disconnecting at once leave nothing queued on the disconnected channel [CH-8] [CH-10]', async () => {
  for (let round = 0; round < 10; round += 1) {
    const channel = await makeChannel(db);
    await set(channel, { onCloseMessage: 'Bye' });
    const { conversationId } = await begin(channel);
    const work = [() => run((unit) => close(unit, { conversationId }), user), () => run((unit) => disconnectChannel(unit, { channelId: channel.id }))];
    await Promise.all((round % 2 === 0 ? work : work.toReversed()).map((begin) => begin()));
    expect((await outbound(conversationId)).map((one) => one.state)).not.toContain('QUEUED');
  }
});
