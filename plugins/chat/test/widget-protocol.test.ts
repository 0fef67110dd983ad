import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readConfig, readNews, readProblem } from '../widget/protocol.ts';

test('what the server says is read without trust: anything at all gives a whole answer or none [CHAT-2]', () => {
  fc.assert(
    fc.property(fc.constantFrom('ready', 'message', 'typing', 'joined', 'known', 'closed', 'other'), fc.oneof(fc.json(), fc.string()), (type, data) => {
      const news = readNews(type, data);
      if (news !== null) expect(news.type).toBe(type);
      if (news?.type === 'message') expect(typeof news.message.text).toBe('string');
    }),
  );
  fc.assert(fc.property(fc.anything(), (value) => void [readConfig(value), readProblem(value)]));
});

test('a colour that is none, or a style in its place, becomes the plain one [CHAT-1]', () => {
  for (const accent of ['red', '#fff', '#0f766e}*{display:none', 7, null]) expect(readConfig({ name: 'Acme', accent })?.accent).toBe('#1f4fd8');
  expect(readConfig({ name: 'Acme', accent: '#0F766E' })?.accent).toBe('#0F766E');
  expect(readConfig({})).toBeNull();
});

test('a refusal gives its code and first problem [CHAT-2]', () => {
  expect(
    readProblem({
      code: 'Invalid',
      errors: [
        { field: 'text', message: 'Too long.' },
        { field: 'id', message: 'x' },
      ],
    }),
  ).toEqual({
    code: 'Invalid',
    field: 'text',
    message: 'Too long.',
  });
  expect(readProblem('nonsense')).toEqual({ code: null, field: null, message: null });
});
