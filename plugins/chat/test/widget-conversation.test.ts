import { expect, test } from 'vitest';
import type { VisibleMessage } from '@trunkline/channel-sdk';
import { createConversation, type Row } from '../widget/conversation.ts';
import type { Outgoing } from '../widget/outbox.ts';

const message = (id: string, more: Partial<VisibleMessage> = {}): { readonly type: 'message'; readonly message: VisibleMessage } => ({
  type: 'message',
  message: { id, from: 'us', providerMessageId: null, author: 'Ada', text: id, html: null, quickReplies: [], at: '2026-03-01T12:00:00.000Z', ...more },
});
const outgoing = (id: string, state: Outgoing['state'] = 'waiting'): Outgoing => ({ id, text: id, at: '2026-03-01T12:00:01.000Z', state });
const shown = (rows: readonly Row[]): readonly string[] =>
  rows.filter(({ kind }) => kind !== 'day').map((row) => (row.kind === 'message' ? `${row.key} ${row.state}` : row.key));

test('a message that comes twice is shown once [CHAT-2]', () => {
  const conversation = createConversation();
  expect([conversation.take(message('a')), conversation.take(message('b')), conversation.take(message('a'))]).toEqual([true, true, false]);
  expect(shown(conversation.rows(null, []))).toEqual(['a null', 'b null']);
});

test("the visitor's own message is the same line before and after the stream has brought it [CHAT-2]", () => {
  const conversation = createConversation();
  const items = [outgoing('x', 'sent'), outgoing('y')];
  expect(shown(conversation.rows('Hello', items))).toEqual(['greeting null', 'x sent', 'y waiting']);
  conversation.take(message('m1', { from: 'visitor', providerMessageId: 'x', author: null }));
  expect(shown(conversation.rows('Hello', items))).toEqual(['greeting null', 'x null', 'y waiting']);
});

test('answers are offered under the last message from us, until something was said [CHAT-5]', () => {
  const conversation = createConversation();
  const quickReplies = [{ label: 'Yes', choice: 'yes' }];
  conversation.take(message('a', { quickReplies }));
  expect(conversation.replies([])).toEqual(quickReplies);
  expect(conversation.replies([outgoing('x')])).toEqual([]);
  expect(conversation.replies([outgoing('x', 'refused')])).toEqual(quickReplies);
  conversation.take(message('b', { from: 'visitor', providerMessageId: 'x' }));
  expect(conversation.replies([])).toEqual([]);
  conversation.take(message('c'));
  expect(conversation.replies([])).toEqual([]);
});

test('who joined is told once, again after the conversation was closed [CHAT-6]', () => {
  const conversation = createConversation();
  const joined = { type: 'joined', author: 'Ada' } as const;
  expect([
    conversation.take(joined),
    conversation.take(joined),
    conversation.take({ type: 'closed' }),
    conversation.take({ type: 'closed' }),
    conversation.take(joined),
  ]).toEqual([true, false, true, false, true]);
  expect(conversation.rows(null, []).map((row) => (row.kind === 'notice' ? row.text : row.kind))).toEqual([
    'Ada joined',
    'This conversation was closed. Write whenever you need us again.',
    'Ada joined',
  ]);
});

test('what one side says in a row stands together, and each day has its line', () => {
  const conversation = createConversation();
  conversation.take(message('a', { at: '2026-02-20T12:00:00.000Z' }));
  conversation.take(message('b', { at: '2026-03-01T12:00:00.000Z' }));
  conversation.take(message('c'));
  conversation.take(message('d', { author: null }));
  const rows = conversation.rows(null, [outgoing('x')]);
  expect(rows.map((row) => (row.kind === 'message' ? `${row.key}${row.first ? ' first' : ''}${row.last ? ' last' : ''}` : row.kind))).toEqual([
    'day',
    'a first last',
    'day',
    'b first',
    'c last',
    'd first last',
    'x first last',
  ]);
  expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
});
