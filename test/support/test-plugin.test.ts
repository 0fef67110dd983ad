import { afterEach, beforeEach, expect, it } from 'vitest';
import type { OutboundMessage, PluginContext } from '@trunkline/channel-sdk';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { fakeProvider, type FakeProvider } from './fake-provider.ts';
import testhook, { testDelivery, testhookMute } from './test-plugin.ts';

let provider: FakeProvider;
let context: PluginContext<unknown>;
beforeEach(async () => {
  provider = await fakeProvider();
  const settings = { page: 'p', provider: provider.url, appSecret: 'a-long-secret', sendTimeoutMs: 3_000 };
  context = createPluginContext({ key: 'testhook-1', address: 'p', name: 'P', enabled: true, settings }, { sign: (text) => text, log: () => undefined });
});
afterEach(() => provider.close());

const message: OutboundMessage = {
  id: 'm1',
  kind: 'reply',
  to: { kind: 'scoped-id', value: 'v' },
  cc: [],
  subject: null,
  text: 'hi',
  html: null,
  author: null,
  sender: 'person',
  precedingIds: [],
  inReplyTo: null,
  attachments: [],
};

it('gives each outcome of its provider as a typed failure, and finds out what became of an unknown one [PLUG-6, CH-5]', async () => {
  provider.script('rate-limited', 'rejected', 'disconnected', 'unavailable', 'lost');
  for (const code of ['RateLimited', 'Rejected', 'Disconnected', 'Unavailable', 'MaybeSent']) {
    await expect(testhook.send?.(message, context)).rejects.toMatchObject({ failure: { code } });
  }
  expect(await testhook.findSent?.(message, context)).toBeUndefined();
  provider.script('silent');
  await expect(testhook.send?.(message, context)).rejects.toMatchObject({ failure: { code: 'MaybeSent' } });
  expect(await testhook.findSent?.(message, context)).toMatchObject({ providerMessageId: 'provider-m1' });
  expect([provider.taken.length, provider.asked(), testhookMute.findSent]).toEqual([1, 6, undefined]);
});

it('parses what it signed, and says what it can not read [PLUG-4]', async () => {
  const { body, headers } = testDelivery(
    {
      events: [
        { type: 'message', id: '1', from: 'v', text: 'hi' },
        { type: 'receipt', id: '2', state: 'read' },
      ],
    },
    'a-long-secret',
  );
  const raw = {
    method: 'POST',
    url: 'https://desk.example/hooks/testhook/testhook-1',
    headers,
    body: Buffer.from(body),
    receivedAt: '2026-01-01T00:00:00.000Z',
  };
  expect(await testhook.verify?.(raw, context)).toMatchObject({ store: true });
  expect(await testhook.parse(raw, context)).toMatchObject([
    { type: 'message', thread: { keys: ['with:v'] } },
    { type: 'receipt', state: 'read' },
  ]);
  await expect(testhook.parse({ ...raw, body: Buffer.from('{') }, context)).rejects.toMatchObject({ failure: { code: 'Malformed' } });
  await expect(testhook.parse({ ...raw, body: Buffer.from('{"misbehave":"throw"}') }, context)).rejects.toThrow('a plugin with a mistake');
});
