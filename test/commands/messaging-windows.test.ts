import { definePlugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { reply } from '#commands/conversations.ts';
import { leaveOutOutsideWindow, windowsOf } from '#commands/messaging-windows.ts';
import { claimNext } from '#commands/outbox.ts';
import { OutsideWindow } from '#commands/refusals.ts';
import { lockSubject } from '#commands/subjects.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';

const windows = [
  { sender: 'person', hours: 168, afterwards: 'nothing' },
  { sender: 'automation', hours: 24, afterwards: 'template' },
] as const;
const capabilities = { ...plainCapabilities, windows };
const windowed = definePlugin({ ...plainPlugin, capabilities });
const plugins = [windowed];

let database: TestDatabase;
let db: Db;
let agent: string;
let channel: MadeChannel;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  agent = await makeUser(db);
  channel = await makeChannel(db);
});
afterAll(() => database.drop());

let people = 0;
/** A conversation whose contact wrote so many hours ago, by our clock. */
async function wroteAgo(hours: number): Promise<string> {
  const message = inbound(`somebody-${(people += 1)}@out.example`);
  await take(db, channel, [message], capabilities);
  const { conversation_id: id } = await db
    .selectFrom('message')
    .select('conversation_id')
    .where('provider_message_id', '=', message.providerMessageId)
    .executeTakeFirstOrThrow();
  await age(id, hours);
  return id;
}
const age = (id: string, hours: number) =>
  sql`update message set received_at = now() - make_interval(secs => ${hours * 3600}), occurred_at = now() - make_interval(secs => ${hours * 3600})
    where conversation_id = ${id} and direction = 'INBOUND'`.execute(db);
const answer = (conversationId: string) => transact(db, { actor: 'USER', userId: agent }, (unit) => reply(unit, plugins, { conversationId, text: 'Hello' }));
const claim = async (id: string) =>
  (
    await claimNext(
      db,
      id,
      () => undefined,
      () => ({ windows, rate: {} }),
    )
  ).value;
const lastOf = async (id: string) => {
  const { rows } = await sql<{ at: Date }>`select max(received_at) as at from message where conversation_id = ${id} and direction = 'INBOUND'`.execute(db);
  return rows[0]?.at ?? new Date(0);
};
const plus = (date: Date, hours: number) => new Date(date.getTime() + hours * 3_600_000);

it('refuses a person’s answer once their window has closed, says when, and writes nothing [PLUG-3]', async () => {
  const open = await wroteAgo(167);
  await answer(open);
  const closed = await wroteAgo(169);
  const closedAt = plus(await lastOf(closed), 168);
  await expect(answer(closed)).rejects.toMatchObject({ name: 'OutsideWindow', closedAt, templates: false });
  await expect(answer(closed)).rejects.toBeInstanceOf(OutsideWindow);
  expect(await db.selectFrom('outbound').select('message_id').where('conversation_id', '=', closed).execute()).toEqual([]);
  expect(await db.selectFrom('message').select('id').where('conversation_id', '=', closed).where('direction', '=', 'OUTBOUND').execute()).toEqual([]);
});

it('opens again with the next message, and not with a machine’s [PLUG-3, EMAIL-6]', async () => {
  const id = await wroteAgo(200);
  const row = await db.selectFrom('message').select('provider_message_id').where('conversation_id', '=', id).executeTakeFirstOrThrow();
  const joins = [row.provider_message_id ?? ''];
  const from = `somebody-${people}@out.example`;
  await take(db, channel, [inbound(from, { joins, automatic: 'auto-reply' })], capabilities);
  await expect(answer(id)).rejects.toBeInstanceOf(OutsideWindow);
  await take(db, channel, [inbound(from, { joins })], capabilities);
  await answer(id);
});

it('counts from our receipt, whatever older date the provider gives [MODEL-4]', async () => {
  const id = await wroteAgo(1);
  await sql`update message set occurred_at = now() - interval '30 days' where conversation_id = ${id}`.execute(db);
  await answer(id);
});

it('tells beforehand until when, for a person and for a machine, in one statement for many [PLUG-3]', async () => {
  const [fresh, day, old] = [await wroteAgo(1), await wroteAgo(30), await wroteAgo(200)];
  const found = await windowsOf(db, plugins, [fresh, day, old]);
  expect(found.get(fresh)).toEqual({
    person: { openUntil: plus(await lastOf(fresh), 168), closedAt: null, afterwards: 'nothing' },
    automation: { openUntil: plus(await lastOf(fresh), 24), closedAt: null, afterwards: 'template' },
  });
  expect(found.get(day)).toMatchObject({ person: { closedAt: null }, automation: { openUntil: null, closedAt: plus(await lastOf(day), 24) } });
  expect(found.get(old)).toMatchObject({ person: { openUntil: null }, automation: { openUntil: null } });
  expect((await windowsOf(db, [plainPlugin], [fresh])).size).toBe(0);
});

it('a reply that waits fails when its window closes meanwhile, is not sent, and lets the next conversation be [CH-4]', async () => {
  const id = await wroteAgo(1);
  const { value } = await answer(id);
  await age(id, 169);
  expect(await claim(id)).toMatchObject({ kind: 'wait', why: 'FAILED', messageId: value.messageId });
  const row = await db.selectFrom('outbound').selectAll().where('message_id', '=', value.messageId).executeTakeFirstOrThrow();
  expect(row).toMatchObject({ state: 'FAILED', failure_code: 'OutsideWindow', attempt: 0, can_retry: false });
  expect(row.failure_reason).toBe(`closed at ${plus(await lastOf(id), 168).toISOString()}`);
  expect(await claim(id)).toEqual({ kind: 'idle' });
});

it('what waits is looked at again when its window closes, if that comes before its next try [CH-4]', async () => {
  const id = await wroteAgo(167.99);
  const { value } = await answer(id);
  await sql`update outbound set not_before = now() + interval '1 hour' where message_id = ${value.messageId}`.execute(db);
  expect(await claim(id)).toMatchObject({ kind: 'wait', until: plus(await lastOf(id), 168).toISOString() });
});

it('a machine is left out where it may say nothing, and the timeline says so; a person still may [PLUG-3]', async () => {
  const leave = async (id: string) =>
    (
      await transact(db, { actor: 'SYSTEM' }, async (unit) =>
        leaveOutOutsideWindow(unit, await lockSubject(unit.tx, { conversationId: id }), windows, 'ON_CLOSE'),
      )
    ).value;
  const open = await wroteAgo(23);
  expect(await leave(open)).toBe(false);
  const closed = await wroteAgo(25);
  expect(await leave(closed)).toBe(true);
  const said = await db.selectFrom('event').select(['why', 'data']).where('conversation_id', '=', closed).where('kind', '=', 'MESSAGE_LEFT_OUT').execute();
  expect(said).toEqual([{ why: 'ON_CLOSE', data: { closedAt: plus(await lastOf(closed), 24).toISOString() } }]);
  await answer(closed);
});
