import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '#activities/dependencies.ts';
import { drain } from '#activities/intake.ts';
import { LIMITS } from '#activities/limits.ts';
import { createParsePool } from '#activities/parse-pool.ts';
import { releaseFiltered } from '#commands/filtered.ts';
import { addSenderRule, removeSenderRule } from '#commands/sender-rules.ts';
import { close } from '#commands/tickets.ts';
import { GENERATED } from '#plugins/email/test/corpus/generated.ts';
import { testKeys } from '../support/fixtures.ts';
import { mailFrom, openMailWorld, vouched, type ArrivingMail, type At, type MailWorld } from './world.ts';

let world: MailWorld;
/** The engine with a parsing thread that waits however busy this machine is: what is tested is what becomes of a mail, not how fast. */
let patient: Engine;
beforeAll(async () => {
  world = await openMailWorld();
  patient = {
    ...world.engine,
    pool: createParsePool(new URL('../support/config.ts', import.meta.url).href, testKeys.signingKey, { ...LIMITS, parseMs: 120_000, sanitiseMs: 60_000 }),
  };
});
afterAll(async () => {
  await patient.pool.close();
  expect(await world.close()).toEqual([]);
});

const never = { beat: () => undefined, stopped: () => false };
let counter = 0;
/** Somebody nobody has seen. */
function somebody(domain = 'crowd.example'): string {
  counter += 1;
  return `person-${counter}@${domain}`;
}

const messageOf = async (deliveryId: number | undefined) => {
  const row = await world.db
    .selectFrom('message')
    .selectAll()
    .where('raw_delivery_id', '=', deliveryId ?? 0)
    .executeTakeFirst();
  return row ?? null;
};
const filteredOf = async (deliveryId: number | undefined) => {
  const row = await world.db
    .selectFrom('filtered_message')
    .selectAll()
    .where('raw_delivery_id', '=', deliveryId ?? 0)
    .executeTakeFirst();
  return row ?? null;
};
const conversation = (id: string) => world.db.selectFrom('conversation').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const ticketOf = (conversationId: string) => world.db.selectFrom('ticket').selectAll().where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
const closeIt = (conversationId: string) => world.act((unit) => close(unit, { conversationId }));

/** Takes one mail in; the conversation it is in now. */
async function takenIn(mail: ArrivingMail, at: At = world.support): Promise<string> {
  const [id] = await world.take(at, mail);
  const message = await messageOf(id);
  if (message === null) throw new Error('it is in no conversation');
  return message.conversation_id;
}

/** A conversation of somebody new, answered by Ada. */
async function answered(at: At = world.support) {
  const from = somebody();
  const first = mailFrom(from, { Subject: 'A question' });
  const id = await takenIn(first, at);
  return { from, first: first.id, id, ...(await world.answer(at, id)) };
}

async function setReopening(reopening: 'REOPEN' | 'NEW_AFTER' | 'KEEP_CLOSED', days: number | null = null): Promise<void> {
  await world.db.updateTable('channel').set({ reopening, reopen_days: days }).where('id', '=', world.support.id).execute();
}

describe('a mail', () => {
  it('of somebody unknown begins a conversation with a ticket, of one new contact [MODEL-3, CH-1]', async () => {
    const from = somebody();
    const id = await takenIn(mailFrom(`Dora Quinn <${from}>`, { Subject: 'My order' }));
    const { contact_id: contactId, status } = await conversation(id);
    expect(status).toBe('OPEN');
    expect(await world.db.selectFrom('contact').select('name').where('id', '=', contactId).executeTakeFirst()).toEqual({ name: 'Dora Quinn' });
    expect(await ticketOf(id)).toMatchObject({ name: 'My order', source: 'support-1', closed_at: null });
    const again = await takenIn(mailFrom(from.toUpperCase()));
    expect(again).not.toBe(id);
    expect((await conversation(again)).contact_id).toBe(contactId);
  });

  it('of twenty senders at once on two channels makes each of them one contact [MODEL-3]', async () => {
    const people = Array.from({ length: 20 }, () => somebody());
    const on = (at: At, order: readonly string[]) => world.take(at, ...order.map((from) => mailFrom(from, { To: `${at.key}@in.trunkline.example` })));
    await Promise.all([on(world.support, people), on(world.sales, people.toReversed())]);
    const rows = await world.db.selectFrom('contact_identity').select(['value', 'contact_id']).where('value', 'in', people).execute();
    expect(rows.map(({ value }) => value).toSorted()).toEqual(people.toSorted());
    expect(new Set(rows.map((row) => row.contact_id)).size).toBe(20);
  });

  it('without a From is of an unknown sender and never matched to another, whatever it names [EMAIL-7, EMAIL-5]', async () => {
    const { mailId, replyTo } = await answered();
    const nobody = (headers: string) => ({ mail: `To: ${replyTo}\r\nIn-Reply-To: ${mailId}\r\n${headers}\r\n\r\nWho am I?\r\n` });
    const one = await takenIn(nobody('Subject: one'));
    const two = await takenIn(nobody('Subject: two'));
    expect(one).not.toBe(two);
    expect([(await conversation(one)).contact_id, (await conversation(two)).contact_id]).toEqual([null, null]);
  });

  it('that comes twenty times at once is one message [MODEL-4, EMAIL-7]', async () => {
    const from = somebody();
    const same = mailFrom(from, { Subject: 'Once' });
    const bare = { mail: `From: ${somebody()}\r\nSubject: Without an id\r\n\r\nHi\r\n` };
    await Promise.all(Array.from({ length: 20 }, () => world.take(world.support, same, bare)));
    const ids = await world.db.selectFrom('message').select(['provider_message_id', 'subject']).where('subject', 'in', ['Once', 'Without an id']).execute();
    expect(ids).toHaveLength(2);
  });

  it('whose delivery comes again days later with other Received headers is the same mail [MODEL-4]', async () => {
    const mail = mailFrom(somebody());
    const [first] = await world.take(world.support, mail);
    const [second] = await world.take(world.support, { mail: `Received: from a by b; Mon, 9 Mar 2026 10:00:00 +0000\r\n${String(mail.mail)}` });
    expect(await messageOf(first)).not.toBeNull();
    expect(await messageOf(second)).toBeNull();
  });
});

describe('an answer', () => {
  it('joins by our Message-ID where the sender is vouched for, by our Reply-To also where not [EMAIL-5, EMAIL-8]', async () => {
    const { from, id, mailId, replyTo } = await answered();
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId }))).toBe(id);
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId, 'Authentication-Results': '' }))).not.toBe(id);
    expect(await takenIn(mailFrom(from, { To: replyTo, 'Authentication-Results': '' }))).toBe(id);
    const denied = vouched('crowd.example', 'fail').slice('Authentication-Results: '.length);
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId, 'Authentication-Results': denied }))).not.toBe(id);
  });

  it('that came before we learned that our mail went out finds it all the same [CH-5, EMAIL-5]', async () => {
    const { from, id, mailId } = await answered();
    await world.db.updateTable('message').set({ provider_message_id: null }).where('provider_message_id', '=', mailId).execute();
    expect(await takenIn(mailFrom(from, { References: `<noise@crowd.example> ${mailId}` }))).toBe(id);
  });

  it('reopens a closed conversation and its ticket [MODEL-6, MODEL-13]', async () => {
    await setReopening('REOPEN');
    const { from, id, mailId } = await answered();
    await closeIt(id);
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId }))).toBe(id);
    expect((await conversation(id)).status).toBe('OPEN');
    expect((await ticketOf(id)).closed_at).toBeNull();
  });

  it('begins a new conversation with a linked ticket once the days are over, to which the thread leads from then on [MODEL-6]', async () => {
    await setReopening('NEW_AFTER', 5);
    const { from, id, mailId, replyTo } = await answered();
    await closeIt(id);
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId })), 'before that it reopens').toBe(id);
    await closeIt(id);
    await world.db
      .updateTable('conversation')
      .set({ closed_at: new Date(Date.now() - 6 * 86_400_000) })
      .where('id', '=', id)
      .execute();
    const young = await takenIn(mailFrom(from, { 'In-Reply-To': mailId }));
    expect(young).not.toBe(id);
    expect(await conversation(young)).toMatchObject({ status: 'OPEN', previous_conversation_id: id });
    expect((await conversation(id)).status).toBe('CLOSED');
    expect((await ticketOf(young)).linked_ticket_id).toBe((await ticketOf(id)).id);
    expect(await takenIn(mailFrom(from, { To: replyTo })), 'by the token too').toBe(young);
    await setReopening('REOPEN');
  });

  it('is kept in a conversation that stays closed, and the owner is told [MODEL-6, MODEL-12]', async () => {
    await setReopening('KEEP_CLOSED');
    const { from, id, mailId } = await answered();
    await closeIt(id);
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId }))).toBe(id);
    expect((await conversation(id)).status).toBe('CLOSED');
    const told = await world.db.selectFrom('notification').select('kind').where('conversation_id', '=', id).where('user_id', '=', world.userId).execute();
    expect(told).toContainEqual({ kind: 'MESSAGE_IN_CLOSED' });
    await setReopening('REOPEN');
  });

  it('of a machine is attached to what it answers and reopens nothing [EMAIL-6, MODEL-6]', async () => {
    const { from, id, mailId } = await answered();
    await closeIt(id);
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId, 'Auto-Submitted': 'auto-replied' }))).toBe(id);
    expect(await conversation(id)).toMatchObject({ status: 'CLOSED' });
    expect((await ticketOf(id)).closed_at).not.toBeNull();
  });

  it('of somebody whom a member put in copy joins as well, with a domain that vouches [EMAIL-5]', async () => {
    const { from, id, mailId } = await answered();
    const colleague = somebody('friends.example');
    expect(await takenIn(mailFrom(colleague, { 'In-Reply-To': mailId })), 'not before').not.toBe(id);
    await takenIn(mailFrom(from, { 'In-Reply-To': mailId, Cc: colleague }));
    expect(await takenIn(mailFrom(colleague, { 'In-Reply-To': mailId }))).toBe(id);
  });
});

describe('a stranger', () => {
  it('who names somebody’s Message-IDs begins his own conversation, also for those he puts in copy [EMAIL-5]', async () => {
    const { from, id, first, mailId, replyTo } = await answered();
    const mallory = somebody('evil.example');
    const tries = [
      mailFrom(mallory, { 'In-Reply-To': mailId }),
      mailFrom(mallory, { References: `${first} ${mailId}`, Cc: from }),
      mailFrom(mallory, { To: replyTo }),
      mailFrom(`"${from}" <${mallory}>`, { 'In-Reply-To': mailId, 'Reply-To': from, Sender: from }),
      mailFrom(mallory, { Subject: 'Re: A question' }),
    ];
    const ids = await world.take(world.support, ...tries);
    const conversations = await Promise.all(ids.map(async (one) => (await messageOf(one))?.conversation_id));
    expect(conversations).not.toContain(id);
    expect(new Set(conversations).size, 'nor does one lead to the other').toBe(tries.length);
    const inIt = await world.db.selectFrom('participant').select('value').where('conversation_id', '=', id).execute();
    expect(inIt).toEqual([{ value: from }]);
  });

  it('who writes in somebody’s name, denied by that domain, neither joins nor brings anybody in [EMAIL-8]', async () => {
    const { from, id, mailId, replyTo } = await answered();
    const accomplice = somebody('evil.example');
    const denied = vouched('crowd.example', 'fail').slice('Authentication-Results: '.length);
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId, Cc: accomplice, 'Authentication-Results': denied }))).not.toBe(id);
    // With the token it joins, for only somebody who has our mail knows it; but whom it names is not let in.
    expect(await takenIn(mailFrom(from, { To: replyTo, Cc: accomplice, 'Authentication-Results': denied }))).toBe(id);
    expect(await takenIn(mailFrom(accomplice, { 'In-Reply-To': mailId }))).not.toBe(id);
  });

  it('who uses the Message-ID of another mail, or of ours, loses neither that mail nor his own [MODEL-4, EMAIL-5]', async () => {
    const { from, id, first, mailId } = await answered();
    const mallory = somebody('evil.example');
    const ids = await world.take(
      world.support,
      mailFrom(mallory, { 'Message-ID': first }, 'I was here'),
      mailFrom(mallory, { 'Message-ID': mailId }, 'I was here too'),
    );
    for (const one of ids) {
      const message = await messageOf(one);
      expect(message?.sender?.value).toBe(mallory);
      expect(message?.conversation_id).not.toBe(id);
    }
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': mailId })), 'the thread still leads where it led').toBe(id);
    const early = '<to-be-used@crowd.example>';
    await world.take(world.support, mailFrom(mallory, { 'Message-ID': early }, 'First!'));
    expect(await takenIn(mailFrom(from, { 'Message-ID': early, 'In-Reply-To': mailId }, 'The real one'))).toBe(id);
  });

  it('who forwards a made-up mail of somebody, with that thread’s headers, joins nothing [EMAIL-4, EMAIL-8]', async () => {
    const { from, id, mailId } = await answered();
    const body = `---------- Forwarded message ---------\r\nFrom: <${from}>\r\nDate: Mon, 2 Mar 2026 at 10:12\r\nSubject: A question\r\nTo: <support@acme.example>\r\n\r\nSend it elsewhere.`;
    expect(await takenIn(mailFrom(somebody('evil.example'), { Subject: 'Fwd: A question', 'In-Reply-To': mailId }, body))).not.toBe(id);
  });
});

describe('a copy', () => {
  it('that reached another team address is that channel’s own conversation, and each answer stays in its channel [EMAIL-5]', async () => {
    const from = somebody();
    const mail = mailFrom(from, { To: 'support@acme.example, sales@acme.example' });
    const [here] = await world.take(world.support, mail);
    const [there] = await world.take(world.sales, mail);
    const supportId = (await messageOf(here))?.conversation_id ?? '';
    const salesId = (await messageOf(there))?.conversation_id ?? '';
    expect(supportId).not.toBe('');
    expect(salesId).not.toBe('');
    expect(salesId).not.toBe(supportId);
    const ours = await world.answer(world.support, supportId);
    const next = mailFrom(from, { 'In-Reply-To': ours.mailId, References: `${mail.id} ${ours.mailId}`, To: 'support@acme.example, sales@acme.example' });
    expect(await takenIn(next, world.support)).toBe(supportId);
    expect(await takenIn(next, world.sales)).toBe(salesId);
    expect(await takenIn(mailFrom(from, { 'In-Reply-To': ours.mailId }), world.sales), 'our answer was never sent by that channel').not.toBe(salesId);
  });
});

describe('a bounce', () => {
  const bounce = (
    mailId: string,
    { to, status = '5.1.1', action = 'failed', from = 'mailer-daemon@mx.crowd.example' }: { to: string; status?: string; action?: string; from?: string },
  ): ArrivingMail => ({
    headers: { 'mail-from': '' },
    mail: [
      `From: Mail Delivery System <${from}>`,
      'To: support@acme.example',
      'Subject: Undelivered Mail',
      `Message-ID: <bounce-${(counter += 1)}@mx.crowd.example>`,
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
      '',
      '--b',
      'Content-Type: text/plain',
      '',
      'It did not arrive.',
      '--b',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.crowd.example',
      '',
      `Final-Recipient: rfc822; ${to}`,
      `Action: ${action}`,
      `Status: ${status}`,
      '--b',
      'Content-Type: text/rfc822-headers',
      '',
      `To: ${to}`,
      `Message-ID: ${mailId}`,
      '--b--',
      '',
    ].join('\r\n'),
  });
  const stateOf = (messageId: string) =>
    world.db.selectFrom('outbound').select(['state', 'failure_reason']).where('message_id', '=', messageId).executeTakeFirstOrThrow();

  it('of a sent answer shows it FAILED with the code alone, is attached to it, and reopens nothing [EMAIL-6, CH-5]', async () => {
    const { from, id, mailId, messageId } = await answered();
    await closeIt(id);
    expect(await takenIn(bounce(mailId, { to: from }))).toBe(id);
    const { state, failure_reason: reason } = await stateOf(messageId);
    expect(state).toBe('FAILED');
    expect(reason).toContain('5.1.1');
    expect(reason).not.toContain('@');
    expect((await conversation(id)).status).toBe('CLOSED');
    const changed = await world.db
      .selectFrom('event')
      .select('why')
      .where('kind', '=', 'DELIVERY_CHANGED')
      .where('message_id', '=', messageId)
      .orderBy('id')
      .execute();
    expect(changed.at(-1)).toEqual({ why: 'FAILED' });
    const inIt = await world.db.selectFrom('participant').select('value').where('conversation_id', '=', id).execute();
    expect(inIt, 'the mail server takes part in nothing').toEqual([{ value: from }]);
  });

  it('that only delays leaves the answer SENT [EMAIL-6, CH-5]', async () => {
    const { from, id, mailId, messageId } = await answered();
    expect(await takenIn(bounce(mailId, { to: from, action: 'delayed', status: '4.4.1' }))).toBe(id);
    expect((await stateOf(messageId)).state).toBe('SENT');
  });

  it('of nothing of ours is filtered, without contact, conversation or ticket [EMAIL-6]', async () => {
    const before = await world.db
      .selectFrom('ticket')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    const [id] = await world.take(
      world.support,
      bounce('<never-ours@elsewhere.example>', { to: 'x@elsewhere.example', from: 'mailer-daemon@elsewhere.example' }),
    );
    expect(await messageOf(id)).toBeNull();
    expect(await filteredOf(id)).toMatchObject({ kind: 'FILTERED', reason: 'ANSWERS_NOTHING' });
    expect(await world.db.selectFrom('contact_identity').select('value').where('value', 'like', '%@elsewhere.example').execute()).toEqual([]);
    expect(
      await world.db
        .selectFrom('ticket')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow(),
    ).toEqual(before);
  });

  it('of another channel’s answer marks nothing here [EMAIL-5, EMAIL-6]', async () => {
    const { from, mailId, messageId } = await answered(world.sales);
    const [id] = await world.take(world.support, bounce(mailId, { to: from }));
    expect(await filteredOf(id)).not.toBeNull();
    expect((await stateOf(messageId)).state).toBe('SENT');
  });
});

describe('lists', () => {
  it('keep denied senders out as spam, by address and by domain; the allow list wins [EMAIL-6]', async () => {
    const [alone, bad, good] = [somebody('mixed.example'), somebody('spam.example'), somebody('spam.example')];
    const rules = await Promise.all([
      world.act((unit) => addSenderRule(unit, { list: 'DENY', pattern: alone })),
      world.act((unit) => addSenderRule(unit, { list: 'DENY', pattern: 'spam.example' })),
      world.act((unit) => addSenderRule(unit, { list: 'ALLOW', pattern: good })),
    ]);
    const senders = [alone, bad, good, somebody('mixed.example'), somebody('mail.spam.example'), somebody('notspam.example'), alone.toUpperCase()];
    const ids = await world.take(world.support, ...senders.map((from) => mailFrom(from)));
    const reasons = await Promise.all(ids.map(async (id) => (await filteredOf(id))?.reason ?? null));
    expect(reasons).toEqual(['DENY_LIST', 'DENY_LIST', null, null, 'DENY_LIST', null, 'DENY_LIST']);
    expect(await Promise.all(ids.map(async (id) => (await messageOf(id)) !== null))).toEqual([false, false, true, true, false, true, false]);
    for (const { ruleId } of rules) await world.act((unit) => removeSenderRule(unit, { ruleId }));
  });

  it('ask who really sent a forward, whoever its block names: nobody gets past them by “Fwd:” [EMAIL-4, EMAIL-6]', async () => {
    const rules = await Promise.all([
      world.act((unit) => addSenderRule(unit, { list: 'DENY', pattern: 'forger.example' })),
      world.act((unit) => addSenderRule(unit, { list: 'ALLOW', pattern: 'vip.example' })),
    ]);
    const block = (name: string) =>
      `---------- Forwarded message ---------\r\nFrom: Dora Quinn <${name}>\r\nDate: Sun, 1 Mar 2026 at 18:40\r\nSubject: Order\r\nTo: <x@forger.example>\r\n\r\n\r\nBuy.`;
    const ids = await world.take(
      world.support,
      mailFrom('pest@forger.example', { Subject: 'Fwd: Order' }, block('dora@vip.example')),
      mailFrom('pest@forger.example', { Subject: 'Fwd: Order' }, block('dora@buyer.example')),
      mailFrom('Ada <ada@acme.example>', { Subject: 'Fwd: Order' }, block('dora@vip.example')),
    );
    const reasons = await Promise.all(ids.map(async (id) => (await filteredOf(id))?.reason ?? null));
    expect(reasons).toEqual(['DENY_LIST', 'DENY_LIST', null]);
    expect((await messageOf(ids[2]))?.sender?.value).toBe('dora@vip.example');
    for (const { ruleId } of rules) await world.act((unit) => removeSenderRule(unit, { ruleId }));
  });

  it('hold for answers in a thread too, and let a released mail pass whatever they say [EMAIL-6]', async () => {
    const { from, id, mailId } = await answered();
    const { ruleId } = await world.act((unit) => addSenderRule(unit, { list: 'DENY', pattern: from }));
    const [denied] = await world.take(world.support, mailFrom(from, { 'In-Reply-To': mailId }));
    const kept = await filteredOf(denied);
    expect(kept).toMatchObject({ kind: 'SPAM', reason: 'DENY_LIST' });
    await world.act((unit) => releaseFiltered(unit, { filteredId: kept?.id ?? '' }));
    await drain(world.engine, world.support.key, never);
    expect((await messageOf(denied))?.conversation_id).toBe(id);
    await world.act((unit) => removeSenderRule(unit, { ruleId }));
  });

  it('let a newsletter that was filtered begin a conversation once somebody lets it pass, as one message however often [EMAIL-6]', async () => {
    const [id] = await world.take(world.support, mailFrom(somebody('news.example'), { Precedence: 'bulk' }));
    const kept = await filteredOf(id);
    expect(kept?.kind).toBe('FILTERED');
    await Promise.all(Array.from({ length: 5 }, () => world.act((unit) => releaseFiltered(unit, { filteredId: kept?.id ?? '' }))));
    await drain(world.engine, world.support.key, never);
    const message = await messageOf(id);
    expect(message?.automatic).toBe(true);
    expect(await conversation(message?.conversation_id ?? '')).toMatchObject({ status: 'OPEN' });
  });

  it('put mail from a team address to itself aside, unless it is allowed [EMAIL-6]', async () => {
    const [id] = await world.take(world.support, mailFrom('Acme <Support@ACME.example>'));
    expect(await filteredOf(id)).toMatchObject({ kind: 'SPAM', reason: 'FROM_ITSELF' });
    const { ruleId } = await world.act((unit) => addSenderRule(unit, { list: 'ALLOW', pattern: 'support@acme.example' }));
    const [allowed] = await world.take(world.support, mailFrom('Acme <support@acme.example>'));
    expect(await messageOf(allowed)).not.toBeNull();
    await world.act((unit) => removeSenderRule(unit, { ruleId }));
  });
});

describe('the intake as it runs', () => {
  it('takes fifty mails with one among them that is made to bring it down, in order, through the parsing thread [EMAIL-7, PLUG-11]', async () => {
    const deep = GENERATED.find(({ about }) => about.startsWith('parts nested 5,000'));
    const mails = Array.from({ length: 50 }, (_, index) =>
      index === 20 && deep !== undefined
        ? { mail: Buffer.concat([Buffer.from('X-Among: fifty\r\n'), deep.make()]) }
        : mailFrom(somebody('order.example'), { Subject: `No. ${index}` }),
    );
    const ids = await world.store(world.support, mails);
    await drain(world.engine, world.support.key, never);
    const states = await world.db.selectFrom('raw_delivery').select('state').where('id', 'in', ids).execute();
    expect(states.map(({ state }) => state)).toEqual(Array.from({ length: 50 }, () => 'DONE'));
    const rows = await world.db.selectFrom('message').select('raw_delivery_id').where('raw_delivery_id', 'in', ids).orderBy('arrival').execute();
    expect(rows.map((row) => row.raw_delivery_id)).toEqual(ids);
  });

  it.each(GENERATED.map((one) => [one.about, one] as const))(
    'takes in what is made to bring it down, and the mail after it: %s [EMAIL-7, PLUG-11]',
    async (_about, one) => {
      const ids = await world.store(world.support, [{ mail: one.make() }, mailFrom(somebody('order.example'))]);
      const rows = () => world.db.selectFrom('raw_delivery').select(['state', 'failure_code']).where('id', 'in', ids).orderBy('id').execute();
      // A drain ends after ten seconds, whatever is left.
      for (let round = 0; round < 10 && (await rows()).some(({ state }) => state === 'WAITING'); round += 1) await drain(patient, world.support.key, never);
      expect(await rows()).toEqual(ids.map((_id, index) => ({ state: 'DONE', failure_code: one.filtered === true && index === 0 ? 'Filtered' : null })));
      expect((await messageOf(ids[0])) === null).toBe(one.filtered === true);
      expect(await messageOf(ids[1])).not.toBeNull();
    },
    300_000,
  );

  it('does as much when two run at the same time, as after a workflow that was ended: each mail once [MODEL-4]', async () => {
    const ids = await world.store(
      world.support,
      Array.from({ length: 60 }, () => mailFrom(somebody('order.example'))),
    );
    await Promise.all([drain(world.engine, world.support.key, never), drain(world.engine, world.support.key, never)]);
    const states = await world.db.selectFrom('raw_delivery').select(['state', 'failure_code']).distinct().where('id', 'in', ids).execute();
    expect(states).toEqual([{ state: 'DONE', failure_code: null }]);
    const rows = await world.db.selectFrom('message').select('raw_delivery_id').where('raw_delivery_id', 'in', ids).execute();
    expect(rows).toHaveLength(60);
  });
});
