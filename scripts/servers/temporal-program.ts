import { spawn } from 'node:child_process';
import { accessSync, chmodSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { createProgress, type Progress } from './progress.ts';
import { askVersion, tooOld } from './temporal-version.ts';

/** The version that is downloaded or built. From 1.6 on `go install` refuses the module: it carries a replace directive. */
export const TEMPORAL_CLI = 'v1.5.1';
const MODULE = `github.com/temporalio/cli/cmd/temporal@${TEMPORAL_CLI}`;

/** How the program was come by. */
export type Origin = 'path' | 'cache' | 'download' | 'go';

/** The `temporal` program to run. */
export type TemporalProgram = { readonly path: string; readonly origin: Origin };

/** What the search may be told; the defaults are the machine's own. */
export type FindOptions = {
  readonly progress?: Progress;
  /** PATH, HOME, XDG_CACHE_HOME and what Go reads. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Milliseconds without a byte after which the download is given up. */
  readonly downloadTimeoutMs?: number;
  /** Downloads the program into a directory; replaced in tests. */
  readonly download?: (directory: string, timeoutMs: number, signal?: AbortSignal) => Promise<void>;
  /** Calls the search off, with a download or build that runs. */
  readonly signal?: AbortSignal;
};

/** Where the user's own copy stands: per user and version, so that every repository shares it. */
export function cachedProgram(environment: NodeJS.ProcessEnv = process.env): string {
  const given = environment['XDG_CACHE_HOME'];
  // A relative one is to be ignored, says the XDG base directory specification.
  const cache = given !== undefined && isAbsolute(given) ? given : join(environment['HOME'] || homedir(), '.cache');
  return join(cache, 'trunkline', 'temporal', TEMPORAL_CLI, 'temporal');
}

/**
 * Finds a `temporal` program: on the PATH, in the cache, downloaded by the SDK, built with Go. Each step says what
 * it does. Throws one error that says what to install when none works.
 */
export async function findTemporal(options: FindOptions = {}): Promise<TemporalProgram> {
  const { progress = createProgress(), environment = process.env } = options;
  const cached = cachedProgram(environment);
  const steps = [
    () => fromPath(environment, progress),
    () => fromCache(cached, progress),
    () => fromDownload(cached, progress, options),
    () => fromGo(cached, progress, environment, options.signal),
  ];
  const reasons: string[] = [];
  for (const step of steps) {
    options.signal?.throwIfAborted();
    const found = await step();
    if (typeof found !== 'string') return found;
    reasons.push(found);
  }
  throw new Error(
    [
      'No Temporal server could be had:',
      ...reasons.map((reason) => `  ${reason}`),
      'Install the Temporal CLI (1.3 or newer) so that `temporal` is on the PATH, or a Go toolchain (1.24 or newer) to build it, or set TEMPORAL_ADDRESS to a server of your own.',
    ].join('\n'),
  );
}

/** The program, or why this way did not lead to one. */
type Outcome = Promise<TemporalProgram | string>;

async function fromPath(environment: NodeJS.ProcessEnv, progress: Progress): Outcome {
  const path = onPath('temporal', environment);
  if (path === undefined) return 'temporal on the PATH: there is none';
  const version = await askVersion(path);
  const reason = version === undefined ? 'it does not tell its version' : tooOld(version);
  if (reason === undefined) return { path, origin: 'path' };
  progress.note(`Passing over ${path}: ${reason}.`);
  return `temporal on the PATH: passed over ${path}, ${reason}`;
}

async function fromCache(cached: string, progress: Progress): Outcome {
  if (!existsSync(cached)) return `cached for this user: there is no ${cached}`;
  const version = await askVersion(cached);
  if (version !== undefined && tooOld(version) === undefined) return { path: cached, origin: 'cache' };
  progress.note(`Passing over ${cached}: it does not run.`);
  return `cached for this user: ${cached} does not run`;
}

async function fromDownload(cached: string, progress: Progress, options: FindOptions): Outcome {
  const { downloadTimeoutMs = 10_000, download = downloadWithSdk } = options;
  const step = progress.step('Downloading the Temporal dev server');
  try {
    return await intoCache(cached, 'download', async (directory) => {
      await download(directory, downloadTimeoutMs, options.signal);
      const file = readdirSync(directory)
        .map((name) => join(directory, name))
        .find(isProgram);
      if (file === undefined) throw new Error('nothing was downloaded');
      return file;
    }).then((found) => {
      step.done('The Temporal dev server is downloaded');
      return found;
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    step.failed(`The Temporal dev server cannot be downloaded: ${reason}`);
    return `download: ${reason}`;
  }
}

async function fromGo(cached: string, progress: Progress, environment: NodeJS.ProcessEnv, signal: AbortSignal | undefined): Outcome {
  const go = onPath('go', environment);
  if (go === undefined) return 'built with Go: there is no go on the PATH';
  const step = progress.step(`Building the Temporal dev server ${TEMPORAL_CLI} with Go, once, some three minutes`);
  try {
    const found = await intoCache(cached, 'go', async (directory) => {
      await build(go, directory, { environment, update: step.update, signal });
      return join(directory, 'temporal');
    });
    step.done('The Temporal dev server is built');
    return found;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    step.failed(`The Temporal dev server cannot be built: ${reason}`);
    return `built with Go: ${reason}`;
  }
}

/**
 * Makes the program in a directory of its own beside the cache and renames it into place: two at once do not clash,
 * and one that is killed leaves nothing that looks whole.
 */
async function intoCache(cached: string, origin: Origin, make: (directory: string) => Promise<string>): Promise<TemporalProgram> {
  mkdirSync(dirname(cached), { recursive: true, mode: 0o755 });
  const directory = mkdtempSync(`${dirname(cached)}-half-`);
  try {
    const made = await make(directory);
    chmodSync(made, 0o755);
    const version = await askVersion(made);
    const reason = version === undefined ? 'what was had does not run' : tooOld(version);
    if (reason !== undefined) throw new Error(reason);
    renameSync(made, cached);
    return { path: cached, origin };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Lets the SDK download its dev server. In a process of its own, because the SDK's download cannot be called off:
 * it is ended when no byte came for the time given.
 */
async function downloadWithSdk(directory: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const script = fileURLToPath(new URL('./temporal-download.ts', import.meta.url));
  const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'ignore', 'pipe'], ...(signal && { signal }) });
  let message = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (message += text));
  let size = -1;
  let since = Date.now();
  let late = false;
  const watch = setInterval(() => {
    const now = bytesIn(directory);
    if (now !== size) {
      size = now;
      since = Date.now();
    } else if (Date.now() - since > timeoutMs) {
      late = true;
      child.kill('SIGKILL');
    }
  }, 250);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    if (late) throw new Error(`nothing came for ${timeoutMs / 1000} s`);
    if (code !== 0) throw new Error(message.trim().split('\n').at(-1) || `it ended with ${code}`);
  } finally {
    clearInterval(watch);
  }
}

function bytesIn(directory: string): number {
  try {
    return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  } catch {
    return 0;
  }
}

type BuildOptions = {
  readonly environment: NodeJS.ProcessEnv;
  readonly update: (detail: string) => void;
  readonly signal: AbortSignal | undefined;
};

async function build(go: string, directory: string, { environment, update, signal }: BuildOptions): Promise<void> {
  const child = spawn(go, ['install', '-v', MODULE], {
    // Outside any module: a go.work or vendor directory above must have no say.
    cwd: directory,
    env: { ...environment, GOBIN: directory, GOFLAGS: '', GOWORK: 'off', CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(signal && { signal }),
  });
  const stop = () => child.kill('SIGTERM');
  process.once('exit', stop);
  let downloaded = 0;
  let compiled = 0;
  let last = '';
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.startsWith('go: downloading ')) downloaded += 1;
    else if (/^[\w.~-]+(\/[\w.~-]+)*$/.test(line)) compiled += 1;
    else last = line;
    update(compiled === 0 ? `${downloaded} modules downloaded` : `${compiled} packages compiled`);
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(last.trim() || `go install ended with ${code}`);
  } finally {
    process.off('exit', stop);
  }
}

function onPath(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  return (environment['PATH'] ?? '')
    .split(delimiter)
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, name))
    .find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
