import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { makePlugin } from '#scripts/plugin-new/make.ts';
import { sourceFiles } from '../structure/source.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Inside of the repository, so that the kit is found as it is from `plugins/`, and where nothing else looks. */
const place = join(root, `.trunkline/plugin-new-${process.pid}`);
afterAll(() => rmSync(place, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function run(file: string, given: readonly string[], cwd = root): Promise<Ended> {
  // The tests' own settings of vitest are not those of the tests that are run here.
  const { VITEST: _, VITEST_WORKER_ID: __, VITEST_POOL_ID: ___, NODE_ENV: ____, ...env } = process.env;
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [file, ...given], { cwd, env: { ...env, INIT_CWD: place } }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, output: stdout + stderr }),
    );
  });
}

const generate = (...given: readonly string[]) => run(join(root, 'scripts/plugin-new.ts'), given);

describe('npm run plugin:new [PLUG-9]', () => {
  test('makes a plugin whose conformance suite is green from the first minute, with its own name everywhere', async () => {
    const folder = join(place, 'plugins/door-bell');
    const files = makePlugin({ name: 'door-bell', folder, own: false, taken: [] });
    expect(files).toEqual(
      expect.arrayContaining(['README.md', 'index.ts', 'package.json', 'settings.ts', 'verify.ts', 'parse.ts', 'send.ts', 'test/conformance.test.ts']),
    );
    for (const file of files) expect(readFileSync(join(folder, file), 'utf8'), file).not.toMatch(/new-channel|New channel|@@/);
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toContain('TRUNKLINE_PLUGINS=./plugins/door-bell npm start');
    const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
    const { code, output } = await run(vitest, ['run', '--root', folder, '--reporter=verbose']);
    expect(code, output).toBe(0);
    expect(output).toContain('takes what the provider signed [PLUG-4]');
    expect(output).toContain('fixtures/message.json gives what stands in it');
  });

  test('its suite finds a mistake: a signature that is not looked at, a failure that says too much', async () => {
    const folder = join(place, 'plugins/careless');
    makePlugin({ name: 'careless', folder, own: false, taken: [] });
    const edit = (file: string, from: string, to: string) => {
      const text = readFileSync(join(folder, file), 'utf8');
      expect(text).toContain(from);
      writeFileSync(join(folder, file), text.replace(from, to));
    };
    edit('verify.ts', '!timingSafeEqual(given, wanted)', 'given.length === 0');
    edit('send.ts', "code: 'MaybeSent', reason: 'no answer'", "code: 'Unavailable', reason: 'no answer'");
    const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
    const { code, output } = await run(vitest, ['run', '--root', folder]);
    expect(code).not.toBe(0);
    expect(output).toContain('refuses a delivery without its signature');
    expect(output).toContain('send at "silence" is Unavailable, not MaybeSent');
  });

  test('makes a package of its own, relative to where it was called, whose tests run with Node alone', async () => {
    mkdirSync(place, { recursive: true });
    const { code, output } = await generate('pager', '--package', 'packages/pager');
    expect(code, output).toBe(0);
    expect(output).toContain('npm pack');
    const folder = join(place, 'packages/pager');
    expect(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))).toMatchObject({
      name: 'trunkline-plugin-pager',
      exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
      peerDependencies: { '@trunkline/channel-sdk': expect.stringMatching(/^\^\d/) },
    });
    // As its `npm test` says it.
    const tested = await run('--test', ['test/*.test.ts'], folder);
    expect(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).scripts.test).toBe('node --test "test/*.test.ts"');
    expect(tested.code, tested.output).toBe(0);
    expect(tested.output).toMatch(/pass [3-9]\d\b/);
  });

  test('refuses a name that can be no key, one that is taken, and a folder that is there, and leaves all as it was', async () => {
    const before = sourceFiles();
    for (const name of ['Pager', 'x', '9lives', 'two--dashes', 'dash-', '../escape', 'a/b', `a${'b'.repeat(31)}`]) {
      const { code, output } = await generate(name);
      expect(code, name).toBe(1);
      expect(output).toContain("can not be a plugin's key");
      expect(output).not.toContain('    at ');
    }
    const taken = await generate('form');
    expect([taken.code, taken.output]).toEqual([1, expect.stringContaining('there is a plugin with the key "form" already')]);
    const there = join(place, 'packages/there');
    mkdirSync(there, { recursive: true });
    const again = await generate('pager', '--package', 'packages/there');
    expect([again.code, again.output]).toEqual([1, expect.stringContaining('is there already')]);
    expect(existsSync(join(there, 'package.json'))).toBe(false);
    expect((await generate()).code).not.toBe(0);
    expect(sourceFiles()).toEqual(before);
  });
});
