import { expect, test } from 'vitest';
import { keepIn } from '../widget/keep.ts';
import { FakeStorage } from './widget-support.ts';

test('keeps texts under its own prefix and gives them back in order [CHAT-2]', () => {
  const storage = new FakeStorage();
  storage.setItem('theirs', 'x');
  const keep = keepIn(() => storage, 'ours:');
  for (const name of ['b:2', 'b:1', 'a']) keep.set(name, name);
  expect([keep.names('b:'), keep.get('a'), storage.getItem('ours:a')]).toEqual([['b:1', 'b:2'], 'a', 'a']);
  keep.set('b:1', null);
  expect([keep.names('b:'), storage.getItem('theirs'), storage.length]).toEqual([['b:2'], 'x', 3]);
});

test('works from memory where the browser refuses its storage [CHAT-2]', () => {
  const keep = keepIn(() => {
    throw new DOMException('not here', 'SecurityError');
  }, 'ours:');
  keep.set('b', '2');
  keep.set('a', '1');
  keep.set('b', null);
  expect([keep.names(''), keep.get('a'), keep.get('b')]).toEqual([['a'], '1', null]);
});

test('keeps in memory what the storage has no room for, and stores it again when it has [CHAT-2]', () => {
  const storage = new FakeStorage();
  const keep = keepIn(() => storage, '');
  keep.set('a', 'old');
  storage.fill(true);
  keep.set('a', 'new');
  keep.set('b', 'more');
  expect([keep.get('a'), keep.names(''), storage.getItem('a')]).toEqual(['new', ['a', 'b'], 'old']);
  storage.fill(false);
  keep.set('a', 'newer');
  keep.set('b', null);
  expect([keep.get('a'), keep.names(''), storage.getItem('a')]).toEqual(['newer', ['a'], 'newer']);
});
