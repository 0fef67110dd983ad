import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eraseContact } from '#commands/erasing.ts';
import { ALIVE_SECONDS, GONE_AFTER_SECONDS, keepHere, keepUntilNow, presenceOf, sweepGone, type PresentVisitor } from '#commands/presence.ts';
import { removeExpired } from '#commands/retention.ts';
import { close } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, take, type MadeChannel } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
let other: Db;
let channel: MadeChannel;
let number = 0;

beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  other = openDatabase(database.url);
  channel = await makeChannel(db);
});
afterAll(async () => {
  await other.destroy();
  await database.drop();
});

/** A visitor who has said something. */
async function visitorWhoWrote(): Promise<PresentVisitor & { readonly conversationId: string }> {
  const value = `visitor${(number += 1)}`;
  await take(db, channel, [inbound('', { contact: { kind: 'visitor', value } })]);
  const { id } = await db
    .selectFrom('conversation as c')
    .innerJoin('contact_identity as i', 'i.contact_id', 'c.contact_id')
    .select('c.id')
    .where('i.value', '=', value)
    .executeTakeFirstOrThrow();
  return { channelId: channel.id, kind: 'visitor', value, conversationId: id };
}

const who = ({ channelId, kind, value }: PresentVisitor): PresentVisitor => ({ channelId, kind, value });

async function told(conversationId: string): Promise<readonly string[]> {
  const events = await db
    .selectFrom('event')
    .select(['kind', 'place_id'])
    .where('conversation_id', '=', conversationId)
    .where('kind', 'like', 'VISITOR_%')
    .orderBy('id')
    .execute();
  for (const { place_id: placeId } of events) expect(placeId).toBe(channel.placeId);
  return events.map(({ kind }) => kind.replace('VISITOR_', ''));
}

/** As if nothing had been heard of them for so long. */
const silentFor = (visitor: PresentVisitor, seconds: number) =>
  sql`update visitor_presence set seen_at = now() - make_interval(secs => ${seconds}) where value = ${visitor.value}`.execute(db);

describe('who is here', () => {
  it('came and left once each, however many processes say and look so at once [CHAT-6]', async () => {
    const visitors: Awaited<ReturnType<typeof visitorWhoWrote>>[] = [];
    for (let n = 0; n < 12; n += 1) visitors.push(await visitorWhoWrote());
    for (let round = 1; round <= 3; round += 1) {
      // In every order: rows are taken in one, so nobody waits for one who waits for them.
      await Promise.all(Array.from({ length: 10 }, (_, n) => keepHere(n % 2 === 0 ? db : other, (n % 3 === 0 ? visitors.toReversed() : visitors).map(who))));
      await Promise.all(visitors.map((one) => silentFor(one, GONE_AFTER_SECONDS + 1)));
      const found = await Promise.all(Array.from({ length: 10 }, (_, n) => sweepGone(n % 2 === 0 ? db : other, 5)));
      let left = found.reduce((sum, one) => sum + one, 0);
      while (left < visitors.length) left += await sweepGone(db, 5);
      expect(left).toBe(visitors.length);
      for (const { conversationId } of visitors) expect(await told(conversationId)).toEqual(Array.from({ length: round }, () => ['CAME', 'LEFT']).flat());
    }
  });

  it('has left after a minute without a connection, and not before; who is renewed meanwhile stays [CHAT-6]', async () => {
    const [stays, goes] = [await visitorWhoWrote(), await visitorWhoWrote()];
    await keepHere(db, [stays, goes].map(who));
    await sweepGone(db, 100);
    await Promise.all([silentFor(stays, GONE_AFTER_SECONDS - 5), silentFor(goes, GONE_AFTER_SECONDS + 1)]);
    expect(await sweepGone(db, 100)).toBe(1);
    expect([await told(stays.conversationId), await told(goes.conversationId)]).toEqual([['CAME'], ['CAME', 'LEFT']]);
    for (let round = 0; round < 20; round += 1) {
      await silentFor(stays, GONE_AFTER_SECONDS + 1);
      await Promise.all([keepHere(other, [who(stays)]), sweepGone(db, 100)]);
      expect(await sweepGone(db, 100)).toBe(0);
      const row = await db.selectFrom('visitor_presence').select('here').where('value', '=', stays.value).executeTakeFirstOrThrow();
      // Told and stored say the same.
      expect((await told(stays.conversationId)).at(-1)).toBe(row.here ? 'CAME' : 'LEFT');
      await keepHere(db, [who(stays)]);
    }
  });

  it('is told on open conversations only, and of one who never wrote to nobody [CHAT-6]', async () => {
    const events = async () =>
      Number(
        (
          await db
            .selectFrom('event')
            .select(sql<number>`count(*)`.as('n'))
            .executeTakeFirstOrThrow()
        ).n,
      );
    const before = await events();
    await keepHere(db, [{ channelId: channel.id, kind: 'visitor', value: 'never-wrote' }]);
    expect(await events()).toBe(before);
    const visitor = await visitorWhoWrote();
    await transact(db, { actor: 'SYSTEM' }, (unit) => close(unit, { conversationId: visitor.conversationId }));
    await keepHere(db, [who(visitor)]);
    expect(await told(visitor.conversationId)).toEqual([]);
  });

  it('of one who is no contact leaves no row, and none comes back while a contact is erased [CHAT-6, OPS-9]', async () => {
    await keepHere(db, [{ channelId: channel.id, kind: 'visitor', value: 'nobody-known' }]);
    const userId = await makeUser(db);
    const all: string[] = ['nobody-known'];
    for (let round = 0; round < 15; round += 1) {
      const visitors = [await visitorWhoWrote(), await visitorWhoWrote()];
      all.push(...visitors.map(({ value }) => value));
      await keepHere(db, visitors.map(who));
      const ids = visitors.map(({ conversationId }) => conversationId);
      const contacts = await db.selectFrom('conversation').select('contact_id').where('id', 'in', ids).execute();
      await Promise.all([
        ...contacts.map(({ contact_id: contactId }) => transact(db, { actor: 'USER', userId }, (unit) => eraseContact(unit, { contactId: contactId ?? '' }))),
        ...Array.from({ length: 8 }, (_, n) => keepHere(n % 2 === 0 ? db : other, (n % 3 === 0 ? visitors.toReversed() : visitors).map(who))),
      ]);
      await keepHere(db, visitors.map(who));
    }
    expect(await db.selectFrom('visitor_presence').select('value').where('value', 'in', all).execute()).toEqual([]);
  });

  it('begins its minute when the page is closed, unless it fell silent long before [CHAT-6]', async () => {
    const [closes, silent, left] = [await visitorWhoWrote(), await visitorWhoWrote(), await visitorWhoWrote()];
    await keepHere(db, [closes, silent, left].map(who));
    await Promise.all([silentFor(closes, ALIVE_SECONDS - 5), silentFor(silent, ALIVE_SECONDS + 1), silentFor(left, GONE_AFTER_SECONDS + 1)]);
    await sweepGone(db, 100);
    await keepUntilNow(db, [closes, silent, left].map(who));
    const { rows } = await sql<{ value: string; here: boolean; fresh: boolean }>`
      select value, here, seen_at > now() - interval '10 s' as fresh from visitor_presence
      where value in (${closes.value}, ${silent.value}, ${left.value}) order by seen_at desc`.execute(db);
    expect(rows).toEqual([
      { value: closes.value, here: true, fresh: true },
      { value: silent.value, here: true, fresh: false },
      { value: left.value, here: false, fresh: false },
    ]);
  });

  it('stands on the conversation: here since they came, or when they were last known to be [CHAT-6]', async () => {
    const visitor = await visitorWhoWrote();
    const state = async () => (await presenceOf(db, [visitor.conversationId])).get(visitor.conversationId);
    expect(await state()).toBeUndefined();
    await keepHere(db, [who(visitor)]);
    const here = await state();
    expect(here?.here).toBe(true);
    await silentFor(visitor, 90);
    await sweepGone(db, 100);
    const gone = await state();
    expect(gone?.here).toBe(false);
    expect((here?.since.getTime() ?? 0) - (gone?.since.getTime() ?? 0)).toBeGreaterThan(80_000);
  });

  it('is erased with the contact, and forgotten thirty days after they left [OPS-9]', async () => {
    const [erased, old, recent] = [await visitorWhoWrote(), await visitorWhoWrote(), await visitorWhoWrote()];
    await keepHere(db, [erased, old, recent].map(who));
    const { contact_id: contactId } = await db
      .selectFrom('conversation')
      .select('contact_id')
      .where('id', '=', erased.conversationId)
      .executeTakeFirstOrThrow();
    const userId = await makeUser(db);
    await transact(db, { actor: 'USER', userId }, (unit) => eraseContact(unit, { contactId: contactId ?? '' }));
    await silentFor(old, 31 * 86_400);
    await silentFor(recent, 29 * 86_400);
    await sweepGone(db, 100);
    expect(await removeExpired(db, 100)).toMatchObject({ visitorPresence: 1 });
    const left = await db.selectFrom('visitor_presence').select('value').where('value', 'in', [erased.value, old.value, recent.value]).execute();
    expect(left.map(({ value }) => value)).toEqual([recent.value]);
  });
});
