import { afterEach, expect, test, vi } from 'vitest';
import { aloneAs } from '../widget/alone.ts';
import { keepIn } from '../widget/keep.ts';
import { createTalk } from '../widget/talk.ts';
import { FakeStorage } from './widget-support.ts';

afterEach(() => vi.unstubAllGlobals());

const refusal = (status: number, code: string): Response => Response.json({ code, errors: [{ field: null, message: 'No.' }] }, { status });

test('what the server says of a transcript is told apart, that it was too many too [CHAT-4]', async () => {
  const answers: Response[] = [];
  vi.stubGlobal('fetch', async (address: string) => (address.endsWith('visitor') ? Response.json({ token: 't' }) : (answers.shift() ?? Response.error())));
  const talk = createTalk(
    'https://help.acme.example/pages/chat/c/',
    keepIn(() => new FakeStorage(), ''),
    aloneAs('', undefined),
    () => undefined,
  );
  answers.push(
    Response.json({}, { status: 202 }),
    refusal(409, 'NoAddress'),
    refusal(409, 'NoConversation'),
    refusal(429, 'TooMany'),
    refusal(503, 'Unavailable'),
  );
  const told: string[] = [];
  for (let count = 0; count < 6; count += 1) told.push(await talk.transcript());
  expect(told).toEqual(['queued', 'no-address', 'no-conversation', 'too-many', 'failed', 'failed']);
});
