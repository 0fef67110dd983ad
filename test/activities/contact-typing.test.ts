import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { InboundEvent } from '@trunkline/channel-sdk';
import type { Engine } from '#activities/dependencies.ts';
import { drain } from '#activities/intake.ts';
import type { ParsePool } from '#activities/parse-pool.ts';
import { SIGNAL_CHANNEL } from '#db/announce.ts';
import type { Db } from '#db/database.ts';
import { startListening } from '#db/listen.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { deliver, inbound, makeChannel, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';

let database: TestDatabase;
let db: Db;
let connection: ReturnType<typeof startListening>;
const heard: string[] = [];
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  const listening = Promise.withResolvers<void>();
  connection = startListening({
    directUrl: database.url,
    name: 'test-typing',
    channels: [SIGNAL_CHANNEL],
    onNotification: (_channel, payload) => void heard.push(payload),
    onListening: () => listening.resolve(),
  });
  await listening.promise;
});
afterAll(async () => {
  await connection.close();
  await database.drop();
});
beforeEach(() => void (heard.length = 0));

const pool: ParsePool = {
  parse: async (_plugin, _channel, raw) => ({ ok: true, events: JSON.parse(Buffer.from(raw.body).toString()) as readonly InboundEvent[], safe: [] }),
  check: notHere,
  extract: notHere,
  warm: async () => undefined,
  close: async () => undefined,
};
function notHere(): never {
  throw new Error('not asked here');
}
const none = () => undefined;
const engineOf = (typing = true): Engine => ({
  db,
  keys: testKeys,
  plugins: [{ ...plainPlugin, capabilities: { ...plainPlugin.capabilities, typing } }],
  configUrl: '',
  log: { info: none, warn: none, error: none },
  now: () => Date.now(),
  waker: { signalWithStart: async () => undefined, terminate: async () => false },
  pool,
});

let number = 0;
async function begun(): Promise<{ readonly channel: MadeChannel; readonly from: string; readonly told: string }> {
  const channel = await makeChannel(db);
  const from = `ada-${(number += 1)}@customer.example`;
  await take(db, channel, [inbound(from)]);
  const { id } = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
  return { channel, from, told: `typing ${id} ${channel.id} visitor` };
}
const typing = (from: string, occurredAt?: string): InboundEvent => ({
  type: 'typing',
  dedupeKey: `typing-${(number += 1)}`,
  contact: { kind: 'email-address', value: from },
  ...(occurredAt === undefined ? {} : { occurredAt }),
});
const goIn = ({ key }: MadeChannel, engine = engineOf()) => drain(engine, key, { beat: none, stopped: () => false });
const ago = (seconds: number) => new Date(Date.now() - seconds * 1000);

it('a provider’s word that a contact is writing is told by ids once its delivery is in, once for each contact, and never stored [CHAT-2]', async () => {
  const { channel, from, told } = await begun();
  const { deliveryId } = await deliver(db, channel, [typing(from), typing(from)]);
  await goIn(channel);
  await eventually(() => expect(heard).toEqual([told]));
  const row = await db.selectFrom('raw_delivery').select(['state', 'body']).where('id', '=', deliveryId).executeTakeFirstOrThrow();
  expect([row.state, row.body.byteLength]).toEqual(['DONE', 0]);
  const kinds = await db.selectFrom('event').select('kind').where('channel_id', '=', channel.id).where('kind', 'like', '%TYP%').execute();
  expect(kinds).toEqual([]);
});

it('nothing is told that is older than ten seconds, of nobody’s conversation, or where the plugin has no typing [CHAT-2]', async () => {
  const { channel, from, told } = await begun();
  await deliver(db, channel, [typing(from)], ago(11));
  await deliver(db, channel, [typing(from, ago(11).toISOString())]);
  await deliver(db, channel, [typing('nobody@customer.example')]);
  await goIn(channel);
  const mute = await begun();
  await deliver(db, mute.channel, [typing(mute.from)]);
  await goIn(mute.channel, engineOf(false));
  // What is told after them is the first that is heard.
  await deliver(db, channel, [typing(from, ago(1).toISOString())]);
  await goIn(channel);
  await eventually(() => expect(heard).toContain(told));
  expect(heard).toEqual([told]);
});
