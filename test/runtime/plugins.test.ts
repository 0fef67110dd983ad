import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import form from '@trunkline/plugin-form';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig } from '#runtime/plugins.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'trunkline-plugins-')));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const from = pathToFileURL(join(folder, 'trunkline.config.ts')).href;

/** A plugin as compiled JavaScript, without a package of its own beneath it. */
const source = (key: string, more = '') => `export default {
  key: '${key}', name: 'Third', contract: 1, secrets: [], address: () => 'x', parse: async () => [],
  settings: { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } },
  capabilities: {
    identities: ['visitor'], address: 'opaque', threading: 'participant', joinsParticipantsOnly: false, inbound: [], maxDeliveryBytes: 1000,
    outbound: 'none', outboundContent: { maxTextLength: null, html: false, subject: false, attachments: null }, receipts: [], windows: [],
    templates: false, typing: false, routing: { group: 'messaging', defaultMethod: 'random' }, sendRate: {}, movable: { allowed: true }, callControl: false,
  }, ${more}
};`;

function write(path: string, content: string): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

function install(name: string, manifest: object, files: Readonly<Record<string, string>>): void {
  write(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', type: 'module', ...manifest }));
  for (const [path, content] of Object.entries(files)) write(`node_modules/${name}/${path}`, content);
}

const keys = async (plugins: Parameters<typeof loadConfig>[0]['plugins'], further?: string) =>
  (await loadConfig({ plugins, further, from })).plugins.map(({ key }) => key);
const problem = (plugins: Parameters<typeof loadConfig>[0]['plugins'], further?: string) =>
  keys(plugins, further).then(
    (loaded) => `loaded ${loaded.join()}`,
    (error: unknown) => (error instanceof Error ? error.message : ''),
  );

describe('what is named is loaded [PLUG-8]', () => {
  test('by package name, beside those that are imported and in the order of the list', async () => {
    install('@acme/trunkline-sms', { exports: { '.': { types: './index.d.ts', import: './dist/index.js' } } }, { 'dist/index.js': source('acme-sms') });
    install('plain-main', { main: 'main.js' }, { 'main.js': source('plain-main') });
    expect(await keys(['plain-main', form, '@acme/trunkline-sms'])).toEqual(['plain-main', form.key, 'acme-sms']);
  });

  test('by a path to a file, to a package’s folder, to a folder with an index, and by a file: URL', async () => {
    const file = write('my/plugin.js', source('by-file'));
    write('my/packed/package.json', JSON.stringify({ type: 'module', exports: './built.js' }));
    write('my/packed/built.js', source('by-folder'));
    write('my/typed/index.ts', `type Key = string;\n${source('by-index')}`);
    expect(await keys(['./my/plugin.js', './my/packed', './my/typed'])).toEqual(['by-file', 'by-folder', 'by-index']);
    expect(await keys([pathToFileURL(file).href])).toEqual(['by-file']);
    expect(await keys([file])).toEqual(['by-file']);
  });

  test('by the environment, with commas between, empty ones passed over', async () => {
    const file = write('env/plugin.js', source('by-env'));
    expect(await keys([], ` ${file} ,, plain-main,`)).toEqual(['by-env', 'plain-main']);
    expect(await keys([], '')).toEqual([]);
  });
});

describe('what can not be used is one error that names it [PLUG-8]', () => {
  test('a package that is not installed, a path that leads nowhere, a name that is neither', async () => {
    expect(await problem(['@acme/missing'])).toMatch(/^trunkline\.config\.ts can not be used:\n- "@acme\/missing": is not installed/);
    expect(await problem(['./missing.js'])).toContain(`"./missing.js": there is nothing at ${folder}/missing.js`);
    expect(await problem(['Not A Name'])).toContain('"Not A Name": is neither the name of a package nor a path');
    expect(await problem(['@acme/trunkline-sms/inner'])).toContain('is neither the name of a package nor a path');
  });

  test('a package that is not built', async () => {
    install('@acme/unbuilt', { exports: './dist/index.js' }, {});
    expect(await problem(['@acme/unbuilt'])).toContain('"@acme/unbuilt": ');
    expect(await problem(['@acme/unbuilt'])).toContain('./dist/index.js, ./index.js, ./index.ts; is it built?');
  });

  test('a module that throws, one that is no JavaScript, one whose own import is missing', async () => {
    write('throws.js', "throw new Error('no licence');");
    write('broken.js', 'export default {');
    write('lacks.js', "import '@acme/not-there';\nexport default {};");
    const said = await problem(['./throws.js', './broken.js', './lacks.js']);
    expect(said).toContain('"./throws.js": its module can not be loaded: no licence');
    expect(said).toContain('"./broken.js": its module can not be loaded: ');
    expect(said).toContain('"./lacks.js": its module can not be loaded: ');
  });

  test('no default export, and one that is no plugin', async () => {
    write('named.js', 'export const plugin = 1;');
    write('null.js', 'export default null;');
    write('text.js', "export default 'plugin';");
    write('empty.js', 'export default {};');
    const said = await problem(['./named.js', './null.js', './text.js', './empty.js']);
    expect(said).toContain('"./named.js": has no default export');
    expect(said).toContain('"./null.js": the default export is not a plugin');
    expect(said).toContain('"./text.js": the default export is not a plugin');
    expect(said).toContain('"./empty.js": parse: missing');
  });

  test('another version of the contract, with both numbers', async () => {
    write('newer.js', source('newer', 'contract: 7,').replace('contract: 1,', ''));
    expect(await problem(['./newer.js'])).toContain('"./newer.js": contract: written for version 7, this engine speaks version 1');
  });

  test('a clash of keys, naming both, and the same package twice', async () => {
    write('clash.js', source(form.key));
    expect(await problem([form, './clash.js'])).toContain(`"./clash.js": its key "${form.key}" is that of plugin "${form.key}"`);
    expect(await problem(['plain-main'], 'plain-main')).toContain('"plain-main": its key "plain-main" is that of "plain-main"');
  });

  test('all of it at once', async () => {
    write('several.js', source('Several', "name: '', contract: 2,"));
    const said = await problem(['@acme/missing', './several.js', './throws.js', form, form]);
    expect(said.match(/^- /gm)).toHaveLength(6);
    expect(said).not.toContain('plugin number');
  });
});

test.each(['api/main.ts', 'worker/main.ts'])('%s does not start with a plugin that can not be used, and says which [PLUG-8]', async (entry) => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const child = spawn(process.execPath, [join(root, entry)], {
    cwd: folder,
    env: { PATH: process.env['PATH'], TRUNKLINE_PLUGINS: '@acme/missing,./newer.js' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said = await text(child.stderr);
  expect(said).toContain('"@acme/missing": is not installed');
  expect(said).toContain('"./newer.js": contract: written for version 7');
  expect(said).not.toContain('    at ');
});
