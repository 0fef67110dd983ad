import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { read } from '../structure/source.ts';

const PAGE = 'docs/guides/sms.md';
const root = fileURLToPath(new URL('../../', import.meta.url));
const outside = realpathSync(mkdtempSync(join(tmpdir(), 'trunkline-guide-')));
/** The reader's own checkout. */
const checkout = join(outside, 'trunkline');
/** What is no part of a checkout. */
const LEFT_OUT = new Set(['node_modules', '.git', '.trunkline']);
const LONGEST_STEP = 120_000;
const POLL = 50;

/** One block of the page, in order. `server`: goes on while the rest is done. */
type Block = { readonly kind: 'file'; readonly path: string; readonly text: string } | { readonly kind: 'sh' | 'server' | 'text'; readonly text: string };

const blocks: readonly Block[] = [...read(PAGE).matchAll(/(?:^`([^`\n]+)`\n\n)?^```(ts|json|sh server|sh|text)\n([\s\S]*?)^```/gm)].map(
  ([, path = '', kind, text = '']): Block => {
    if (kind === 'ts' || kind === 'json') return { kind: 'file', path, text };
    return { kind: kind === 'sh' ? 'sh' : kind === 'text' ? 'text' : 'server', text };
  },
);

let shell: ChildProcess | undefined;
let said = '';

beforeAll(() => {
  mkdirSync(checkout);
  for (const name of readdirSync(root).filter((one) => !LEFT_OUT.has(one))) {
    cpSync(join(root, name), join(checkout, name), { recursive: true, filter: (path) => !LEFT_OUT.has(path.split('/').at(-1) ?? '') });
  }
  // As `npm install` leaves it.
  symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
  for (const plugin of readdirSync(join(root, 'plugins'))) {
    const own = join(root, 'plugins', plugin, 'node_modules');
    if (readdirSync(dirname(own)).includes('node_modules')) symlinkSync(own, join(checkout, 'plugins', plugin, 'node_modules'));
  }
  const { VITEST: _, VITEST_WORKER_ID: __, VITEST_POOL_ID: ___, NODE_ENV: ____, TRUNKLINE_TEST_COUNTS: _____, ...env } = process.env;
  shell = spawn('bash', ['-e'], {
    cwd: checkout,
    // Of a group of its own, so that what the page leaves running can be ended with it.
    detached: true,
    env: { ...env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}` },
  });
  for (const stream of [shell.stdout, shell.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => void (said += text));
});

afterAll(async () => {
  const group = -(shell?.pid ?? 0);
  // Ctrl-C in each terminal; whoever was started there ends in order.
  for (let waited = 0; group !== 0 && runs(group, waited === 0 ? 'SIGINT' : 0) && waited < LONGEST_STEP; waited += POLL) await sleep(POLL);
  if (group !== 0) runs(group, 'SIGKILL');
  rmSync(outside, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
}, 2 * LONGEST_STEP);

/** Whether anybody of a group is left to hear a signal. */
function runs(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(group, signal);
  } catch {
    return false;
  }
}

let steps = 0;

/** What a block of commands printed; throws with it where one of them fails. */
async function run(text: string): Promise<string> {
  const from = said.length;
  const mark = `-- step ${(steps += 1)} is done --`;
  shell?.stdin?.write(`${text}\necho '${mark}'\n`);
  const end = performance.now() + LONGEST_STEP;
  while (!said.slice(from).includes(`${mark}\n`)) {
    if (shell?.exitCode !== null || performance.now() > end) throw new Error(`this does not work:\n${text}\n${said.slice(from)}\n${logs()}`);
    await sleep(POLL);
  }
  return said.slice(from, said.indexOf(mark, from));
}

/** What the engine's processes wrote last. */
function logs(): string {
  const folder = join(checkout, '.trunkline');
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name === 'api.log' || name === 'worker.log') : [];
  return names.map((name) => `${name}:\n${readFileSync(join(folder, name), 'utf8').slice(-2_000)}`).join('\n');
}

/** A line of the page as it may come out: `…` stands for anything. */
function shown(line: string): RegExp {
  return new RegExp(line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.*'));
}

test('the guide leads from nothing to a working SMS channel, command by command [PLUG-12]', { timeout: 600_000 }, async () => {
  expect(blocks.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['file', 'sh', 'server', 'text']));
  const began = performance.now();
  let printed = '';
  let ran = 0;
  for (const block of blocks) {
    switch (block.kind) {
      case 'file':
        expect(block.path, 'a block of code without the name of its file').toMatch(/^plugins\/sms\/[\w./-]+\.(ts|json)$/);
        writeFileSync(join(checkout, block.path), block.text);
        break;
      case 'sh':
        printed = await run(block.text);
        ran += 1;
        break;
      case 'server':
        // As in a terminal of its own.
        await run(`( ${block.text} ) &`);
        ran += 1;
        break;
      case 'text':
        for (const line of block.text.trimEnd().split('\n')) expect(printed).toMatch(shown(line));
    }
  }
  const seconds = Math.round((performance.now() - began) / 1_000);
  console.log(`${PAGE}: ${ran} blocks of commands and ${blocks.filter(({ kind }) => kind === 'file').length} files in ${seconds} s`);
  expect(ran).toBeGreaterThan(7);
  // Node runs it without a look at its types; a reader's editor looks.
  writeFileSync(join(checkout, 'tsconfig.guide.json'), '{ "extends": "./tsconfig.json", "include": ["plugins/sms/**/*.ts"] }');
  await run('node_modules/.bin/tsc --noEmit -p tsconfig.guide.json');
  // All of it was done in the copy.
  expect(['plugins/sms', 'start.log', 'provider.log'].filter((path) => existsSync(join(root, path)))).toEqual([]);
});
