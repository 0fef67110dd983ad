import type { Authentication, InboundMessage } from '@trunkline/channel-sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyDeliveries } from '#commands/intake.ts';
import { addSenderRule } from '#commands/sender-rules.ts';
import { close } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
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

const mail = { ...plainCapabilities, address: 'email-address' as const, joinsParticipantsOnly: true };
const verdict = (is: Authentication['verdict']): Authentication => ({ verdict: is, by: 'forwarder', checks: { dmarc: is === 'pass' ? 'pass' : 'fail' } });
const messagesOf = (channel: MadeChannel) => db.selectFrom('message').selectAll().where('channel_id', '=', channel.id).orderBy('arrival').execute();
const conversationsOf = (channel: MadeChannel) => db.selectFrom('conversation').selectAll().where('origin_channel_id', '=', channel.id).orderBy('id').execute();
const ticketOf = (conversationId: string) => db.selectFrom('ticket').selectAll().where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
const closeIt = (conversationId: string) => transact(db, { actor: 'SYSTEM' }, (unit) => close(unit, { conversationId }));

describe('threads of mail', () => {
  /** A conversation of ben's whose signed key is known. */
  async function started() {
    const channel = await makeChannel(db);
    const first = inbound('ben@out.example', { authentication: verdict('pass') });
    await take(db, channel, [{ ...first, thread: { joins: [], keys: [...first.thread.keys, `token:${channel.key}`] } }], mail);
    const [conversation] = await conversationsOf(channel);
    return { channel, id: conversation?.id ?? '', joins: first.thread.keys, proven: [`token:${channel.key}`] };
  }
  const next = (
    from: string,
    is: Authentication['verdict'],
    thread: { joins?: readonly string[]; proven?: readonly string[] },
    more: Partial<InboundMessage> = {},
  ) => {
    const message = inbound(from, { authentication: verdict(is), ...more });
    return { ...message, thread: { ...message.thread, joins: thread.joins ?? [], ...(thread.proven === undefined ? {} : { proven: thread.proven }) } };
  };

  it('join by headers for a sender who is proven, by our signed key also for one who is not [EMAIL-5, EMAIL-8]', async () => {
    const { channel, id, joins, proven } = await started();
    await take(
      db,
      channel,
      [next('ben@out.example', 'pass', { joins }), next('ben@out.example', 'unknown', { proven }), next('ben@out.example', 'fail', { proven, joins })],
      mail,
    );
    expect((await messagesOf(channel)).map((row) => row.conversation_id)).toEqual([id, id, id, id]);
  });

  it('do not join by headers where the sender’s domain denies the mail, or nobody says [EMAIL-8]', async () => {
    const { channel, id, joins } = await started();
    await take(db, channel, [next('ben@out.example', 'fail', { joins }), next('ben@out.example', 'unknown', { joins })], mail);
    const conversations = await conversationsOf(channel);
    expect(conversations).toHaveLength(3);
    expect((await messagesOf(channel)).filter((row) => row.conversation_id === id)).toHaveLength(1);
  });

  it('do not let a stranger in, not even with a signed key that was passed on [EMAIL-5]', async () => {
    const { channel, id, joins, proven } = await started();
    await take(db, channel, [next('stranger@out.example', 'pass', { joins, proven })], mail);
    expect((await messagesOf(channel)).filter((row) => row.conversation_id === id)).toHaveLength(1);
    expect(await conversationsOf(channel)).toHaveLength(2);
  });

  it('let in whom a member names, unless that member’s domain denies the mail [EMAIL-5, EMAIL-8]', async () => {
    const { channel, id, joins, proven } = await started();
    const named = (value: string) => ({ participants: [{ kind: 'email-address' as const, value }] });
    await take(db, channel, [next('ben@out.example', 'pass', { joins }, named('colleague@out.example'))], mail);
    await take(db, channel, [next('ben@out.example', 'fail', { proven }, named('intruder@out.example'))], mail);
    await take(db, channel, [next('colleague@out.example', 'pass', { joins }), next('intruder@out.example', 'pass', { joins })], mail);
    const inIt = (await messagesOf(channel)).filter((row) => row.conversation_id === id).map((row) => row.sender?.value);
    expect(inIt).toEqual(['ben@out.example', 'ben@out.example', 'ben@out.example', 'colleague@out.example']);
  });

  it('keep what is known of the sender with the message [EMAIL-8]', async () => {
    const { channel, proven } = await started();
    await take(db, channel, [next('ben@out.example', 'fail', { proven })], mail);
    const [, second] = await messagesOf(channel);
    expect(second?.authentication).toEqual({ verdict: 'fail', by: 'forwarder', checks: { dmarc: 'fail' } });
  });

  it('lead to the successor by every key, also one of another channel, and by the keys of the same batch [MODEL-6]', async () => {
    const { channel, id, joins, proven } = await started();
    const other = await makeChannel(db);
    await db.insertInto('thread_key').values({ channel_id: other.id, key: 'elsewhere', conversation_id: id }).execute();
    await closeIt(id);
    await db.updateTable('channel').set({ reopening: 'NEW_AFTER', reopen_days: 2 }).where('id', '=', channel.id).execute();
    await db
      .updateTable('conversation')
      .set({ closed_at: new Date(Date.now() - 3 * 86_400_000) })
      .where('id', '=', id)
      .execute();
    await take(db, channel, [next('ben@out.example', 'pass', { joins }), next('ben@out.example', 'unknown', { proven })], mail);
    const [, young, ...none] = await conversationsOf(channel);
    expect(none).toEqual([]);
    expect((await messagesOf(channel)).filter((row) => row.conversation_id === young?.id)).toHaveLength(2);
    const led = await db.selectFrom('thread_key').select('conversation_id').distinct().where('channel_id', 'in', [channel.id, other.id]).execute();
    expect(led).toEqual([{ conversation_id: young?.id }]);
    expect((await ticketOf(young?.id ?? '')).linked_ticket_id).toBe((await ticketOf(id)).id);
  });
});

describe('a Message-ID that is used again', () => {
  const from = (address: string, text: string, more: Partial<InboundMessage> = {}) =>
    inbound(address, {
      providerMessageId: '<same@client.example>',
      dedupeKey: `${address} ${text} ${JSON.stringify(more)}`,
      authentication: verdict('pass'),
      text,
      ...more,
    });

  it('loses no mail: another sender’s, another text and another file are other messages [MODEL-4, EMAIL-7]', async () => {
    const channel = await makeChannel(db);
    const file = (bytes: number) => ({ attachments: [{ ref: 'a', fileName: 'scan.pdf', type: 'application/pdf', bytes }] });
    const takesFiles = { ...mail, inboundAttachments: { maxCount: 5, maxBytes: 1_000, types: '*' as const } };
    await take(db, channel, [from('attacker@out.example', 'First')], takesFiles);
    await take(db, channel, [from('ben@out.example', 'First'), from('ben@out.example', 'Second')], takesFiles);
    await take(db, channel, [from('scanner@out.example', 'Scan', file(10)), from('scanner@out.example', 'Scan', file(20))], takesFiles);
    const rows = await messagesOf(channel);
    expect(rows.map((row) => [row.sender?.value, row.text])).toEqual([
      ['attacker@out.example', 'First'],
      ['ben@out.example', 'First'],
      ['ben@out.example', 'Second'],
      ['scanner@out.example', 'Scan'],
      ['scanner@out.example', 'Scan'],
    ]);
    expect(rows[0]?.provider_message_id).toBe('<same@client.example>');
    expect(new Set(rows.map((row) => row.provider_message_id)).size).toBe(5);
    expect(new Set(rows.map((row) => row.conversation_id)).size).toBe(5);
  });

  it('still makes one message of the same mail, by whatever ways it comes, also twenty times at once [MODEL-4]', async () => {
    const channel = await makeChannel(db);
    const ways = Array.from({ length: 20 }, (_, way) => [
      from('ben@out.example', 'Once', { dedupeKey: `way ${way}` }),
      from('eve@out.example', 'Once', { dedupeKey: `her way ${way}` }),
    ]);
    const parsed = await Promise.all(ways.map((events) => deliver(db, channel, events)));
    await Promise.all(
      parsed.map(async (one) => {
        while ((await applyDeliveries(db, { keys: testKeys, capabilities: mail }, channel.id, [one])).value.busy)
          await new Promise((resolve) => setTimeout(resolve, 5));
      }),
    );
    expect((await messagesOf(channel)).map((row) => row.sender?.value).toSorted()).toEqual(['ben@out.example', 'eve@out.example']);
  });

  it('keeps apart what is filtered and what is not [MODEL-4, EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    await transact(db, { actor: 'SYSTEM' }, (unit) => addSenderRule(unit, { list: 'DENY', pattern: '@reuse.example' }));
    await take(db, channel, [from('spammer@reuse.example', 'Buy'), from('ben@out.example', 'Help')], mail);
    await take(db, channel, [from('spammer@reuse.example', 'Buy more')], mail);
    expect((await messagesOf(channel)).map((row) => row.text)).toEqual(['Help']);
    const spam = await db.selectFrom('filtered_message').select('text').where('channel_id', '=', channel.id).orderBy('id').execute();
    expect(spam.map((row) => row.text)).toEqual(['Buy', 'Buy more']);
  });

  it('is our own mail that came back where this address sent it [MODEL-4]', async () => {
    const channel = await makeChannel(db);
    await take(db, channel, [inbound('ben@out.example', { direction: 'echo', providerMessageId: '<ours@acme.example>' })], mail);
    const back = (address: string) =>
      inbound(address, { providerMessageId: '<ours@acme.example>', dedupeKey: `back ${address}`, authentication: verdict('unknown') });
    await take(db, channel, [back(channel.key), back('ben@out.example')], mail);
    expect((await messagesOf(channel)).map((row) => [row.direction, row.sender?.value])).toEqual([
      ['OUTBOUND', undefined],
      ['INBOUND', 'ben@out.example'],
    ]);
    expect(await db.selectFrom('filtered_message').select('id').where('channel_id', '=', channel.id).execute()).toEqual([]);
  });
});

describe('what a message brings', () => {
  it('keeps the original HTML, shows the harmless new part, and has the quoted history apart [CH-7]', async () => {
    const channel = await makeChannel(db);
    const html = '<p onclick="x()">New</p><script>steal()</script><img src="https://track.example/p.png">';
    const quoted = { text: 'Old words', html: '<blockquote onload="x()">Old <b>words</b></blockquote>' };
    await take(db, channel, [inbound('html@out.example', { html, quoted, originalHtml: `${html}<div>On Monday you wrote</div>${quoted.html}` })]);
    await take(db, channel, [inbound('html@out.example', { html: '<script>only()</script>', text: 'Only' })]);
    const [first, second] = await messagesOf(channel);
    expect(first).toMatchObject({
      html: `${html}<div>On Monday you wrote</div>${quoted.html}`,
      html_safe: '<p>New</p><img data-remote-src="https://track.example/p.png" />',
      quoted_text: 'Old words',
      quoted_html_safe: '<blockquote>Old <b>words</b></blockquote>',
    });
    expect(second).toMatchObject({ html: '<script>only()</script>', html_safe: null, quoted_text: null, quoted_html_safe: null });
  });

  it('keeps a form’s answers with the labels they had, hidden ones too, and shows the text alone [FORM-3, FORM-4]', async () => {
    const channel = await makeChannel(db);
    const fields = [
      { name: 'order', label: 'Order number', value: '17', hidden: false },
      { name: 'campaign', label: 'Campaign', value: 'spring', hidden: true },
    ];
    await take(db, channel, [inbound('form@out.example', { text: 'Order number: 17', fields }), inbound('plain@out.example')]);
    const [message] = await messagesOf(channel);
    expect(message?.text).toBe('Order number: 17');
    const submissions = await db.selectFrom('form_submission').selectAll().where('channel_id', '=', channel.id).execute();
    expect(submissions).toMatchObject([{ message_id: message?.id, contact_id: message?.contact_id, fields, submitted_at: message?.received_at }]);
  });

  it('lists what is attached, within what the channel takes [CH-6]', async () => {
    const channel = await makeChannel(db);
    const file = (fileName: string, bytes: number) => ({ ref: fileName, fileName, type: 'text/plain', bytes });
    await take(db, channel, [inbound('files@out.example', { attachments: [file('small.txt', 5), file('large.txt', 50)] })], {
      ...mail,
      inboundAttachments: { maxCount: 5, maxBytes: 10, types: '*' },
    });
    const [message] = await messagesOf(channel);
    const rows = await db
      .selectFrom('attachment')
      .select(['file_name', 'state'])
      .where('message_id', '=', message?.id ?? '')
      .orderBy('position')
      .execute();
    expect(rows).toEqual([
      { file_name: 'small.txt', state: 'WAITING' },
      { file_name: 'large.txt', state: 'REFUSED' },
    ]);
  });
});

describe('what a channel does when a contact answers', () => {
  async function automated(options: Parameters<typeof makeChannel>[1] = {}) {
    const channel = await makeChannel(db, options);
    const statuses = await db.selectFrom('ticket_status').selectAll().orderBy('position').execute();
    const named = statuses.find((one) => one.name === 'Waiting on us')?.id ?? '';
    await db.updateTable('channel').set({ on_contact_reply_status_id: named }).where('id', '=', channel.id).execute();
    return { channel, named };
  }

  it('comes after reopening, on open tickets only, for a person’s answer and not for what begins a conversation [MODEL-6, CH-8]', async () => {
    const { channel, named } = await automated();
    const first = inbound('auto@out.example');
    await take(db, channel, [first]);
    const [{ id } = { id: '' }] = await conversationsOf(channel);
    expect((await ticketOf(id)).status_id).not.toBe(named);
    const joins = first.thread.keys;
    await take(db, channel, [inbound('auto@out.example', { joins, automatic: 'auto-reply' })]);
    expect((await ticketOf(id)).status_id).not.toBe(named);
    await take(db, channel, [inbound('auto@out.example', { joins, direction: 'echo' })]);
    expect((await ticketOf(id)).status_id).not.toBe(named);
    await take(db, channel, [inbound('auto@out.example', { joins })]);
    expect((await ticketOf(id)).status_id).toBe(named);
    await closeIt(id);
    await take(db, channel, [inbound('auto@out.example', { joins })]);
    expect(await ticketOf(id)).toMatchObject({ status_id: named, closed_at: null });
  });

  it('is the same whether the answer comes with what it answers or later [CH-8]', async () => {
    const { channel, named } = await automated();
    const first = inbound('quick@out.example');
    await take(db, channel, [first, inbound('quick@out.example', { joins: first.thread.keys })]);
    const [{ id } = { id: '' }] = await conversationsOf(channel);
    expect((await ticketOf(id)).status_id).toBe(named);
  });

  it('leaves alone what stays closed, and its owner is told once for each batch [MODEL-6, MODEL-12]', async () => {
    const { channel, named } = await automated({ reopening: 'KEEP_CLOSED' });
    const owner = await makeUser(db);
    const first = inbound('late@out.example');
    await take(db, channel, [first]);
    const [{ id } = { id: '' }] = await conversationsOf(channel);
    await closeIt(id);
    const ticket = await ticketOf(id);
    await db.insertInto('event').values({ kind: 'OWNER_CHANGED', actor: 'SYSTEM', ticket_id: ticket.id, user_id: owner }).execute();
    await db.updateTable('ticket').set({ owner_id: owner }).where('id', '=', ticket.id).execute();
    const joins = first.thread.keys;
    await take(db, channel, [inbound('late@out.example', { joins }), inbound('late@out.example', { joins })]);
    expect((await ticketOf(id)).status_id).not.toBe(named);
    expect((await ticketOf(id)).closed_at).not.toBeNull();
    expect(await db.selectFrom('notification').select('kind').where('user_id', '=', owner).execute()).toEqual([{ kind: 'MESSAGE_IN_CLOSED' }]);
  });
});

it('writes a batch with a number of statements that does not grow with its messages [API-8]', async () => {
  const statements: string[] = [];
  const counted = openDatabase(database.url, { name: 'counted', onStatement: (text) => void statements.push(text) });
  try {
    await transact(db, { actor: 'SYSTEM' }, (unit) => addSenderRule(unit, { list: 'DENY', pattern: '@counted-spam.example' }));
    /** Of each kind of message as many: new, joining, repeated id, spam, filtered, with files and answers, and successors. */
    const run = async (each: number): Promise<number> => {
      const channel = await makeChannel(db, { reopening: 'NEW_AFTER', reopenDays: 1 });
      const old = Array.from({ length: each }, (_, n) => inbound(`old${n}@out.example`));
      await take(db, channel, old, mail);
      await db
        .updateTable('ticket')
        .set({
          closed_at: new Date(),
          status_id: (await db.selectFrom('ticket_status').select('id').where('category', '=', 'CLOSED').executeTakeFirstOrThrow()).id,
          route_pending_since: null,
        })
        .where('source', '=', channel.key)
        .execute();
      await db
        .updateTable('conversation')
        .set({ status: 'CLOSED', closed_at: new Date(Date.now() - 2 * 86_400_000) })
        .where('channel_id', '=', channel.id)
        .execute();
      const events = old.flatMap(({ thread: { keys: joins } }, n) => {
        const fresh = inbound(`fresh${n}@out.example`);
        return [
          fresh,
          inbound(`fresh${n}@out.example`, { joins: fresh.thread.keys, html: '<b>x</b>', fields: [{ name: 'a', label: 'A', value: 'b', hidden: true }] }),
          inbound(`old${n}@out.example`, { joins, attachments: [{ ref: 'r', fileName: 'a.txt', type: 'text/plain' }] }),
          inbound(`pest${n}@counted-spam.example`),
          inbound(`robot${n}@out.example`, { automatic: 'auto-reply' }),
          inbound(`again${n}@out.example`, { providerMessageId: '<counted@x>', dedupeKey: `again ${n} ${channel.key}`, authentication: verdict('pass') }),
        ];
      });
      const parsed = await Promise.all(events.map((event) => deliver(db, channel, [event])));
      statements.length = 0;
      await applyDeliveries(
        counted,
        { keys: testKeys, capabilities: { ...mail, inboundAttachments: { maxCount: 5, maxBytes: 100, types: '*' } } },
        channel.id,
        parsed,
      );
      // Readers of the feed are told a little later, for several batches together.
      return statements.filter((text) => !text.includes('notify')).length;
    };
    const few = await run(2);
    expect(await run(10)).toBe(few);
    console.log(`a batch costs ${few} statements`);
    expect(few).toBeLessThanOrEqual(40);
  } finally {
    await counted.destroy();
  }
});
