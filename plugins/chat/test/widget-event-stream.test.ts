import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventReader, type ServerEvent } from '../widget/event-stream.ts';

function read(...chunks: readonly string[]): readonly ServerEvent[] {
  const events: ServerEvent[] = [];
  const feed = eventReader((event) => events.push(event));
  for (const chunk of chunks) feed(chunk);
  return events;
}

const STREAM = [
  ': hello\n\n',
  'event: ready\r\ndata: {"available":true}\r\n\r\n',
  'id: a1\nevent: message\ndata: {"text":"Grüße 👋"}\n\n',
  ': \n\n',
  'event: closed\n\n',
  'data: one\rdata: two\rid\r\r',
  'event:typing\ndata:no space\nretry: 5\nunknown\n\n',
  'event: message\ndata: not ended yet\n',
].join('');

const EVENTS: readonly ServerEvent[] = [
  { type: 'ready', id: null, data: '{"available":true}' },
  { type: 'message', id: 'a1', data: '{"text":"Grüße 👋"}' },
  { type: 'closed', id: null, data: '' },
  { type: 'message', id: '', data: 'one\ntwo' },
  { type: 'typing', id: null, data: 'no space' },
];

test('a stream is read whatever its lines end with, comments and what has not ended left out [CHAT-2]', () => {
  expect(read(STREAM)).toEqual(EVENTS);
});

test('a stream is the same in whatever pieces it comes [CHAT-2]', () => {
  expect(read(...STREAM.split(''))).toEqual(EVENTS);
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: STREAM.length }), { maxLength: 30 }), (cuts) => {
      const at = [0, ...cuts.sort((one, other) => one - other), STREAM.length];
      expect(read(...at.slice(1).map((end, index) => STREAM.slice(at[index], end)))).toEqual(EVENTS);
    }),
    { numRuns: 500 },
  );
});
