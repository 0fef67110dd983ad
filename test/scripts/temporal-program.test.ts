import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';

import { createProgress } from '#scripts/servers/progress.ts';
import { cachedProgram, findTemporal, type FindOptions } from '#scripts/servers/temporal-program.ts';
import { readVersion, tooOld } from '#scripts/servers/temporal-version.ts';

const NEW = 'temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)';
const OLD = 'temporal version 1.0.0 (Server 1.24.1, UI 2.27.3)';

let directory: string;
let said: string;
let options: FindOptions;
let environment: NodeJS.ProcessEnv;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trunkline-find-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  said = '';
  // Only the fakes can be found: neither this machine's programs nor its cache.
  environment = { PATH: join(directory, 'bin'), HOME: directory, XDG_CACHE_HOME: join(directory, 'cache') };
  options = {
    environment,
    progress: createProgress({ output: { write: (text: string) => (said += text) } }),
    download: () => Promise.reject(new Error('no network here')),
  };
});

function program(file: string, script: string): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** A fake `go` that "builds" the given program, writing lines as the real one does. */
function fakeGo(result: string): void {
  program(
    join(directory, 'bin', 'go'),
    [
      'PATH=/usr/bin:/bin',
      `echo "$@" >> ${join(directory, 'go-arguments')}`,
      'echo "go: downloading example.org/one v1.0.0" >&2',
      'echo "example.org/one/pkg" >&2',
      result,
    ].join('\n'),
  );
}

const builds = (version: string) => `printf '#!/bin/sh\\necho "${version}"\\n' > "$GOBIN/temporal"; chmod 755 "$GOBIN/temporal"`;

test('takes a temporal on the PATH that is new enough [OPS-3]', async () => {
  const path = program(join(directory, 'bin', 'temporal'), `echo "${NEW}"`);
  program(cachedProgram(environment), `echo "${NEW}"`);
  expect(await findTemporal(options)).toEqual({ path, origin: 'path' });
});

test('passes over a temporal on the PATH that is too old [OPS-3]', async () => {
  const old = program(join(directory, 'bin', 'temporal'), `echo "${OLD}"`);
  const cached = program(cachedProgram(environment), `echo "${NEW}"`);
  expect(await findTemporal(options)).toEqual({ path: cached, origin: 'cache' });
  expect(said).toContain(`Passing over ${old}`);
  expect(said).toContain('1.24.1');
});

test('passes over a temporal on the PATH that does not run [OPS-3]', async () => {
  const broken = program(join(directory, 'bin', 'temporal'), 'exit 3');
  const cached = program(cachedProgram(environment), `echo "${NEW}"`);
  expect((await findTemporal(options)).path).toBe(cached);
  expect(said).toContain(`Passing over ${broken}`);
});

test('downloads before it builds, and keeps what was downloaded for the user [OPS-3]', async () => {
  fakeGo(builds(NEW));
  const found = await findTemporal({
    ...options,
    download: async (into) => void program(join(into, 'temporal-cli'), `echo "${NEW}"`),
  });
  expect(found).toEqual({ path: cachedProgram(environment), origin: 'download' });
  expect(existsSync(join(directory, 'go-arguments'))).toBe(false);
  expect((await findTemporal(options)).origin).toBe('cache');
});

test('builds with Go when nothing can be downloaded, says so, and caches it [OPS-3]', async () => {
  fakeGo(builds('temporal version 0.0.0-DEV (Server 1.29.1, UI 2.42.1)'));
  expect(await findTemporal(options)).toEqual({ path: cachedProgram(environment), origin: 'go' });
  expect(said).toContain('cannot be downloaded: no network here');
  expect(said).toContain('is built');
  expect((await findTemporal(options)).origin).toBe('cache');
});

test('two builds at once do not clash and leave one whole program [OPS-3]', async () => {
  fakeGo(builds(NEW));
  const found = await Promise.all([findTemporal(options), findTemporal(options)]);
  expect(found.map(({ path }) => path)).toEqual([cachedProgram(environment), cachedProgram(environment)]);
  expect(readdirSync(join(directory, 'cache', 'trunkline', 'temporal'))).toEqual(['v1.5.1']);
  expect(statSync(cachedProgram(environment)).mode & 0o111).toBe(0o111);
});

test('a build that fails leaves nothing in the cache [OPS-3]', async () => {
  fakeGo('echo "example.org/one: cannot find module" >&2; exit 1');
  await expect(findTemporal(options)).rejects.toThrow('cannot find module');
  expect(readdirSync(dirname(cachedProgram(environment)))).toEqual([]);
  expect(readdirSync(join(directory, 'cache', 'trunkline', 'temporal'))).toEqual(['v1.5.1']);
});

test('what was downloaded but is too old is not cached [OPS-3]', async () => {
  const download = async (into: string) => void program(join(into, 'temporal-cli'), `echo "${OLD}"`);
  await expect(findTemporal({ ...options, download })).rejects.toThrow('1.24.1');
  expect(existsSync(cachedProgram(environment))).toBe(false);
});

test('when nothing works one error gives each reason and says what to install [OPS-3]', async () => {
  program(join(directory, 'bin', 'temporal'), `echo "${OLD}"`);
  const error = await findTemporal(options).then(
    () => '',
    (reason: unknown) => String(reason),
  );
  for (const part of ['passed over', 'there is no', 'no network here', 'no go on the PATH', 'Install the Temporal CLI', 'TEMPORAL_ADDRESS']) {
    expect(error).toContain(part);
  }
});

test.each([
  ['temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)', true],
  ['temporal version 0.0.0-DEV (Server 1.29.1, UI 2.42.1)', true],
  ['temporal version 0.0.0-DEV (Server 1.27.9, UI 2.42.1)', false],
  ['temporal version 1.3.0 (Server 1.28.0, UI 2.37.0)', true],
  ['temporal version 1.2.9 (Server 1.28.0, UI 2.37.0)', false],
  ['temporal version 1.10.0 (Server 1.30.0-148.4, UI 2.37.0)', true],
])('judges %s [OPS-3]', (text, usable) => {
  const version = readVersion(text);
  expect(version).toBeDefined();
  expect(version !== undefined && tooOld(version) === undefined).toBe(usable);
});
