import type { Failure } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createBodies } from '#api/doors/bodies.ts';
import { LIMITS } from '#api/limits.ts';
import { disconnectChannel, setChannelEnabled } from '#commands/channels.ts';
import { setIntakeUntil } from '#commands/intake.ts';
import { transact } from '#commands/unit.ts';
import { openDatabase } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import testhook from '../support/test-plugin.ts';
import { eventually } from '../support/wait.ts';
import { APP_SECRET, call, connectHook, deliveries, fakeTemporal, PUBLIC_URL, testDoors, type FakeTemporal, type TestDoors } from './support.ts';

let database: TestDatabase;
let temporal: FakeTemporal;
let doors: TestDoors;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());
beforeEach(() => {
  temporal = fakeTemporal();
  doors = testDoors(database.db, temporal);
});
afterEach(() => doors.close());

const post = async (key: string, init: RequestInit, plugin = 'testhook') => doors.app.request(`${PUBLIC_URL}/hooks/${plugin}/${key}?page=1`, init);
const system = { actor: 'SYSTEM' } as const;

describe('a webhook', () => {
  it('is stored byte for byte with its headers and address, answered by the plugin, and its intake woken [OPS-10]', async () => {
    const { channelId, key } = await connectHook(database.db);
    const request = call('hello');
    const response = await post(key, request);
    expect([response.status, await response.text()]).toEqual([200, 'taken']);
    const [stored] = await deliveries(database.db, channelId);
    expect(stored).toMatchObject({
      method: 'POST',
      url: `${PUBLIC_URL}/hooks/testhook/${key}?page=1`,
      state: 'WAITING',
      headers: { 'content-type': 'application/json' },
    });
    expect(stored?.body.toString()).toBe(request.body);
    await eventually(() => expect(temporal.woken).toEqual([`channel-intake/${key}`]));
  });

  it('answers a handshake without storing anything [PLUG-4]', async () => {
    const { channelId, key } = await connectHook(database.db);
    const response = await doors.app.request(`${PUBLIC_URL}/hooks/testhook/${key}?challenge=42`);
    expect(await response.text()).toBe('42');
    expect(await deliveries(database.db, channelId)).toEqual([]);
  });

  it('is refused with a wrong or missing signature, and leaves nothing behind [PLUG-4]', async () => {
    const { channelId, key } = await connectHook(database.db);
    const request = call('forged');
    expect((await post(key, { ...request, headers: {} })).status).toBe(401);
    expect((await post(key, { ...request, body: `${request.body} ` })).status).toBe(401);
    expect(await deliveries(database.db, channelId)).toEqual([]);
    expect(doors.lines.join()).not.toContain(APP_SECRET);
    expect(doors.lines.join()).not.toContain('forged');
  });

  it('is refused alike by a plugin that brings a contract package of its own [PLUG-6]', async () => {
    const { key } = await connectHook(database.db);
    class ChannelFailure extends Error {
      override readonly name = 'ChannelFailure';
      readonly failure: Failure;
      constructor(failure: Failure) {
        super(failure.code);
        this.failure = failure;
      }
    }
    for (const [failure, status] of [
      [{ code: 'Unauthentic' }, 401],
      [{ code: 'Malformed', where: 'body' }, 400],
      [{ code: 'Unavailable', reason: 'away' }, 503],
    ] as const) {
      const plugin = { ...testhook, verify: () => Promise.reject(new ChannelFailure(failure)) };
      doors = testDoors(database.db, temporal, new Map(), [plugin]);
      expect((await post(key, call('x'))).status).toBe(status);
    }
  });

  it('is refused above the size limit, whether its length is told or not [PLUG-3]', async () => {
    const { channelId, key } = await connectHook(database.db);
    const large = 'x'.repeat(1_000_001);
    expect((await post(key, { method: 'POST', body: large, headers: { 'content-length': String(large.length) } })).status).toBe(413);
    expect((await post(key, { method: 'POST', body: large })).status).toBe(413);
    expect(await deliveries(database.db, channelId)).toEqual([]);
  });

  it('is refused where too much is held, comes too slowly or breaks off, and nothing is held afterwards [API-7]', async () => {
    const { channelId, key } = await connectHook(database.db);
    const statusWith = async (limits: Partial<Record<keyof typeof LIMITS, number>>, body: RequestInit['body'] = 'x'.repeat(2_000)) => {
      await doors.close();
      doors = testDoors(database.db, temporal, new Map(), [testhook], createBodies({ ...LIMITS, ...limits }));
      const response = await post(key, { method: 'POST', body, duplex: 'half' } as RequestInit);
      return [response.status, response.headers.get('retry-after')];
    };
    const silent = new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from('{')) });
    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error('gone')) });
    expect(await statusWith({ heldBytes: 1_000 })).toEqual([503, '5']);
    expect(await statusWith({ heldBytesPerAddress: 1_000 })).toEqual([429, '5']);
    expect(await statusWith({ openBodiesPerAddress: 0 })).toEqual([429, '5']);
    expect(await statusWith({ bodySeconds: 0.05 }, silent)).toEqual([408, null]);
    expect(await statusWith({}, broken)).toEqual([400, null]);
    expect(await deliveries(database.db, channelId)).toEqual([]);
    // Each is larger than half of what may be held: the one before, taken or refused, is no longer held.
    const [first] = [call('one')];
    await statusWith({ heldBytes: Math.ceil(first.body.length * 1.5) });
    for (const text of ['one', 'two', 'six']) expect((await post(key, call(text))).status).toBe(200);
    for (const text of ['one', 'two', 'six']) expect((await post(key, { ...call(text), headers: {} })).status).toBe(401);
  });

  it('finds nobody where there is no such channel, or it is another plugin’s, or the plugin has no webhooks [CH-10]', async () => {
    const { key } = await connectHook(database.db);
    expect((await post('testhook-aaaaaa', call('x'))).status).toBe(404);
    expect((await post(key, call('x'), 'testhook-mute')).status).toBe(404);
    expect((await post(key, call('x'), 'none')).status).toBe(404);
  });

  it('is taken in for a channel that is off, and no longer for one that was disconnected [CH-9, CH-10]', async () => {
    const { channelId, key } = await connectHook(database.db);
    await transact(database.db, system, (unit) => setChannelEnabled(unit, { channelId, enabled: false }));
    expect((await post(key, call('while off'))).status).toBe(200);
    expect(await deliveries(database.db, channelId)).toHaveLength(1);
    await transact(database.db, system, (unit) => disconnectChannel(unit, { channelId }));
    await eventually(async () => expect((await post(key, call('too late'))).status).toBe(404));
  });

  it('is not acknowledged when it could not be stored [OPS-10]', async () => {
    const { key } = await connectHook(database.db);
    const lost = openDatabase(database.url);
    doors = testDoors(lost, temporal);
    expect((await post(key, call('first'))).status).toBe(200);
    await lost.destroy();
    const response = await post(key, call('second'));
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5']);
  });
});

describe('waking the intake', () => {
  it('never delays or fails an answer while Temporal refuses or hangs [OPS-10]', async () => {
    const { channelId, key } = await connectHook(database.db);
    for (const down of ['refuses', 'hangs'] as const) {
      temporal.down = down;
      for (let index = 0; index < 20; index += 1) expect((await post(key, call(`${down} ${index}`))).status).toBe(200);
      await eventually(() => expect(temporal.asked).toBeGreaterThan(0));
    }
    expect(await deliveries(database.db, channelId)).toHaveLength(40);
  });

  it('wakes the intake of what came while Temporal was down, once it is back [OPS-10]', async () => {
    const { key } = await connectHook(database.db);
    temporal.down = 'refuses';
    expect((await post(key, call('meanwhile'))).status).toBe(200);
    await eventually(() => expect(temporal.asked).toBeGreaterThanOrEqual(1));
    temporal.down = undefined;
    await eventually(() => expect(temporal.woken).toEqual([`channel-intake/${key}`]));
  });

  it('asks Temporal a few times for many at once, not once for each [OPS-10]', async () => {
    const { key } = await connectHook(database.db);
    const began = performance.now();
    await Promise.all(Array.from({ length: 200 }, (_, index) => post(key, call(`many ${index}`))));
    await eventually(() => expect(temporal.woken.length).toBeGreaterThan(0));
    await doors.close();
    // One at once, and one in each twentieth of a second that it took to take them in.
    expect(temporal.asked).toBeLessThanOrEqual(2 + (performance.now() - began) / 50);
  });

  it('leaves a running intake alone, and wakes it where it has not taken the delivery after a second [OPS-10]', async () => {
    const [taken, left] = [await connectHook(database.db), await connectHook(database.db)];
    // As if the one's intake took it in no time.
    await sql`create function take() returns trigger language plpgsql as $$ begin new.state := 'DONE'; new.settled_at := now(); return new; end $$`.execute(
      database.db,
    );
    await sql
      .raw(`create trigger take before insert on raw_delivery for each row when (new.channel_id = '${taken.channelId}') execute function take()`)
      .execute(database.db);
    for (const { key } of [taken, left]) {
      await setIntakeUntil(database.db, key, 30);
      expect((await post(key, call('busy'))).status).toBe(200);
    }
    expect(temporal.woken).toEqual([]);
    await eventually(() => expect(temporal.woken).toEqual([`channel-intake/${left.key}`]));
  });
});
