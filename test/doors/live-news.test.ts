import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { comment, reply } from '#commands/conversations.ts';
import { assign } from '#commands/owners.ts';
import { close } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { visitorHistory } from '#commands/visitor-messages.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeUser } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { connectTalk, openPage, openProcess, say, talk, texts, type OpenPage, type Process } from './live-support.ts';

let database: TestDatabase;
let one: Process;
let two: Process;
let agent: string;

beforeAll(async () => {
  database = await testDatabase();
  [one, two] = await Promise.all([openProcess(database.url), openProcess(database.url)]);
  agent = await makeUser(database.db, { name: 'Ada Lovelace' });
});
afterAll(async () => {
  await Promise.all([one?.close(), two?.close()]);
  await database?.drop();
});

async function conversationOf(v: string): Promise<string> {
  return eventually(async () => {
    const found = await database.db
      .selectFrom('conversation as c')
      .innerJoin('contact_identity as i', 'i.contact_id', 'c.contact_id')
      .select('c.id')
      .where('i.value', '=', v)
      .orderBy('c.id', 'desc')
      .executeTakeFirst();
    return found?.id ?? false;
  });
}

const answer = (conversationId: string, text: string, by = agent) =>
  transact(one.db, { actor: 'USER', userId: by }, (unit) => reply(unit, [talk], { conversationId, text }));

const ready = (page: OpenPage) => eventually(() => page.lines[0]?.type === 'ready');
const shows = (page: OpenPage, wanted: readonly string[]) => eventually(() => expect(texts(page)).toEqual(wanted));

describe('an open page', () => {
  it('is told of what was taken in and answered at another process, once and in order [CHAT-2]', async () => {
    const { key } = await connectTalk(database.db);
    const v = randomUUID();
    const [here, there] = await Promise.all([openPage(one.page(key), v), openPage(two.page(key), v)]);
    expect((await say(two.page(key), v, 'hello')).status).toBe(202);
    await Promise.all([here, there].map((page) => shows(page, ['hello'])));
    await answer(await conversationOf(v), 'good day');
    await Promise.all([here, there].map((page) => shows(page, ['hello', 'good day'])));
    const [hello, goodDay] = here.lines.flatMap((line) => (line.type === 'message' ? [line.message] : []));
    expect(hello).toMatchObject({ from: 'visitor', author: null, html: null, quickReplies: [] });
    expect(hello?.providerMessageId).toMatch(/^[0-9a-f-]{36}$/);
    expect(goodDay).toMatchObject({ from: 'us', author: 'Ada Lovelace', providerMessageId: null });
    for (const page of [here, there]) page.cut();
  });

  it('is told who joined and that the conversation was closed, and never of comments or another channel’s messages [CHAT-6, CHAT-2]', async () => {
    const { key } = await connectTalk(database.db);
    const v = randomUUID();
    const page = await openPage(one.page(key), v);
    await say(one.page(key), v, 'anybody?');
    const conversationId = await conversationOf(v);
    await transact(one.db, { actor: 'USER', userId: agent }, (unit) => comment(unit, { conversationId, text: 'a difficult one' }));
    await database.db
      .insertInto('message')
      .values({
        conversation_id: conversationId,
        direction: 'OUTBOUND',
        automatic: true,
        text: 'by another way',
        occurred_at: new Date(),
        channel_id: (await connectTalk(database.db)).channelId,
      })
      .execute();
    const other = await makeUser(database.db, { name: 'Grace Hopper' });
    await transact(one.db, { actor: 'USER', userId: agent }, (unit) => assign(unit, { conversationId }, { userId: other }));
    await transact(one.db, { actor: 'USER', userId: agent }, (unit) => close(unit, { conversationId }));
    await eventually(() => page.lines.some(({ type }) => type === 'closed'));
    // What the page was shown when it looked back may come once more as news.
    const news = page.lines.filter((line) => line.type !== 'message' || line.old !== true);
    expect(news.map((line) => (line.type === 'joined' ? `joined ${line.author}` : line.type))).toEqual(['ready', 'message', 'joined Grace Hopper', 'closed']);
    expect(await visitorHistory(one.db, { channelId: await channelOf(key), visitor: { kind: 'visitor', value: v } })).toHaveLength(1);
    page.cut();
  });

  it('looks back over all of it, a hundred at a time, from the start or behind a message; of another visitor’s it learns nothing [CHAT-2]', async () => {
    const { key, channelId } = await connectTalk(database.db);
    const [v, stranger] = [randomUUID(), randomUUID()];
    await say(one.page(key), stranger, 'a secret');
    await say(one.page(key), v, 'first');
    const conversationId = await conversationOf(v);
    await sql`insert into message (conversation_id, channel_id, direction, automatic, text, occurred_at)
      select ${conversationId}, ${channelId}, 'OUTBOUND', true, n::text, now() from generate_series(1, 230) n`.execute(database.db);
    const wanted = ['first', ...Array.from({ length: 230 }, (_, n) => String(n + 1))];
    const page = await openPage(one.page(key), v);
    await shows(page, wanted);
    const ref = { channelId, visitor: { kind: 'visitor', value: v } } as const;
    const all = await visitorHistory(one.db, ref);
    expect(all).toHaveLength(100);
    expect((await visitorHistory(one.db, ref, all[49]?.id)).at(0)?.text).toBe('50');
    const [secret] = await visitorHistory(one.db, { channelId, visitor: { kind: 'visitor', value: stranger } });
    expect(secret?.text).toBe('a secret');
    for (const unknown of [secret?.id, randomUUID(), 'no id at all', '', `'; drop table message`]) {
      expect((await visitorHistory(one.db, ref, unknown)).map(({ text }) => text)).toEqual(wanted.slice(0, 100));
    }
    page.cut();
  });

  it('of somebody else is told nothing, on the same channel or with the same id on another [CHAT-2]', async () => {
    const [first, second] = [await connectTalk(database.db), await connectTalk(database.db)];
    const [v, w] = [randomUUID(), randomUUID()];
    const others = await Promise.all([openPage(one.page(first.key), w), openPage(one.page(second.key), v)]);
    const mine = await openPage(one.page(first.key), v);
    await Promise.all([...others, mine].map(ready));
    await say(one.page(first.key), v, 'mine alone');
    await shows(mine, ['mine alone']);
    await say(one.page(first.key), w, 'theirs');
    const [theirs, elsewhere] = others;
    if (theirs === undefined || elsewhere === undefined) throw new Error('two pages');
    await shows(theirs, ['theirs']);
    expect(texts(elsewhere)).toEqual([]);
    expect(texts(mine)).toEqual(['mine alone']);
    for (const page of [...others, mine]) page.cut();
  });
});

describe('nothing is left out', () => {
  it('between looking back and the news, wherever in between a message is committed [CHAT-2]', async () => {
    const { key, channelId } = await connectTalk(database.db);
    const v = randomUUID();
    await say(one.page(key), v, 'begin');
    const conversationId = await conversationOf(v);
    const ref = { channelId, visitor: { kind: 'visitor', value: v } } as const;
    for (let round = 0; round < 40; round += 1) {
      // A process that has no open page yet is where the two begin together.
      const fresh = await openProcess(database.url, { lookMs: 20 });
      const over = new AbortController();
      const writing = answer(conversationId, `round ${round}`);
      const news = fresh.live.news(ref, [over.signal], 'address')[Symbol.asyncIterator]();
      const past = (await fresh.live.history(ref)).map(({ text }) => text);
      await writing;
      // An older transaction, of whatever database, holds the feed back: what was looked back at may come once more before what is new.
      for (let missing = past.at(-1) !== `round ${round}`; missing;) {
        const { value } = await news.next();
        expect(value).toMatchObject({ type: 'message' });
        const text = value?.type === 'message' ? value.message.text : '';
        missing = text !== `round ${round}`;
        if (missing) expect(past).toContain(text);
      }
      over.abort();
      await fresh.close();
    }
  });

  it('where an older transaction keeps the event of an earlier message back: it comes before the later one, and not again [CHAT-2]', async () => {
    const { key, channelId } = await connectTalk(database.db);
    const v = randomUUID();
    const page = await openPage(one.page(key), v);
    await say(one.page(key), v, 'begin');
    const conversationId = await conversationOf(v);
    await shows(page, ['begin']);
    const write = (text: string) => sql`
      with said as (insert into message (conversation_id, channel_id, direction, automatic, text, occurred_at) values (${conversationId}, ${channelId}, 'OUTBOUND', true, ${text}, now()) returning id)
      insert into event (kind, actor, channel_id, conversation_id, message_id, data) select 'MESSAGE_WRITTEN', 'SYSTEM', ${channelId}, ${conversationId}, id, '{}' from said`;
    const begin = async () => {
      const tx = await database.db.startTransaction().execute();
      await sql`select pg_current_xact_id()`.execute(tx);
      return tx;
    };
    // The later message's transaction is the oldest; another one stands between the two.
    const [later, between, earlier] = [await begin(), await begin(), await begin()];
    await write('earlier').execute(earlier);
    await earlier.commit().execute();
    await write('later').execute(later);
    await later.commit().execute();
    await shows(page, ['begin', 'earlier', 'later']);
    await between.commit().execute();
    await answer(conversationId, 'end');
    await shows(page, ['begin', 'earlier', 'later', 'end']);
    page.cut();
  });

  it('where telling it fails a few times: pages stay open and are told afterwards, and end only when it goes on failing [CHAT-2]', async () => {
    const fresh = await openProcess(database.url);
    const { key, channelId } = await connectTalk(database.db);
    const v = randomUUID();
    const page = await openPage(fresh.page(key), v);
    const bystanders = await Promise.all(Array.from({ length: 20 }, (_, n) => openPage(fresh.page(key), `${v}-${n}`, { from: `192.0.6.${n}` })));
    await say(fresh.page(key), v, 'first');
    await shows(page, ['first']);
    const conversationId = await conversationOf(v);
    const write = (text: string) =>
      sql`
      with said as (insert into message (conversation_id, channel_id, direction, automatic, text, occurred_at) values (${conversationId}, ${channelId}, 'OUTBOUND', true, ${text}, now()) returning id)
      insert into event (kind, actor, channel_id, conversation_id, message_id, data) select 'MESSAGE_WRITTEN', 'SYSTEM', ${channelId}, ${conversationId}, id, '{}' from said`.execute(
        database.db,
      );
    /** The news of every process ask for authors' names. */
    const failing = async (body: () => Promise<unknown>) => {
      const before = fresh.problems.length;
      await sql`alter table app_user rename to app_user_away`.execute(database.db);
      try {
        await body();
      } finally {
        await sql`alter table app_user_away rename to app_user`.execute(database.db);
      }
      return fresh.problems.length - before;
    };
    await failing(async () => {
      const before = fresh.problems.length;
      await write('second');
      await eventually(() => fresh.problems.length >= before + 2);
    });
    await shows(page, ['first', 'second']);
    expect(fresh.live.size).toBe(21);
    expect(page.lines.filter((line) => line.type === 'message')).toHaveLength(2);
    const failures = await failing(async () => {
      await write('third');
      await Promise.all([page, ...bystanders].map(({ ended }) => ended));
    });
    expect(failures).toBe(6);
    const after = page.lines.flatMap((line) => (line.type === 'message' ? [line.message.id] : [])).at(-1);
    const again = await openPage(fresh.page(key), v, { after });
    await shows(again, ['third']);
    again.cut();
    await fresh.close();
  });

  it('of two conversations, where an earlier message of the one is committed after a later one of the other was shown and the page was cut off [CHAT-2]', async () => {
    const { key, channelId } = await connectTalk(database.db);
    await database.db.updateTable('channel').set({ reopening: 'NEW_AFTER', reopen_days: 1 }).where('id', '=', channelId).execute();
    const v = randomUUID();
    await say(one.page(key), v, 'first');
    const first = await conversationOf(v);
    await transact(one.db, { actor: 'USER', userId: agent }, (unit) => close(unit, { conversationId: first }));
    await sql`update conversation set closed_at = now() - interval '3 days' where id = ${first}`.execute(database.db);
    await sql`update ticket set closed_at = now() - interval '3 days' where conversation_id = ${first}`.execute(database.db);
    await say(one.page(key), v, 'second');
    const second = await eventually(async () => {
      const id = await conversationOf(v);
      return id !== first && id;
    });
    const held = Promise.withResolvers<void>();
    const written = Promise.withResolvers<void>();
    // Delivered an hour before it was taken in.
    const late = transact(one.db, { actor: 'USER', userId: agent }, async (unit) => {
      const { messageId } = await reply(unit, [talk], { conversationId: first, text: 'late' });
      await sql`update message set received_at = received_at - interval '1 hour', occurred_at = occurred_at - interval '1 hour' where id = ${messageId}`.execute(
        unit.tx,
      );
      written.resolve();
      await held.promise;
    });
    await written.promise;
    await answer(second, 'shown');
    const page = await openPage(one.page(key), v);
    await shows(page, ['first', 'second', 'shown']);
    page.cut();
    await page.ended;
    held.resolve();
    await late;
    const after = page.lines.flatMap((line) => (line.type === 'message' ? [line.message.id] : [])).at(-1);
    const again = await openPage(one.page(key), v, { after });
    await eventually(() => expect(texts(again)).toContain('late'));
    // It ends, though what is given again lies before what was named.
    await answer(second, 'and on');
    await eventually(() => expect(texts(again).at(-1)).toBe('and on'));
    again.cut();
    // One who reads on is given nothing again.
    const ref = { channelId, visitor: { kind: 'visitor', value: v } } as const;
    expect(await visitorHistory(one.db, ref, after)).toMatchObject([{ text: 'and on' }]);
    expect((await visitorHistory(one.db, ref, after, true)).map(({ text }) => text)).toEqual(['first', 'late', 'and on']);
  });

  it('with the connection cut a hundred times while both sides write: nothing lost, nothing twice, the order kept [CHAT-2]', async () => {
    const { key } = await connectTalk(database.db);
    const v = randomUUID();
    await say(one.page(key), v, 'hello');
    const conversationId = await conversationOf(v);
    const each = 60;
    let writing = true;
    const writers = Promise.all([
      (async () => {
        for (let n = 0; n < each; n += 1) await say(n % 2 === 0 ? one.page(key) : two.page(key), v, `visitor ${n}`);
      })(),
      (async () => {
        for (let n = 0; n < each; n += 1) await answer(conversationId, `agent ${n}`);
      })(),
    ]).finally(() => (writing = false));
    const seen = new Map<string, string>();
    let after: string | undefined;
    const take = (page: OpenPage): void => {
      for (const line of page.lines) {
        if (line.type !== 'message') continue;
        after = line.message.id;
        if (!seen.has(line.message.id)) seen.set(line.message.id, line.message.text);
      }
    };
    for (let cuts = 0; cuts < 100 || writing; cuts += 1) {
      const page = await openPage((cuts % 2 === 0 ? one : two).page(key), v, { after });
      await eventually(() => page.lines.length > 1 + (cuts % 3) || !writing, { intervalMs: 1 });
      page.cut();
      await page.ended;
      take(page);
    }
    await writers;
    const total = 1 + 2 * each;
    const last = await openPage(one.page(key), v, { after });
    await eventually(() => {
      take(last);
      expect(seen.size).toBe(total);
    });
    last.cut();
    const shown = [...seen.values()];
    expect(new Set(shown).size).toBe(total);
    for (const side of ['visitor', 'agent']) {
      expect(shown.filter((text) => text.startsWith(side))).toEqual(Array.from({ length: each }, (_, n) => `${side} ${n}`));
    }
    const stored = await database.db.selectFrom('message').select('text').where('conversation_id', '=', conversationId).orderBy('arrival').execute();
    expect(shown).toEqual(stored.map(({ text }) => text));
  });
});

async function channelOf(key: string): Promise<string> {
  return (await database.db.selectFrom('channel').select('id').where('key', '=', key).executeTakeFirstOrThrow()).id;
}
