import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ChannelFailure, type RawDelivery } from '@trunkline/channel-sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { applyDeliveries, storeDelivery } from '#commands/intake.ts';
import { safeParts } from '#commands/safe-html.ts';
import { makePlugin } from '#scripts/plugin-new/make.ts';
import { disguised } from '#scripts/plugin-sample/content.ts';
import { createDisguise } from '#scripts/plugin-sample/disguise.ts';
import template from '#scripts/plugin-new/template/index.ts';
import { parse } from '#scripts/plugin-new/template/parse.ts';
import { signatureOf } from '#scripts/plugin-new/template/verify.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, testKeys } from '../support/fixtures.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const place = join(root, `.trunkline/plugin-sample-${process.pid}`);
/** A new plugin with the key of the fixtures' channels. */
const made = join(place, 'plain');
const SIGNATURE = 'x-plain-signature';
let database: TestDatabase;
beforeAll(async () => {
  mkdirSync(place, { recursive: true });
  makePlugin({ name: 'plain', folder: made, own: false, taken: [] });
  database = await testDatabase();
});
afterAll(async () => {
  await database?.drop();
  rmSync(place, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function run(file: string, given: readonly string[]): Promise<Ended> {
  const env = { PATH: process.env['PATH'], DATABASE_URL: database.url, TRUNKLINE_PLUGINS: made, INIT_CWD: place };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [file, ...given], { cwd: root, env }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, output: stdout + stderr }),
    );
  });
}
const sample = (...given: readonly string[]) => run(join(root, 'scripts/plugin-sample.ts'), given);

/** A delivery taken in by the engine, as after a real webhook: its row, the message and the contact. */
async function arrived(body: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  const { db } = database;
  const channel = await makeChannel(db);
  const { key } = await db.selectFrom('channel').select('key').where('id', '=', channel.id).executeTakeFirstOrThrow();
  const raw: RawDelivery = {
    method: 'POST',
    url: `https://desk.acme.example/hooks/plain/${key}?from=eva.muster%40private.example`,
    headers: { 'content-type': 'application/json', [SIGNATURE]: signatureOf(Buffer.from(body), 'the real secret'), ...headers },
    body: Buffer.from(body),
    receivedAt: '2026-03-04T05:06:07.000Z',
  };
  const { deliveryId } = await storeDelivery(db, channel.id, raw);
  const events = await parse(raw).catch((error: unknown) => {
    if (error instanceof ChannelFailure) return [];
    throw error;
  });
  const parsed = { deliveryId, receivedAt: raw.receivedAt, events, safe: safeParts(events) };
  await applyDeliveries(db, { keys: testKeys, capabilities: template.capabilities }, channel.id, [parsed]);
  return deliveryId;
}

const TEXT = 'My number is +49 151 2345 6789 or 004915, write to eva.muster@private.example. Eva';
const personal = (id: string) =>
  JSON.stringify({
    events: [
      { type: 'message', id: `wamid.HBgNNDk${id}`, from: 'visitor-48151623', name: 'Eva Muster', text: TEXT, at: '2026-03-04T05:06:00Z' },
      { type: 'message', id: `wamid.HBgNNDz${id}`, from: 'visitor-48151623', name: 'Eva Muster', text: 'Muster?', at: '2026-03-04T05:06:01Z' },
    ],
    account: { owner: 'EVA.MUSTER@private.example', big: 12345678901234567890n.toString() },
  });

describe('npm run plugin:sample [PLUG-13]', () => {
  test('a stored delivery becomes a case of the plugin’s own tests: people replaced, ids in their shape, signed anew', async () => {
    const id = await arrived(personal('1000001'), { authorization: 'Bearer private', 'x-forwarded-for': '203.0.113.9' });
    const file = join(made, 'fixtures/delivery.json');
    const { code, output } = await sample(String(id), '--samples', join(made, 'test/samples.ts'), '--out', file);
    expect(code, output).toBe(0);
    expect(output).toContain('signed anew');
    const written = readFileSync(file, 'utf8');
    for (const one of ['Eva', 'Muster', 'private', '2345', '48151623', 'wamid.HBgNNDk1000001', 'acme', '203.0.113.9', 'number is'])
      expect(written).not.toContain(one);

    const { body, headers, url, gives } = JSON.parse(written);
    const [first, second] = JSON.parse(body).events;
    expect(url).toBe('https://help.example/hooks/plain/sample-1?from=person-1%40example.com');
    expect(first.from).toMatch(/^[a-z]{7}-\d{8}$/);
    expect(second.from).toBe(first.from);
    expect(first.id).toMatch(/^[a-z]{5}\.[A-Z]{2}[a-z][A-Z]{3}[a-z]\d{7}$/);
    expect(second.id).not.toBe(first.id);
    expect(first.name).toBe('Robin Example');
    expect(second.text).toContain('Example');
    expect(first.text).toMatch(/\+\d\d \d{3} \d{4} \d{4}/);
    expect(first.text).toContain('person-1@example.com');
    expect(JSON.parse(body).account.owner).toBe('person-1@example.com');
    expect(first.text.length).toBeGreaterThan(60);
    expect(first.at).toBe('2026-03-04T05:06:00Z');

    expect(headers[SIGNATURE]).toBe(signatureOf(Buffer.from(body), 'a secret for samples'));
    expect(gives).toHaveLength(2);

    const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
    const suite = await run(vitest, ['run', '--root', made, '--reporter=verbose']);
    expect(suite.code, suite.output).toBe(0);
    expect(suite.output).toContain('fixtures/delivery.json gives what stands in it');
  });

  test('without samples it is made all the same, unsigned, and says so', async () => {
    const id = await arrived(personal('1000002'));
    const file = join(place, 'unsigned.json');
    const { code, output } = await sample(String(id), '--out', file);
    expect(code, output).toBe(0);
    expect(output).toContain('It is not signed');
    const { headers, gives } = JSON.parse(readFileSync(file, 'utf8'));
    expect(headers).toEqual({ 'content-type': 'application/json' });
    expect(gives).toBeUndefined();
  });

  test('says what it can not do, writes nothing then, and tells nothing of the delivery', async () => {
    const mail = await arrived('From: Eva Muster <eva.muster@private.example>\r\n\r\nHello', { 'content-type': 'message/rfc822' });
    const bytes = await arrived('\u0000{"name":"Eva Muster"', { 'content-type': 'application/octet-stream' });
    for (const id of [mail, bytes]) {
      const { code, output } = await sample(String(id), '--out', 'not.json');
      expect(code).toBe(1);
      expect(output).toContain('neither JSON nor a form nor plain text');
      expect(output).not.toContain('Muster');
    }
    expect(existsSync(join(place, 'not.json'))).toBe(false);
    expect((await sample('999999999')).output).toContain('There is no stored delivery 999999999');
    expect((await sample('one')).code).not.toBe(0);
    const id = await arrived(personal('1000003'));
    const again = await sample(String(id), '--out', join(made, 'fixtures/message.json'));
    expect([again.code, again.output]).toEqual([1, expect.stringContaining('is there already')]);
  });
});

describe('replacing [PLUG-13]', () => {
  const disguise = () =>
    createDisguise({ names: ['Anna Lund'], identities: ['+4915123456789', 'anna@lund.example'], texts: ['Yes'], own: ['+15550100', '+15550199'] });

  test('one number is one number, however it is written, and our own becomes that of the samples', () => {
    const body = disguised('{"from":"4915123456789","To":"+4915123456789","said":"+49 151 2345 6789","us":"+15550100"}', '', disguise());
    const { from, To, said, us } = JSON.parse(body ?? '');
    expect(To).toBe(`+${from}`);
    expect(said.replace(/\D/g, '')).toBe(from);
    expect(from).not.toBe('4915123456789');
    expect(us).toBe('+15550199');
  });

  test('a form is a form afterwards, with JSON inside it still JSON', () => {
    const given = new URLSearchParams({ From: '+4915123456789', Body: 'Anna says: call me', payload: '{"user":{"name":"Anna Lund"}}', NumMedia: '0' });
    const fields = new URLSearchParams(disguised(given.toString(), 'application/x-www-form-urlencoded; charset=utf-8', disguise()));
    expect(fields.get('NumMedia')).toBe('0');
    expect(fields.get('From')).toMatch(/^\+\d{13}$/);
    expect(JSON.parse(fields.get('payload') ?? '')).toEqual({ user: { name: 'Robin Example' } });
    expect(fields.get('Body')).toMatch(/^Robin [a-z]{4}: [a-z]{4} [a-z]{2}$/);
  });

  test('spaces, order, kinds and numbers no double holds stay as they came', () => {
    const body = '{ "kind": "text_message",\n  "at": 1767322800, "sender_id": 12345678901234567890, "text": "Yes", "ok": true }';
    const other = disguised(body, 'application/json', disguise()) ?? '';
    expect(other.replace(/"sender_id": \d{20}/, '"sender_id": 12345678901234567890').replace(/"text": "[A-Z][a-z]{2}"/, '"text": "Yes"')).toBe(body);
    expect(other).not.toContain('12345678901234567890');
    expect(other).not.toContain('"Yes"');
  });
});
