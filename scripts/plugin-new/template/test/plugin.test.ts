import assert from 'node:assert/strict';
import { test } from 'vitest';
import { pluginProblems } from '@trunkline/channel-sdk';
import plugin from '../index.ts';
import { parse } from '../parse.ts';
import { send } from '../send.ts';
import { settings } from '../settings.ts';
import { verify } from '../verify.ts';
import { samples } from './samples.ts';
import { channel, context, failureOf, recordings, reply } from './support.ts';

test('the engine takes it', () => {
  assert.deepEqual(pluginProblems(plugin), []);
});

test('settings: each wrong one is refused at its field', async () => {
  for (const { name, settings: typed, path } of samples.settings.invalid) {
    const { issues = [] } = await settings['~standard'].validate(typed);
    assert.ok(
      issues.some((issue) => issue.path?.join('.') === path),
      name,
    );
  }
});

test('a delivery is taken as the provider signed it, and not with another byte or another secret', async () => {
  const [first] = recordings();
  assert.ok(first !== undefined, 'fixtures/ holds at least one delivery');
  const signed = samples.webhook.sign(first.raw, await channel());
  assert.equal((await verify(signed, await context())).store, true);
  const changed = signed.body.slice();
  changed[changed.length - 2] = 0x20;
  assert.equal(await failureOf(verify({ ...signed, body: changed }, await context())), 'Unauthentic');
  assert.equal(await failureOf(verify({ ...first.raw, headers: {} }, await context())), 'Unauthentic');
  const other = await channel();
  const foreign = samples.webhook.sign(first.raw, { ...other, settings: { ...other.settings, signingSecret: 'the secret of another' } });
  assert.equal(await failureOf(verify(foreign, await context())), 'Unauthentic');
});

for (const { file, raw, gives } of recordings()) {
  test(`fixtures/${file} gives what stands in it`, async () => {
    const events = await parse(raw);
    assert.equal(events.length, gives.length);
    gives.forEach((expected, index) => assert.partialDeepStrictEqual(events[index], expected));
    const again = await parse(raw);
    assert.deepEqual(again, events);
  });
}

test('what is not as the provider promises is Malformed, and what is new to us is passed over', async () => {
  const [first] = recordings();
  assert.ok(first !== undefined);
  const parsed = (body: string) => parse({ ...first.raw, body: Buffer.from(body) });
  for (const body of ['', '{', 'null', '[]', '{"events":[7]}', '{"events":[{"type":"message","id":"m-1"}]}']) {
    assert.equal(await failureOf(parsed(body)), 'Malformed', body);
  }
  assert.deepEqual(await parsed('{"events":[{"type":"new next year"}],"more":1}'), []);
});

test('a reply is one call, with our id as the key of it', async () => {
  const asked: Request[] = [];
  const provider: typeof fetch = async (input, init) => {
    asked.push(new Request(input, init));
    return Response.json({ id: 'p-1' });
  };
  assert.deepEqual(await send(reply, await context(provider)), { providerMessageId: 'p-1', keys: [], state: 'sent' });
  assert.equal(asked.length, 1);
  assert.equal(asked[0]?.headers.get('idempotency-key'), reply.id);
  assert.deepEqual(await asked[0]?.json(), { from: 'acme', to: 'person-1', text: 'Good morning.' });
});

test('each answer of the provider is its typed failure; where nobody knows, it is MaybeSent', async () => {
  const answers: readonly (readonly [string, () => Promise<Response>])[] = [
    ['RateLimited', async () => new Response(null, { status: 429, headers: { 'retry-after': '7' } })],
    ['Disconnected', async () => new Response(null, { status: 401 })],
    ['Rejected', async () => new Response(null, { status: 422 })],
    ['Unavailable', async () => new Response(null, { status: 503 })],
    ['MaybeSent', async () => new Response(null, { status: 500 })],
    ['MaybeSent', async () => new Response('not what it promises')],
    ['MaybeSent', () => Promise.reject(new TypeError('the line broke'))],
  ];
  for (const [code, provider] of answers) assert.equal(await failureOf(send(reply, await context(provider))), code);
});
