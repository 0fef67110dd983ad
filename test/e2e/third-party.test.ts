import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodes, type Edges } from '#scripts/demo/graphql.ts';
import { makePlugin } from '#scripts/plugin-new/make.ts';
import { packSdk } from '#scripts/sdk/pack.ts';
import { eventually } from '../support/wait.ts';
import { openGround, type Ground } from './ground.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const outside = realpathSync(mkdtempSync(join(tmpdir(), 'trunkline-third-party-')));
/** Where Trunkline is started from: an empty project with nothing but the two tarballs. */
const project = join(outside, 'project');
const here = process.cwd();
const PACKAGE = 'trunkline-plugin-pager';
let ground: Ground | undefined;

/** npm as a stranger's machine without a network would run it. */
function npm(folder: string, ...words: readonly string[]): Promise<string> {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`, npm_config_cache: join(outside, 'empty-cache') };
  return new Promise((resolve, reject) => {
    execFile('npm', [...words, '--offline', '--no-audit', '--no-fund'], { cwd: folder, env }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`npm ${words.join(' ')} failed:\n${stdout}${stderr}`, { cause: error }));
    });
  });
}

beforeAll(async () => {
  const kit = await packSdk(outside);
  const made = join(outside, 'pager');
  makePlugin({ name: 'pager', folder: made, own: true, taken: [] });
  // What `npm install` puts there: the kit as it is published, the compiler, the types of Node.
  const modules = join(made, 'node_modules');
  for (const name of ['typescript', '@types/node', 'undici-types']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  mkdirSync(join(modules, '.bin'));
  symlinkSync(join(modules, 'typescript/bin/tsc'), join(modules, '.bin/tsc'));
  mkdirSync(join(outside, 'unpacked'));
  await npm(join(outside, 'unpacked'), 'install', '--prefix', join(outside, 'unpacked'), kit);
  cpSync(join(outside, 'unpacked/node_modules/@trunkline'), join(modules, '@trunkline'), { recursive: true });
  await npm(made, 'test');
  await npm(made, 'pack');
  const packed = readdirSync(made).find((file) => file.endsWith('.tgz')) ?? 'none';

  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "name": "nothing-of-ours", "private": true }\n');
  await npm(project, 'install', kit, join(made, packed));
  // Packages of a stranger are found from where the processes are started.
  process.chdir(project);
  ground = await openGround({ environment: { TRUNKLINE_PLUGINS: PACKAGE } });
});

afterAll(async () => {
  await ground?.close();
  process.chdir(here);
  rmSync(outside, { recursive: true, force: true });
});

test('what is installed is compiled JavaScript with types, and brings no source of ours [PLUG-9]', () => {
  const files = (name: string) => readdirSync(join(project, 'node_modules', name), { recursive: true, encoding: 'utf8' });
  for (const name of [PACKAGE, '@trunkline/channel-sdk']) {
    expect(files(name).filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([]);
    expect(files(name).some((file) => file.endsWith('index.d.ts'))).toBe(true);
  }
  expect(files(PACKAGE).filter((file) => file.startsWith('dist') && file.endsWith('.js')).length).toBeGreaterThan(3);
  expect(readFileSync(join(project, 'node_modules', PACKAGE, 'dist/index.js'), 'utf8')).toContain("'./parse.js'");
});

test('a packed plugin, installed elsewhere and named by package, takes a signed delivery to a ticket through api and worker [PLUG-8]', async () => {
  if (ground === undefined) throw new Error('nothing runs');
  const { admin, db, stack } = ground;
  const signing: { readonly signatureOf: (body: Uint8Array, secret: string) => string } = await import(
    /* @vite-ignore */ join(project, 'node_modules', PACKAGE, 'dist/verify.js')
  );
  const { places } = await admin.run<{ places: Edges<{ id: string; kind: string }> }>('{ places(first: 10) { edges { node { kind ... on Node { id } } } } }');
  const signingSecret = 'a secret of some length';
  await admin.do('connectChannel', '... on Channel { id }', {
    plugin: 'pager',
    name: 'Pager',
    placeId: nodes(places).find(({ kind }) => kind === 'HELP_DESK')?.id,
    settings: { account: 'acme', apiUrl: 'http://127.0.0.1:9', signingSecret, apiToken: 'a token' },
  });
  const { id, key } = await db.selectFrom('channel').select(['id', 'key']).where('name', '=', 'Pager').executeTakeFirstOrThrow();
  const body = Buffer.from(JSON.stringify({ events: [{ type: 'message', id: 'm-1', from: 'person-1', text: 'The lift is stuck.' }] }));
  const deliver = (signature: string) =>
    fetch(`${stack.addresses.web}/hooks/pager/${key}`, { method: 'POST', body, headers: { 'x-pager-signature': signature } }).then(({ status }) => status);
  expect(await deliver('sha256=00')).toBe(401);
  expect(await deliver(signing.signatureOf(body, signingSecret))).toBe(204);
  const tickets = await eventually(async () => {
    const found = await db
      .selectFrom('ticket')
      .innerJoin('conversation', 'conversation.id', 'ticket.conversation_id')
      .select('ticket.number')
      .where('conversation.channel_id', '=', id)
      .execute();
    return found.length > 0 && found;
  });
  expect(tickets).toHaveLength(1);
  expect(await db.selectFrom('raw_delivery').select(['state', 'failure_code']).where('channel_id', '=', id).execute()).toEqual([
    { state: 'DONE', failure_code: null },
  ]);
});
