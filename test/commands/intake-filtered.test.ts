import type { InboundMessage } from '@trunkline/channel-sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { releaseFiltered } from '#commands/filtered.ts';
import { applyDeliveries, takeDeliveries, type ParsedDelivery } from '#commands/intake.ts';
import { AlreadyExists, InvalidInput, NotFound, NotPossible } from '#commands/refusals.ts';
import { removeExpired } from '#commands/retention.ts';
import { safeParts } from '#commands/safe-html.ts';
import { addSenderRule, removeSenderRule } from '#commands/sender-rules.ts';
import { close } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { deliver, inbound, makeChannel, makeUser, plainCapabilities, take, testKeys, type MadeChannel } from '../support/fixtures.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

/** A channel whose connected address is a mail address, as its plugin would say it. */
const mail = { ...plainCapabilities, address: 'email-address' as const, joinsParticipantsOnly: true };
const deps = { keys: testKeys, capabilities: mail };
const system = { actor: 'SYSTEM' } as const;
const filteredOf = (channel: MadeChannel) =>
  db.selectFrom('filtered_message').selectAll().where('channel_id', '=', channel.id).orderBy('received_at').orderBy('id').execute();
const messagesOf = (channel: MadeChannel) => db.selectFrom('message').selectAll().where('channel_id', '=', channel.id).orderBy('arrival').execute();
const contactsOf = (address: string) => db.selectFrom('contact_identity').selectAll().where('value', '=', address).execute();
const rule = (list: 'ALLOW' | 'DENY', pattern: string) => transact(db, system, (unit) => addSenderRule(unit, { list, pattern }));
const release = (filteredId: string) => transact(db, system, (unit) => releaseFiltered(unit, { filteredId }));

/** Applies these as they are until no other transaction is in the way. */
async function apply(channel: MadeChannel, parsed: readonly ParsedDelivery[]): Promise<number> {
  for (;;) {
    const { value } = await applyDeliveries(db, deps, channel.id, parsed);
    if (!value.busy) return value.applied;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What an intake does: takes what waits, reads it (the plain plugin's deliveries are events as JSON), writes it. */
async function drain(channel: MadeChannel): Promise<number> {
  const taken = await takeDeliveries(db, channel.key, 50);
  const parsed = (taken?.deliveries ?? []).map(({ id, raw }) => {
    const events = JSON.parse(Buffer.from(raw.body).toString('utf8')) as InboundMessage[];
    return { deliveryId: id, receivedAt: raw.receivedAt, events, safe: safeParts(events) };
  });
  return parsed.length === 0 ? 0 : apply(channel, parsed);
}

describe('automatic mail that answers nothing', () => {
  it('is kept with sender, subject and text, without contact, conversation or ticket [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    const { value } = await take(
      db,
      channel,
      [inbound('robot@robots.example', { automatic: 'auto-reply', subject: 'Out of office', text: 'Back on Monday' })],
      mail,
    );
    expect(value.applied).toBe(1);
    const raw = await db.selectFrom('raw_delivery').selectAll().where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
    expect(await filteredOf(channel)).toMatchObject([
      {
        kind: 'FILTERED',
        reason: 'ANSWERS_NOTHING',
        sender: { kind: 'email-address', value: 'robot@robots.example' },
        subject: 'Out of office',
        text: 'Back on Monday',
        raw_delivery_id: raw.id,
        released_at: null,
      },
    ]);
    expect(raw).toMatchObject({ state: 'DONE', failure_code: 'Filtered' });
    expect(await messagesOf(channel)).toEqual([]);
    expect(await contactsOf('robot@robots.example')).toEqual([]);
    expect(await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).execute()).toEqual([]);
    const events = await db.selectFrom('event').selectAll().where('channel_id', '=', channel.id).execute();
    expect(events).toMatchObject([{ kind: 'MESSAGE_FILTERED', why: 'ANSWERS_NOTHING', place_id: channel.placeId, message_id: null }]);
    expect(JSON.stringify(events)).not.toMatch(/robot|office|Monday/);
  });

  it('joins what it answers where its sender takes part; a bounce joins what we sent, whoever it comes from, and nobody takes part by it [EMAIL-5, EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    const first = inbound('asks@out.example');
    await take(db, channel, [first], mail);
    const joins = first.thread.keys;
    await take(
      db,
      channel,
      [inbound('asks@out.example', { joins, automatic: 'auto-reply' }), inbound('stranger@out.example', { joins, automatic: 'auto-reply' })],
      mail,
    );
    await take(
      db,
      channel,
      [
        inbound('asks@out.example', { joins, direction: 'echo', providerMessageId: `<ours-${channel.key}@acme.example>` }),
        inbound('mallory@evil.example', { joins, automatic: 'bounce', authentication: { verdict: 'fail', by: 'forwarder', checks: {} } }),
      ],
      mail,
    );
    await take(
      db,
      channel,
      [
        inbound('mailer-daemon@mx.example', {
          joins: [...joins, `<ours-${channel.key}@acme.example>`],
          automatic: 'bounce',
          participants: [{ kind: 'email-address', value: 'guest@out.example' }],
        }),
      ],
      mail,
    );
    const messages = await messagesOf(channel);
    expect(messages.map((row) => [row.sender?.value, row.automatic])).toEqual([
      ['asks@out.example', false],
      ['asks@out.example', true],
      [undefined, false],
      ['mailer-daemon@mx.example', true],
    ]);
    expect(new Set(messages.map((row) => row.conversation_id)).size).toBe(1);
    expect((await filteredOf(channel)).map((row) => row.sender?.value).toSorted()).toEqual(['mallory@evil.example', 'stranger@out.example']);
    const participants = await db
      .selectFrom('participant')
      .select('value')
      .where('conversation_id', '=', messages[0]?.conversation_id ?? '')
      .execute();
    expect(participants.map((row) => row.value)).toEqual(['asks@out.example']);
    await take(db, channel, [inbound('mailer-daemon@mx.example', { joins }), inbound('guest@out.example', { joins })], mail);
    expect(new Set((await messagesOf(channel)).map((row) => row.conversation_id)).size).toBe(3);
  });

  it('is kept once when the same mail arrives twenty times at once [EMAIL-6, MODEL-4]', async () => {
    const channel = await makeChannel(db);
    const event = inbound('loop@robots.example', { automatic: 'bounce', providerMessageId: 'twenty-times' });
    const parsed = await Promise.all(Array.from({ length: 20 }, () => deliver(db, channel, [event])));
    await Promise.all(parsed.map((one) => apply(channel, [one])));
    expect(await filteredOf(channel)).toHaveLength(1);
    expect(await messagesOf(channel)).toEqual([]);
    const waiting = await db.selectFrom('raw_delivery').select('id').where('channel_id', '=', channel.id).where('state', '=', 'WAITING').execute();
    expect(waiting).toEqual([]);
  });

  it('is known again when another delivery brings it days later [MODEL-4]', async () => {
    const channel = await makeChannel(db);
    const event = inbound('again@robots.example', { automatic: 'auto-reply', providerMessageId: 'auto-again', dedupeKey: 'first-way' });
    await take(db, channel, [event], mail);
    await take(db, channel, [{ ...event, dedupeKey: 'second-way' }], mail);
    expect(await filteredOf(channel)).toHaveLength(1);
  });
});

describe('spam', () => {
  it('is mail of senders on the deny list, by address or by domain with all below it, and makes no contact [EMAIL-6, MODEL-3]', async () => {
    const channel = await makeChannel(db);
    await rule('DENY', 'Pest@ads.example');
    await rule('DENY', 'spam.example');
    const senders = ['pest@ads.example', 'other@ads.example', 'a@spam.example', 'a@deep.mail.spam.example', 'a@notspam.example'];
    await take(
      db,
      channel,
      senders.map((from) => inbound(from)),
      mail,
    );
    const kept = ['pest@ads.example', 'a@spam.example', 'a@deep.mail.spam.example'];
    const rows = await filteredOf(channel);
    expect(rows.map((row) => row.sender?.value).toSorted()).toEqual(kept.toSorted());
    expect(rows.every((row) => row.kind === 'SPAM' && row.reason === 'DENY_LIST')).toBe(true);
    expect((await messagesOf(channel)).map((row) => row.sender?.value)).toEqual(['other@ads.example', 'a@notspam.example']);
    for (const address of kept) expect(await contactsOf(address)).toEqual([]);
  });

  it('lets the allow list win [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    await rule('DENY', '@mixed.example');
    await rule('ALLOW', 'friend@mixed.example');
    await take(db, channel, [inbound('friend@mixed.example'), inbound('foe@mixed.example')], mail);
    expect((await messagesOf(channel)).map((row) => row.sender?.value)).toEqual(['friend@mixed.example']);
    expect((await filteredOf(channel)).map((row) => row.sender?.value)).toEqual(['foe@mixed.example']);
  });

  it('is what a denied sender forwards in another’s name, also in an allowed one’s; a forward is cleared by its real author alone [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    await rule('DENY', 'forwards.example');
    await rule('ALLOW', 'vip@claimed.example');
    await rule('ALLOW', 'boss@forwards.example');
    const forward = (author: string, contact: string) => inbound(contact, { author: { kind: 'email-address', value: author } });
    await take(
      db,
      channel,
      [
        forward('pest@forwards.example', 'dora@claimed.example'),
        forward('pest@forwards.example', 'vip@claimed.example'),
        forward('ada@out.example', 'pest@forwards.example'),
        forward(channel.key, 'vip@claimed.example'),
        forward('boss@forwards.example', 'pest@forwards.example'),
        forward('ada@out.example', 'dora@claimed.example'),
      ],
      mail,
    );
    // Those of one delivery are kept in no order.
    expect((await filteredOf(channel)).map((row) => `${row.reason} ${row.sender?.value}`).toSorted()).toEqual([
      'DENY_LIST dora@claimed.example',
      'DENY_LIST pest@forwards.example',
      'DENY_LIST vip@claimed.example',
      'FROM_ITSELF vip@claimed.example',
    ]);
    expect((await messagesOf(channel)).map((row) => row.sender?.value)).toEqual(['pest@forwards.example', 'dora@claimed.example']);
  });

  it('is mail from a team address to itself, but not to another one [EMAIL-6]', async () => {
    const [one, two] = [await makeChannel(db), await makeChannel(db)];
    await take(db, one, [inbound(one.key), inbound(two.key)], mail);
    expect((await filteredOf(one)).map((row) => [row.reason, row.sender?.value])).toEqual([['FROM_ITSELF', one.key]]);
    expect((await messagesOf(one)).map((row) => row.sender?.value)).toEqual([two.key]);
  });

  it('joins no conversation, also where the sender took part before the rule [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    const first = inbound('turned@out.example');
    await take(db, channel, [first], mail);
    const { value } = await rule('DENY', 'turned@out.example');
    await take(db, channel, [inbound('turned@out.example', { joins: first.thread.keys })], mail);
    expect(await messagesOf(channel)).toHaveLength(1);
    expect(await filteredOf(channel)).toMatchObject([{ kind: 'SPAM' }]);
    await transact(db, system, (unit) => removeSenderRule(unit, { ruleId: value.ruleId }));
    await take(db, channel, [inbound('turned@out.example', { joins: first.thread.keys })], mail);
    expect(await messagesOf(channel)).toHaveLength(2);
  });

  it('asks the lists about mail addresses only [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    await rule('DENY', 'scoped@ids.example');
    await take(db, channel, [inbound('', { contact: { kind: 'scoped-id', value: 'scoped@ids.example' } })]);
    expect(await messagesOf(channel)).toHaveLength(1);
  });

  it('refuses patterns that are neither address nor domain, and a rule that is there already, also at once [EMAIL-6]', async () => {
    for (const pattern of ['', 'com', 'a b@c.example', '*.c.example']) await expect(rule('DENY', pattern), pattern).rejects.toThrow(InvalidInput);
    const made = await Promise.allSettled(Array.from({ length: 10 }, () => rule('DENY', 'Once@rules.example')));
    expect(made.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
    for (const one of made) if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(AlreadyExists);
    await expect(transact(db, system, (unit) => removeSenderRule(unit, { ruleId: '01900000-0000-7000-8000-000000000000' }))).rejects.toThrow(NotFound);
  });

  it('compares a domain in ASCII however it was typed [EMAIL-6]', async () => {
    await rule('DENY', 'info@Bücher.example');
    const channel = await makeChannel(db);
    await take(db, channel, [inbound('info@xn--bcher-kva.example')], mail);
    expect(await filteredOf(channel)).toHaveLength(1);
  });
});

describe('letting a filtered message pass', () => {
  it('takes it in as an ordinary message whatever the lists say, once, however many let it pass at once [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    await rule('DENY', 'wrongly@denied.example');
    await take(db, channel, [inbound('wrongly@denied.example', { text: 'Please answer' })], mail);
    const [row] = await filteredOf(channel);
    const released = await Promise.all(Array.from({ length: 20 }, () => release(row?.id ?? '')));
    expect(released.flatMap((one) => one.wakes)).toEqual([{ kind: 'intake', channelKey: channel.key, plugin: 'plain' }]);
    await Promise.all(Array.from({ length: 4 }, () => drain(channel)));
    await drain(channel);
    expect(await messagesOf(channel)).toMatchObject([{ text: 'Please answer', automatic: false, provider_message_id: row?.provider_message_id }]);
    expect(await contactsOf('wrongly@denied.example')).toHaveLength(1);
    expect((await filteredOf(channel)).map((one) => one.released_at !== null)).toEqual([true]);
    expect((await release(row?.id ?? '')).wakes).toEqual([]);
    expect(await drain(channel)).toBe(0);
    const events = await db.selectFrom('event').select('kind').where('channel_id', '=', channel.id).orderBy('id').execute();
    expect(events.map((one) => one.kind)).toEqual(['MESSAGE_FILTERED', 'MESSAGE_RELEASED', 'CONVERSATION_STARTED', 'MESSAGE_RECEIVED', 'TICKET_CREATED']);
  });

  it('begins a conversation of an automatic one, which still counts as automatic [EMAIL-6, MODEL-6]', async () => {
    const channel = await makeChannel(db);
    const robot = inbound('alerts@robots.example', { automatic: 'auto-reply' });
    await take(db, channel, [robot], mail);
    await release((await filteredOf(channel))[0]?.id ?? '');
    await drain(channel);
    const [message] = await messagesOf(channel);
    expect(message).toMatchObject({ automatic: true });
    // Its sender takes part in what it began, and does not reopen it as a machine.
    const id = message?.conversation_id ?? '';
    await transact(db, system, (unit) => close(unit, { conversationId: id }));
    await take(db, channel, [inbound('alerts@robots.example', { joins: robot.thread.keys, automatic: 'auto-reply' })], mail);
    expect((await messagesOf(channel)).map((row) => row.conversation_id)).toEqual([id, id]);
    expect(await db.selectFrom('conversation').select('status').where('id', '=', id).execute()).toEqual([{ status: 'CLOSED' }]);
  });

  it('lets through what was chosen, and nothing else that its delivery brought [EMAIL-6, MODEL-4]', async () => {
    const channel = await makeChannel(db);
    await rule('DENY', '@several.example');
    const events = [inbound('one@several.example'), inbound('person@out.example'), inbound('two@several.example')];
    await take(db, channel, events, mail);
    const [one, two] = await filteredOf(channel);
    expect([one?.sender?.value, two?.sender?.value].toSorted()).toEqual(['one@several.example', 'two@several.example']);
    await release(one?.id ?? '');
    await drain(channel);
    expect((await messagesOf(channel)).map((row) => row.sender?.value)).toEqual(['person@out.example', one?.sender?.value]);
    await release(two?.id ?? '');
    await drain(channel);
    expect(await messagesOf(channel)).toHaveLength(3);
  });

  it('is not possible where the delivery is not kept, and not found where there is no such message [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    await take(db, channel, [inbound('caught-up@robots.example', { automatic: 'bounce' })], mail);
    const [row] = await filteredOf(channel);
    await db
      .updateTable('filtered_message')
      .set({ raw_delivery_id: null })
      .where('id', '=', row?.id ?? '')
      .execute();
    await expect(release(row?.id ?? '')).rejects.toThrow(NotPossible);
    await expect(release('01900000-0000-7000-8000-000000000000')).rejects.toThrow(NotFound);
  });
});

describe('filtered mail after its time', () => {
  it('is removed after ninety days with its delivery, which lasts as long; other deliveries after thirty [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    await rule('DENY', '@old.example');
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
    for (const days of [89, 91]) {
      const events = [inbound('x@old.example'), inbound('x@out.example', { automatic: 'auto-reply' })];
      for (const event of events) await apply(channel, [await deliver(db, channel, [event], daysAgo(days))]);
    }
    await apply(channel, [await deliver(db, channel, [inbound('kept@out.example')], daysAgo(31))]);
    expect(await removeExpired(db, 100)).toMatchObject({ spam: 1, filtered: 1, rawDeliveries: 3 });
    expect((await filteredOf(channel)).map((row) => row.kind).toSorted()).toEqual(['FILTERED', 'SPAM']);
    const deliveries = await db.selectFrom('raw_delivery').select('id').where('channel_id', '=', channel.id).execute();
    expect(deliveries).toHaveLength(2);
    const agent = await makeUser(db);
    const [left] = await filteredOf(channel);
    await transact(db, { actor: 'USER', userId: agent }, (unit) => releaseFiltered(unit, { filteredId: left?.id ?? '' }));
    await drain(channel);
    expect(await messagesOf(channel)).toHaveLength(2);
  });
});
