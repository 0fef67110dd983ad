import { expect, test } from 'vitest';
import { aloneAs, type Alone } from '../widget/alone.ts';
import { keepIn } from '../widget/keep.ts';
import { createOutbox, type Outbox, type Outcome } from '../widget/outbox.ts';
import { FakeStorage, fakeTime, settled } from './widget-support.ts';

const TAKEN: Outcome = { type: 'taken' };
const OFFLINE: Outcome = { type: 'later', why: 'offline', ms: null };

/** Tabs of one browser before one server, which answers as `answers` say and then takes everything. */
function browser(answers: Outcome[] = []) {
  const storage = new FakeStorage();
  const time = fakeTime();
  const posted: string[] = [];
  const alone: Alone = aloneAs('', undefined);
  let under = 0;
  let most = 0;
  let ids = 0;
  const tab = (): Outbox =>
    createOutbox({
      keep: keepIn(() => storage, 'chat:'),
      async post({ id, text }) {
        under += 1;
        most = Math.max(most, under);
        await turn();
        under -= 1;
        posted.push(`${id} ${text}`);
        return answers.shift() ?? TAKEN;
      },
      alone,
      now: time.now,
      random: () => 1,
      newId: () => `id${(ids += 1)}`,
      later: time.later,
      changed: () => undefined,
    });
  return { storage, time, posted, tab, most: () => most };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const states = (outbox: Outbox) => outbox.items().map(({ text, state }) => `${text} ${state}`);

test('sends one message after the other, and keeps each until the stream has brought it [CHAT-2]', async () => {
  const { time, posted, tab, most } = browser();
  const outbox = tab();
  const [one] = ['one', 'two', 'three'].map((text) => outbox.add({ text }));
  expect(states(outbox)).toEqual(['one waiting', 'two waiting', 'three waiting']);
  await time.pass(1_000);
  expect(posted).toEqual(['id1 one', 'id2 two', 'id3 three']);
  expect([most(), states(outbox)]).toEqual([1, ['one sent', 'two sent', 'three sent']]);
  outbox.drop(one?.id ?? '');
  expect(states(outbox)).toEqual(['two sent', 'three sent']);
});

test('tries again with the same id, and lets nothing overtake what waits [CHAT-2]', async () => {
  const { time, posted, tab } = browser([OFFLINE, OFFLINE]);
  const outbox = tab();
  outbox.add({ text: 'one' });
  outbox.add({ text: 'two' });
  await time.pass(400);
  expect(posted).toEqual(['id1 one']);
  expect(outbox.hold()?.why).toBe('offline');
  await time.pass(60_000);
  expect(posted).toEqual(['id1 one', 'id1 one', 'id1 one', 'id2 two']);
});

test('when the network is back nothing waits any longer [CHAT-2]', async () => {
  const { time, posted, tab } = browser([OFFLINE, OFFLINE, OFFLINE, OFFLINE]);
  const outbox = tab();
  outbox.add({ text: 'one' });
  await time.pass(4_000);
  const before = posted.length;
  outbox.send();
  await time.pass(0);
  expect(posted).toHaveLength(before);
  outbox.send(true);
  await time.pass(0);
  expect(posted).toHaveLength(before + 1);
});

test('waits as long as the server asks, in every tab, also after a reload [CHAT-2]', async () => {
  const { time, posted, tab } = browser([{ type: 'later', why: 'fast', ms: 5_000 }]);
  const outbox = tab();
  outbox.add({ text: 'one' });
  await time.pass(100);
  const other = tab();
  expect(other.hold()).toEqual({ why: 'fast', until: time.now() + 4_900 });
  other.send(true);
  other.add({ text: 'two' });
  await time.pass(4_800);
  expect(posted).toEqual(['id1 one']);
  await time.pass(200);
  expect(posted).toEqual(['id1 one', 'id1 one', 'id2 two']);
  expect(other.hold()).toBeNull();
});

test('a clock that was set back holds nothing for ever [CHAT-2]', async () => {
  const { storage, time, tab } = browser();
  storage.setItem('chat:hold', `fast ${time.now() + 86_400_000}`);
  expect(tab().hold()).toBeNull();
});

test('a refused message stays with its reason, holds nothing up and can be removed [CHAT-2]', async () => {
  const { time, posted, tab } = browser([{ type: 'refused', problem: 'No.' }]);
  const outbox = tab();
  const one = outbox.add({ text: 'one' });
  outbox.add({ text: 'two' });
  await time.pass(1_000);
  expect(outbox.items()).toMatchObject([
    { text: 'one', state: 'refused', problem: 'No.' },
    { text: 'two', state: 'sent' },
  ]);
  await time.pass(100_000);
  expect(posted).toEqual(['id1 one', 'id2 two']);
  outbox.drop(one.id);
  expect(states(outbox)).toEqual(['two sent']);
});

test('what was written before a reload goes out after it, with all that belongs to it [CHAT-2]', async () => {
  const { time, posted, tab } = browser([OFFLINE]);
  const said = { text: 'one', choice: 'a', email: 'ada@example.com', page: { ref: 'sale' } };
  const written = tab().add(said);
  await settled();
  const reloaded = tab();
  expect(reloaded.items()).toEqual([written]);
  expect(written).toMatchObject(said);
  reloaded.send();
  await time.pass(1_000);
  expect(posted.at(-1)).toBe('id1 one');
});

test('an address is kept as long as its message may go out again, and no longer [CHAT-3]', async () => {
  const { storage, time, posted, tab } = browser([OFFLINE, TAKEN, { type: 'refused', problem: 'No.' }]);
  const outbox = tab();
  const kept = (): string => Array.from({ length: storage.length }, (_one, at) => storage.getItem(storage.key(at) ?? '')).join();
  outbox.add({ text: 'one', email: 'ada@example.com' });
  await time.pass(0);
  expect(kept()).toContain('ada@example.com');
  await time.pass(60_000);
  outbox.add({ text: 'two', email: 'ben@example.com' });
  await time.pass(60_000);
  expect([posted.length, states(outbox)]).toEqual([3, ['one sent', 'two refused']]);
  expect(kept()).not.toContain('example.com');
});

test('two tabs that send at once send everything once and in order [CHAT-2]', async () => {
  const { time, posted, tab, most } = browser([TAKEN, OFFLINE, TAKEN, { type: 'later', why: 'busy', ms: 1_000 }]);
  const tabs = [tab(), tab(), tab()];
  for (let count = 1; count <= 10; count += 1) for (const [at, one] of tabs.entries()) one.add({ text: `${at} ${count}` });
  await time.pass(120_000);
  const texts = posted.map((one) => one.slice(one.indexOf(' ') + 1));
  expect(new Set(texts).size).toBe(30);
  // Two were tried again.
  expect(texts).toHaveLength(32);
  for (const at of tabs.keys()) {
    const once = [...new Set(texts.filter((text) => text.startsWith(`${at} `)))];
    expect(once).toEqual(Array.from({ length: 10 }, (_one, index) => `${at} ${index + 1}`));
  }
  expect(most()).toBe(1);
});

test('what the stream brings before the answer comes is not kept as sent [CHAT-2]', async () => {
  const { time, posted, tab } = browser();
  const outbox = tab();
  const { id } = outbox.add({ text: 'one' });
  await turn();
  // The request is under way.
  expect(posted).toEqual([]);
  outbox.drop(id);
  await time.pass(1_000);
  expect([posted, outbox.items()]).toEqual([['id1 one'], []]);
});

test('what is kept and can not be read is thrown away, and what the stream never brought after a week [CHAT-2]', async () => {
  const { storage, time, tab } = browser();
  storage.setItem('chat:out:1', '{"id":');
  storage.setItem('chat:out:2', '{"id":"x","text":"y","at":"z","state":"strange"}');
  const outbox = tab();
  outbox.add({ text: 'one' });
  await time.pass(1_000);
  expect(states(outbox)).toEqual(['one sent']);
  await time.pass(8 * 86_400_000);
  expect([outbox.items(), storage.length]).toEqual([[], 0]);
});
