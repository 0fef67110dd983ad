import { expect, test } from 'vitest';
import { createConnection } from '../widget/connection.ts';
import { fakeTime } from './widget-support.ts';

/** A server whose streams the test writes and ends. */
function server(refusals: (Response | 'unreachable')[] = [], random = () => 1) {
  const time = fakeTime();
  const began = time.now();
  const opened: (string | null)[] = [];
  const events: string[] = [];
  const states: boolean[] = [];
  const told: number[] = [];
  const reach = { here: true };
  let current: ReadableStreamDefaultController<Uint8Array> | null = null;
  const connection = createConnection({
    async open(lastId, signal) {
      opened.push(lastId());
      const refusal = refusals.shift();
      if (refusal === 'unreachable') throw new TypeError('failed to fetch');
      if (refusal !== undefined) return refusal;
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          current = controller;
          signal.addEventListener('abort', () => controller.error(signal.reason));
        },
      });
      return new Response(body);
    },
    take: ({ type, data }) => void events.push(`${type} ${data}`),
    state: (live) => void states.push(live),
    async here() {
      told.push(time.now() - began);
      return reach.here;
    },
    now: time.now,
    random,
    later: time.later,
  });
  const write = (text: string): void => current?.enqueue(new TextEncoder().encode(text));
  return { time, opened, events, states, told, reach, connection, write, end: () => current?.close(), fail: () => current?.error(new TypeError('reset')) };
}

test('a stream that ends or breaks is opened again after the last message that came [CHAT-2]', async () => {
  const { time, opened, events, states, connection, write, end, fail } = server();
  connection.start();
  await time.pass(0);
  write('event: ready\ndata: {}\n\nid: m1\nevent: message\ndata: 1\n\nid: m2\nevent: message\nda');
  await time.pass(6_000);
  end();
  await time.pass(8_000);
  expect(opened).toEqual([null, 'm1']);
  write('event: ready\ndata: {}\n\nid: m2\nevent: message\ndata: 2\n\n');
  await time.pass(0);
  fail();
  await time.pass(1_000);
  expect([opened, events, states]).toEqual([
    [null, 'm1', 'm2'],
    ['ready {}', 'message 1', 'ready {}', 'message 2'],
    [true, false, true, false],
  ]);
});

test('pauses grow while it fails, and a good stream begins anew [CHAT-2]', async () => {
  const { time, opened, connection, end } = server(['unreachable', 'unreachable', 'unreachable', new Response(null, { status: 500 })]);
  connection.start();
  const after = async (ms: number): Promise<number> => {
    await time.pass(ms);
    return opened.length;
  };
  expect([await after(999), await after(1), await after(1_999), await after(1), await after(4_000), await after(7_999), await after(1)]).toEqual([
    1, 2, 2, 3, 4, 4, 5,
  ]);
  await time.pass(10_000);
  end();
  expect([await after(7_999), await after(1)]).toEqual([5, 6]);
});

test('streams that a server ends all at once come back over several seconds, and at once where the page is looked at [CHAT-2]', async () => {
  const back = async (random: number, how: 'end' | 'fail' | 'nudge'): Promise<number> => {
    const { time, opened, connection, write, end, fail } = server([], () => random);
    connection.start();
    await time.pass(0);
    write('event: ready\ndata: {}\n\n');
    await time.pass(6_000);
    const ended = time.now();
    if (how === 'fail') fail();
    else end();
    await time.pass(0);
    if (how === 'nudge') connection.nudge();
    while (opened.length < 2) await time.pass(100);
    connection.stop();
    return Math.round((time.now() - ended) / 1_000);
  };
  const chances = [0, 0.25, 0.5, 0.75, 1];
  for (const how of ['end', 'fail'] as const) {
    const pauses: number[] = [];
    for (const random of chances) pauses.push(await back(random, how));
    expect(pauses, how).toEqual([1, 3, 5, 6, 8]);
  }
  for (const random of chances) expect(await back(random, 'nudge')).toBe(0);
});

test('a server that asks for time gets it, and one that says no is asked seldom [CHAT-2]', async () => {
  const { time, opened, connection } = server([new Response(null, { status: 429, headers: { 'retry-after': '20' } }), new Response(null, { status: 404 })]);
  connection.start();
  await time.pass(19_999);
  expect(opened).toHaveLength(1);
  await time.pass(1);
  expect(opened).toHaveLength(2);
  await time.pass(29_000);
  expect(opened).toHaveLength(2);
  await time.pass(1_000);
  expect(opened).toHaveLength(3);
});

test('a stream that has gone quiet is opened anew, one with signs of life is not [CHAT-2]', async () => {
  const { time, opened, connection, write } = server();
  connection.start();
  for (let count = 0; count < 8; count += 1) {
    await time.pass(15_000);
    write(': \n\n');
  }
  await time.pass(39_000);
  expect(opened).toHaveLength(1);
  await time.pass(3_000);
  expect(opened).toHaveLength(2);
});

test('a nudge ends a pause and a doubtful silence, and leaves a good stream alone [CHAT-2]', async () => {
  const { time, opened, connection, write } = server(['unreachable', 'unreachable', 'unreachable']);
  connection.start();
  await time.pass(3_000);
  expect(opened).toHaveLength(3);
  connection.nudge();
  await time.pass(0);
  expect(opened).toHaveLength(4);
  connection.nudge();
  write(': \n\n');
  await time.pass(15_000);
  connection.nudge();
  await time.pass(0);
  expect(opened.length).toBeLessThanOrEqual(5);
  const before = opened.length;
  await time.pass(21_000);
  connection.nudge();
  await time.pass(0);
  expect(opened).toHaveLength(before + 1);
});

test('stopped it stays so, and another visitor begins at the start [CHAT-2]', async () => {
  const { time, opened, connection, write } = server();
  connection.start();
  await time.pass(0);
  write('id: m1\nevent: message\ndata: 1\n\n');
  await time.pass(0);
  connection.stop();
  connection.nudge();
  await time.pass(100_000);
  expect(opened).toEqual([null]);
  connection.start();
  connection.stop();
  connection.forget();
  connection.start();
  await time.pass(0);
  expect(opened).toEqual([null, 'm1', null]);
});

test('a page answers what the server sends, every half minute, and not when nothing comes [CHAT-6]', async () => {
  const { time, told, reach, connection, write } = server();
  connection.start();
  await time.pass(0);
  const pings = async (count: number): Promise<readonly number[]> => {
    for (let sent = 0; sent < count; sent += 1) {
      await time.pass(15_000);
      write(': \n\n');
      await time.pass(0);
    }
    return told.splice(0).map((ms) => ms / 1_000);
  };
  expect(await pings(1)).toEqual([]);
  expect(await pings(7)).toEqual([30, 60, 90, 120]);
  // Many at once are answered once.
  for (let count = 0; count < 20; count += 1) write(`id: m${count}\nevent: message\ndata: 1\n\n`);
  await time.pass(1_000);
  expect(told).toEqual([]);
  // What did not get there is told again at the next sign of life.
  reach.here = false;
  expect(await pings(3)).toEqual([151, 166]);
  reach.here = true;
  expect(await pings(3)).toEqual([181, 211]);
  // Silence is not answered, nor is anything once the stream is over.
  await time.pass(39_000);
  connection.stop();
  await time.pass(600_000);
  expect(told).toEqual([]);
});
