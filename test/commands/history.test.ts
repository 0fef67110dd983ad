import type { InboundMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyPage } from '#commands/catch-up.ts';
import type { Db } from '#db/database.ts';
import { conversationOf, flowCapabilities, makeFlowChannel, said } from '../support/chatflow.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testKeys, type MadeChannel } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(() => database.drop());

const MINUTE = 60_000;
const ago = (milliseconds: number): string => new Date(Date.now() - milliseconds).toISOString();
const answer = (visitor: string, occurredAt: string): InboundMessage => said(visitor, 'Here you are', { direction: 'echo', occurredAt });

/** What a provider has from before, as one page of catching up. */
async function fetched(channel: MadeChannel, events: readonly InboundMessage[]): Promise<void> {
  await sql`update channel set catch_up_since = now() where id = ${channel.id}`.execute(db);
  const { cursor, catch_up_asked: asked } = await db
    .selectFrom('channel')
    .select(['cursor', 'catch_up_asked'])
    .where('id', '=', channel.id)
    .executeTakeFirstOrThrow();
  const page = { events, safe: events.map(() => null), deliveries: [], cursor: `${Number(cursor ?? 0) + 1}`, more: false };
  const { value } = await applyPage(db, { keys: testKeys, capabilities: flowCapabilities }, { channelId: channel.id, cursor, asked, tries: 0 }, page);
  expect(value.outcome).toBe('applied');
}

async function situation(channel: MadeChannel, visitor: string): Promise<{ readonly bot: boolean; readonly toBeDecided: boolean }> {
  const id = await conversationOf(db, channel, visitor);
  const run = await db.selectFrom('chatflow_run').select('state').where('conversation_id', '=', id).executeTakeFirst();
  const ticket = await db.selectFrom('ticket').select('route_pending_since').where('conversation_id', '=', id).executeTakeFirstOrThrow();
  return { bot: run !== undefined, toBeDecided: ticket.route_pending_since !== null };
}

describe('what catching up brings', () => {
  it('begins no bot about what is long past, which waits for people [PLUG-7, CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    await fetched(channel, [said('grace', 'Hello?', { occurredAt: ago(400 * 24 * 60 * MINUTE) })]);
    expect(await situation(channel, 'grace')).toEqual({ bot: false, toBeDecided: true });
  });

  it('is given to nobody where it was answered since, on the same page or a later one [PLUG-7, ROUTE-1]', async () => {
    const channel = await makeFlowChannel(db);
    await fetched(channel, [said('ada', 'Hello?', { occurredAt: ago(900 * MINUTE) }), answer('ada', ago(800 * MINUTE))]);
    expect(await situation(channel, 'ada')).toEqual({ bot: false, toBeDecided: false });
    await fetched(channel, [said('eve', 'Hello?', { occurredAt: ago(900 * MINUTE) })]);
    await fetched(channel, [answer('eve', ago(800 * MINUTE))]);
    expect(await situation(channel, 'eve')).toEqual({ bot: false, toBeDecided: false });
    await fetched(channel, [said('eve', 'And now?', { occurredAt: ago(700 * MINUTE) })]);
    expect(await situation(channel, 'eve')).toEqual({ bot: false, toBeDecided: false });
  });

  it('is met by the bot where it was only just missed [PLUG-7, CHAT-5]', async () => {
    const channel = await makeFlowChannel(db);
    await fetched(channel, [said('joan', 'Hello?', { occurredAt: ago(5 * MINUTE) })]);
    expect(await situation(channel, 'joan')).toEqual({ bot: true, toBeDecided: false });
  });
});
