import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { advanceRun, readRun } from '#commands/chatflow-runs.ts';
import { setChannelEnabled } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { eraseContact } from '#commands/erasing.ts';
import { findStuck } from '#commands/guardian.ts';
import { applyDeliveries } from '#commands/intake.ts';
import { claimNext } from '#commands/outbox.ts';
import { assign } from '#commands/owners.ts';
import { decide } from '#commands/routing.ts';
import { close } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { BOT, conversationOf, flowCapabilities, flowPlugin, makeFlow, makeFlowChannel, said, settleRun } from '../support/chatflow.ts';
import { deliver, inbound, makeUser, take, testKeys, type MadeChannel } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
let agent: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  agent = await makeUser(db);
});
afterAll(() => database.drop());

let visitors = 0;
/** A visitor of their own, who writes to a channel. */
function visitor(channel: MadeChannel) {
  visitors += 1;
  const name = `v${visitors}`;
  const says = async (text: string, more = {}) => {
    const parsed = await deliver(db, channel, [said(name, text, more)]);
    for (;;) {
      const taken = await applyDeliveries(db, { keys: testKeys, capabilities: flowCapabilities }, channel.id, [parsed]);
      if (!taken.value.busy) return taken;
    }
  };
  return { name, says, conversation: () => conversationOf(db, channel, name) };
}

/** A visitor whose bot waits for their name. */
async function asked(channel: MadeChannel) {
  const one = visitor(channel);
  await one.says('Hi');
  const id = await one.conversation();
  await settleRun(db, id);
  return { ...one, id };
}

const run = (id: string) => db.selectFrom('chatflow_run').selectAll().where('conversation_id', '=', id).executeTakeFirst();
const state = async (id: string) => (await run(id))?.state;
const written = async (id: string) =>
  (await db.selectFrom('message').select('text').where('conversation_id', '=', id).where('direction', '=', 'OUTBOUND').orderBy('arrival').execute()).map(
    ({ text }) => text,
  );
const conversation = (id: string) => db.selectFrom('conversation').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const ticketOf = (id: string) => db.selectFrom('ticket').selectAll().where('conversation_id', '=', id).executeTakeFirst();
const whys = async (id: string, kind: string) =>
  (await db.selectFrom('event').select('why').where('conversation_id', '=', id).where('kind', '=', kind).orderBy('id').execute()).map(({ why }) => why);

describe('a chatflow begins', () => {
  it('with the first message, in its transaction, and keeps routing back until it hands off [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const one = visitor(channel);
    const { wakes } = await one.says('Hi');
    const id = await one.conversation();
    expect(await run(id)).toMatchObject({ state: 'RUNNING', step: 'hello', chatflow_id: channel.flowId });
    expect((await ticketOf(id))?.route_pending_since).toBeNull();
    expect(wakes).toContainEqual({ kind: 'chatflow', conversationId: id, channelKey: channel.key, plugin: 'flows' });
    expect(await settleRun(db, id)).toEqual(['say', 'ask']);
    expect(await written(id)).toEqual(['Hello', 'Who are you?']);
    expect(await whys(id, 'CHATFLOW_STARTED')).toEqual(['FIRST_MESSAGE']);
  });

  it('of fifty conversations that come in one batch, each once however often it is delivered [CHAT-5] [MODEL-4]', async () => {
    const channel = await makeFlowChannel(db);
    const events = Array.from({ length: 50 }, (_, at) => said(`batch-${at}`, 'Hi'));
    await take(db, channel, events, flowCapabilities);
    await take(db, channel, events, flowCapabilities);
    const runs = await db.selectFrom('chatflow_run').select('conversation_id').where('chatflow_id', '=', channel.flowId).execute();
    expect(runs).toHaveLength(50);
    expect(await whys(runs[7]?.conversation_id ?? '', 'CHATFLOW_STARTED')).toEqual(['FIRST_MESSAGE']);
  });

  it('chosen by the entry point, else the primary one; a disabled one is passed over [FB-2]', async () => {
    const channel = await makeFlowChannel(db, { instantReply: 'primary' });
    const other = await makeFlow(db, channel.id, BOT, 'spring-sale');
    const chosen = async (entryPoint?: string) => {
      const one = visitor(channel);
      await one.says('Hi', entryPoint === undefined ? {} : { entryPoint });
      return (await run(await one.conversation()))?.chatflow_id;
    };
    expect(await chosen('spring-sale')).toBe(other);
    expect(await chosen('unknown')).toBe(channel.flowId);
    expect(await chosen()).toBe(channel.flowId);
    await db.updateTable('chatflow').set({ enabled: false }).where('id', '=', other).execute();
    expect(await chosen('spring-sale')).toBe(channel.flowId);
    await db.updateTable('chatflow').set({ enabled: false }).where('id', '=', channel.flowId).execute();
    expect(await chosen()).toBeUndefined();
  });

  it('not on a channel that is off, and one that goes on there does nothing more [CH-9]', async () => {
    const channel = await makeFlowChannel(db);
    const going = await asked(channel);
    await transact(db, { actor: 'SYSTEM' }, (unit) => setChannelEnabled(unit, { channelId: channel.id, enabled: false }));
    const one = visitor(channel);
    await one.says('Hi');
    expect(await run(await one.conversation())).toBeUndefined();
    await going.says('Ada');
    expect(await settleRun(db, going.id)).toEqual(['stop']);
    expect(await written(going.id)).toEqual(['Hello', 'Who are you?']);
    expect(await state(going.id)).toBe('ABANDONED');
    expect((await ticketOf(going.id))?.route_pending_since).toBeNull();
  });

  it('not with what a machine wrote', async () => {
    const channel = await makeFlowChannel(db);
    await take(db, channel, [{ ...said('robot', 'away'), direction: 'echo' }], flowCapabilities);
    expect(await run(await conversationOf(db, channel, 'robot'))).toBeUndefined();
  });

  it('live: the instant reply is said once, while routing goes on as usual [FB-2]', async () => {
    const channel = await makeFlowChannel(db, { instantReply: 'We are here' });
    const one = visitor(channel);
    await one.says('Hi');
    const id = await one.conversation();
    expect((await ticketOf(id))?.route_pending_since).not.toBeNull();
    await decide(db, { conversationId: id }, Math.random);
    expect(await settleRun(db, id)).toEqual(['say']);
    await one.says('still there?');
    expect(await settleRun(db, id)).toEqual([]);
    expect(await written(id)).toEqual(['We are here']);
    const [message] = await db
      .selectFrom('message')
      .select(['quick_replies', 'automatic'])
      .where('conversation_id', '=', id)
      .where('direction', '=', 'OUTBOUND')
      .execute();
    expect(message).toEqual({ quick_replies: null, automatic: true });
  });

  it('live and with nothing to say: not at all', async () => {
    const channel = await makeFlowChannel(db, {});
    const one = visitor(channel);
    await one.says('Hi');
    expect(await run(await one.conversation())).toBeUndefined();
  });
});

describe('a bot', () => {
  it('keeps answers as properties, and hands off by the rule of its own [CHAT-5]', async () => {
    const rule = await db.insertInto('routing_rule').values({ kind: 'NOBODY' }).returning('id').executeTakeFirstOrThrow();
    const channel = await makeFlowChannel(db, { ...BOT, ruleIds: { people: rule.id } });
    const one = await asked(channel);
    await one.says('Ada Lovelace');
    expect(await settleRun(db, one.id)).toEqual(['answer', 'ask']);
    await one.says('Ada@Out.example');
    expect(await settleRun(db, one.id)).toEqual(['answer', 'hand-off']);
    const { contact_id: contactId, routing_rule_id: ruleId } = await conversation(one.id);
    expect(await db.selectFrom('contact').select('name').where('id', '=', contactId).executeTakeFirst()).toEqual({ name: 'Ada Lovelace' });
    expect(
      await db
        .selectFrom('participant')
        .select(sql<boolean>`given_at is not null`.as('given'))
        .where('conversation_id', '=', one.id)
        .where('kind', '=', 'email-address')
        .where('value', '=', 'ada@out.example')
        .execute(),
    ).toEqual([{ given: true }]);
    expect(ruleId).toBe(rule.id);
    expect((await ticketOf(one.id))?.route_pending_since).not.toBeNull();
    expect(await run(one.id)).toMatchObject({ state: 'HANDED_OFF', answers: { name: 'Ada Lovelace', email: 'ada@out.example' } });
    expect(await whys(one.id, 'CHATFLOW_ENDED')).toEqual(['HANDED_OFF']);
  });

  it('leaves an address that somebody else has with them [CHAT-3]', async () => {
    const channel = await makeFlowChannel(db);
    await take(db, channel, [inbound('taken@out.example')], flowCapabilities);
    const one = await asked(channel);
    await one.says('Eve');
    await settleRun(db, one.id);
    await one.says('taken@out.example');
    await settleRun(db, one.id);
    const { contact_id: contactId } = await conversation(one.id);
    const row = await db.selectFrom('contact_identity').select('contact_id').where('value', '=', 'taken@out.example').executeTakeFirstOrThrow();
    expect(row.contact_id).not.toBe(contactId);
    expect(await state(one.id)).toBe('HANDED_OFF');
  });

  it('is no person: it takes no ownership, and its message offers its choices and a person [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const one = await asked(channel);
    expect((await ticketOf(one.id))?.owner_id).toBeNull();
    const claim = await claimNext(db, one.id, () => undefined);
    expect(claim.value).toMatchObject({
      kind: 'send',
      claimed: { message: { text: 'Hello', sender: 'automation', author: null, quickReplies: [{ label: 'Talk to a person', choice: 'talk-to-a-person' }] } },
    });
  });

  it('does not take what came before its question for the answer', async () => {
    const channel = await makeFlowChannel(db);
    const one = visitor(channel);
    await one.says('Hi');
    await one.says('I have a question');
    const id = await one.conversation();
    expect(await settleRun(db, id)).toEqual(['say', 'ask']);
    await one.says('Ada');
    await settleRun(db, id);
    expect((await run(id))?.answers).toEqual({ name: 'Ada' });
  });

  it('takes none of a hundred and fifty messages from before its question for the answer [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const one = visitor(channel);
    const parsed = await deliver(
      db,
      channel,
      Array.from({ length: 150 }, (_, index) => said(one.name, `m${index}`)),
    );
    await applyDeliveries(db, { keys: testKeys, capabilities: flowCapabilities }, channel.id, [parsed]);
    const id = await one.conversation();
    expect(await settleRun(db, id)).toEqual(['say', 'ask']);
    expect((await run(id))?.answers).toEqual({});
    await one.says('Ada');
    await settleRun(db, id);
    expect((await run(id))?.answers).toEqual({ name: 'Ada' });
  });

  it('does not take a button of an earlier message for the answer to its question [CHAT-5]', async () => {
    const menu = {
      id: 'menu',
      type: 'say',
      text: 'Which?',
      quickReplies: [
        { label: 'Sales', next: 'name' },
        { label: 'Support', next: 'name' },
      ],
      next: 'name',
    };
    const channel = await makeFlowChannel(db, { start: 'menu', steps: [menu, ...BOT.steps.slice(1)] });
    const one = visitor(channel);
    await one.says('Hi');
    const id = await one.conversation();
    await settleRun(db, id);
    await one.says('Sales', { choice: 'menu/0' });
    await settleRun(db, id);
    await one.says('Support', { choice: 'menu/1' });
    expect(await settleRun(db, id)).toEqual(['answer']);
    expect(await run(id)).toMatchObject({ state: 'WAITING', step: 'name', answers: {} });
    await one.says('Ada');
    await settleRun(db, id);
    expect((await run(id))?.answers).toMatchObject({ name: 'Ada' });
  });

  it('leads to a person after a hundred messages, for another machine would talk with it for ever [CHAT-5]', async () => {
    const ping = { id: 'ping', type: 'say', text: 'Ping', quickReplies: [{ label: 'Pong', next: 'ping' }], next: 'ping' };
    const channel = await makeFlowChannel(db, { start: 'ping', steps: [ping, { id: 'people', type: 'hand-off', rule: { kind: 'NOBODY' } }] });
    const one = visitor(channel);
    await one.says('Hi');
    const id = await one.conversation();
    await settleRun(db, id);
    await sql`
      with more as (
        insert into message (conversation_id, channel_id, direction, automatic, text, occurred_at, received_at)
        select conversation_id, channel_id, direction, true, text, occurred_at, received_at from message, generate_series(1, 98)
        where conversation_id = ${id} and direction = 'OUTBOUND' returning id, arrival)
      insert into outbound (message_id, conversation_id, channel_id, arrival, kind, sender, recipient)
      select more.id, o.conversation_id, o.channel_id, more.arrival, o.kind, o.sender, o.recipient from more, outbound o where o.conversation_id = ${id}`.execute(
      db,
    );
    await one.says('Pong');
    expect(await settleRun(db, id)).toEqual(['answer', 'say']);
    await one.says('Pong');
    expect(await settleRun(db, id)).toEqual(['answer', 'person', 'hand-off']);
    expect(await state(id)).toBe('HANDED_OFF');
    expect((await written(id)).length).toBe(100);
  });

  it('leads to a person at once, even before its first word; without a hand-off it is left unassigned [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const one = visitor(channel);
    await one.says('x', { choice: 'talk-to-a-person' });
    expect(await settleRun(db, await one.conversation())).toEqual(['person', 'hand-off']);
    const without = await makeFlowChannel(db, { ...BOT, steps: [BOT.steps[0], { ...BOT.steps[1], next: 'end' }, { id: 'end', type: 'end', text: 'Bye' }] });
    const two = await asked(without);
    await two.says('talk to a person');
    expect(await settleRun(db, two.id)).toEqual(['person']);
    expect(await state(two.id)).toBe('HANDED_OFF');
    expect((await ticketOf(two.id))?.route_pending_since).toBeNull();
    // Also once it has come to its end.
    const three = await asked(without);
    await three.says('Ada');
    await settleRun(db, three.id);
    expect(await state(three.id)).toBe('ENDED');
    await three.says('thanks');
    expect(await settleRun(db, three.id)).toEqual([]);
    // In other case and with other spaces, as labels are compared everywhere.
    await three.says('Talk  to a PERSON ');
    expect(await settleRun(db, three.id)).toEqual(['person']);
    expect(await state(three.id)).toBe('HANDED_OFF');
  });

  it('makes the ticket of an inbox conversation and sets on it what was asked before [CHAT-5]', async () => {
    const steps = [
      { id: 'topic', type: 'ask', text: 'Topic?', of: 'ticket', property: 'properties.topic', answer: { type: 'text' }, next: 'ticket' },
      { id: 'ticket', type: 'create-ticket', next: 'urgent' },
      {
        id: 'urgent',
        type: 'ask',
        text: 'Urgent?',
        of: 'ticket',
        property: 'priority',
        answer: { type: 'choice', choices: [{ label: 'Yes', value: 'URGENT' }] },
        next: 'people',
      },
      { id: 'people', type: 'hand-off', rule: { kind: 'NOBODY' } },
    ];
    const channel = await makeFlowChannel(db, { start: 'topic', steps }, { place: 'INBOX' });
    const one = await asked(channel);
    await one.says('Bills "and" \\ more');
    expect(await settleRun(db, one.id)).toEqual(['answer', 'create-ticket', 'ask']);
    await one.says('yes');
    await settleRun(db, one.id);
    const ticket = await ticketOf(one.id);
    expect(ticket).toMatchObject({ priority: 'URGENT', properties: { topic: 'Bills "and" \\ more' } });
    expect(ticket?.route_pending_since).not.toBeNull();
    expect(await whys(one.id, 'TICKET_CREATED')).toEqual(['CHATFLOW']);
  });

  it('closes the conversation at an end that says so', async () => {
    const channel = await makeFlowChannel(db, { start: 'bye', steps: [{ id: 'bye', type: 'end', text: 'Bye', close: true }] });
    const one = visitor(channel);
    await one.says('Hi');
    const id = await one.conversation();
    await settleRun(db, id);
    expect((await conversation(id)).status).toBe('CLOSED');
    expect(await whys(id, 'CHATFLOW_ENDED')).toEqual(['ENDED']);
  });

  it('gives a question up by the database’s clock, and people go on by the channel’s rule [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const one = await asked(channel);
    const waiting = await run(one.id);
    expect(waiting?.wait_until?.getTime()).toBeCloseTo((waiting?.changed_at.getTime() ?? 0) + 86_400_000, -3);
    await sql`update chatflow_run set wait_until = now() - interval '1 s' where conversation_id = ${one.id}`.execute(db);
    expect(await settleRun(db, one.id)).toEqual(['give-up']);
    expect(await state(one.id)).toBe('ABANDONED');
    expect((await conversation(one.id)).status).toBe('OPEN');
    expect((await ticketOf(one.id))?.route_pending_since).not.toBeNull();
  });

  it('begins anew where a conversation that it had ended is reopened, and stays with people where it had handed off [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const given = await asked(channel);
    await sql`update chatflow_run set wait_until = now() where conversation_id = ${given.id}`.execute(db);
    await settleRun(db, given.id);
    await sql`update ticket set route_pending_since = null where conversation_id = ${given.id}`.execute(db);
    const handed = await asked(channel);
    await handed.says('x', { choice: 'talk-to-a-person' });
    await settleRun(db, handed.id);
    for (const id of [given.id, handed.id]) await transact(db, { actor: 'SYSTEM' }, (unit) => close(unit, { conversationId: id }));
    await given.says('Hi again');
    await handed.says('Hi again');
    expect(await settleRun(db, given.id)).toEqual(['say', 'ask']);
    expect(await whys(given.id, 'CHATFLOW_STARTED')).toEqual(['FIRST_MESSAGE', 'REOPENED']);
    expect(await settleRun(db, handed.id)).toEqual([]);
    expect(await state(handed.id)).toBe('HANDED_OFF');
  });

  it('is over once a person replies, takes it, answers elsewhere, or closes it [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const [replied, taken, elsewhere, closed] = [await asked(channel), await asked(channel), await asked(channel), await asked(channel)];
    const by = { actor: 'USER', userId: agent } as const;
    const { wakes } = await transact(db, by, (unit) => reply(unit, [flowPlugin], { conversationId: replied.id, text: 'I am here' }));
    expect(wakes.map(({ kind }) => kind)).toContain('chatflow');
    await transact(db, by, (unit) => assign(unit, { conversationId: taken.id }, { userId: agent }));
    await elsewhere.says('from the phone', { direction: 'echo' });
    await transact(db, by, (unit) => close(unit, { conversationId: closed.id }));
    expect([await state(replied.id), await state(taken.id), await state(elsewhere.id), await state(closed.id)]).toEqual([
      'TAKEN_OVER',
      'TAKEN_OVER',
      'TAKEN_OVER',
      'ENDED',
    ]);
    expect((await ticketOf(replied.id))?.owner_id).toBe(agent);
    await replied.says('Ada');
    expect(await settleRun(db, replied.id)).toEqual([]);
    expect(await whys(closed.id, 'CHATFLOW_ENDED')).toEqual(['CLOSED']);
  });

  it('goes on by the definition it began with, whatever is edited meanwhile [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const one = await asked(channel);
    await db.updateTable('chatflow').set({ definition: '{}', kind: 'LIVE', enabled: false }).where('id', '=', channel.flowId).execute();
    await one.says('Ada');
    expect(await settleRun(db, one.id)).toEqual(['answer', 'ask']);
  });
});

describe('at once', () => {
  it('twenty wakes do each step once [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const one = visitor(channel);
    await one.says('Hi');
    const id = await one.conversation();
    await Promise.all(Array.from({ length: 20 }, () => settleRun(db, id)));
    expect(await written(id)).toEqual(['Hello', 'Who are you?']);
    await one.says('Ada');
    const done = await Promise.all(Array.from({ length: 20 }, () => settleRun(db, id)));
    expect(done.flat().toSorted()).toEqual(['answer', 'ask']);
  });

  it('fifty conversations: a message while it advances, and an agent’s reply while it runs, after which the bot says nothing [CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    const all = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const one = visitor(channel);
        await one.says('Hi');
        return { ...one, id: await one.conversation() };
      }),
    );
    await Promise.all(
      all.flatMap(({ id, says }, at) => [
        settleRun(db, id),
        says('Ada'),
        ...(at % 2 === 0
          ? [transact(db, { actor: 'USER', userId: agent }, (unit) => reply(unit, [flowPlugin], { conversationId: id, text: 'A person' }))]
          : []),
      ]),
    );
    for (const [at, { id }] of all.entries()) {
      await settleRun(db, id);
      const texts = await written(id);
      if (at % 2 === 0) {
        expect(texts.at(-1)).toBe('A person');
        expect(await state(id)).toBe('TAKEN_OVER');
      } else {
        expect(texts.slice(0, 2)).toEqual(['Hello', 'Who are you?']);
        expect(new Set(texts).size).toBe(texts.length);
        expect(await state(id)).toBe('WAITING');
      }
    }
    const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
    expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}`)).toEqual([]);
  });

  it('a step that was seen before something changed is not done', async () => {
    const channel = await makeFlowChannel(db);
    const one = await asked(channel);
    const seen = await readRun(db, one.id);
    await one.says('Ada');
    const answer = { conversationId: one.id, version: seen?.version ?? 0, due: 'answer' } as const;
    expect((await advanceRun(db, answer)).value.done).toBe(true);
    expect((await advanceRun(db, answer)).value.done).toBe(false);
    expect((await advanceRun(db, { ...answer, version: answer.version + 1 })).value.done).toBe(false);
  });
});

describe('what is kept', () => {
  it('the guardian finds what should go on and does not [OPS-10]', async () => {
    const channel = await makeFlowChannel(db);
    const fresh = visitor(channel);
    await fresh.says('Hi');
    const [running, unseen, late, fine] = [await fresh.conversation(), await asked(channel), await asked(channel), await asked(channel)];
    await unseen.says('Ada');
    const found = async () => new Set((await findStuck(db, 500)).stuck.flatMap(({ wake }) => (wake.kind === 'chatflow' ? [wake.conversationId] : [])));
    expect([...(await found())].filter((id) => [running, unseen.id, late.id, fine.id].includes(id))).toEqual([]);
    await sql`update chatflow_run set changed_at = now() - interval '11 s' where conversation_id = ${running}`.execute(db);
    await sql`update message set received_at = received_at - interval '11 s', occurred_at = occurred_at - interval '11 s' where conversation_id = ${unseen.id}`.execute(
      db,
    );
    await sql`update chatflow_run set wait_until = now() - interval '11 s' where conversation_id = ${late.id}`.execute(db);
    const stuck = await found();
    expect([running, unseen.id, late.id, fine.id].map((id) => stuck.has(id))).toEqual([true, true, true, false]);
  });

  it('of a contact that is erased: no answer [OPS-9]', async () => {
    const channel = await makeFlowChannel(db);
    const one = await asked(channel);
    await one.says('Marked Name');
    await settleRun(db, one.id);
    const { contact_id: contactId } = await conversation(one.id);
    await transact(db, { actor: 'USER', userId: agent }, (unit) => eraseContact(unit, { contactId: contactId ?? '' }));
    expect(await run(one.id)).toBeUndefined();
  });
});
