import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync } from 'node:fs';

/** A process this one started. */
export type Running = {
  readonly pid: number;
  /** Resolves with how it ended, in words such as `exit code 1` or `signal SIGKILL`. */
  readonly ended: Promise<string>;
  readonly alive: () => boolean;
  /** Asks with the signal, waits, then kills. Resolves when it is gone; harmless when it already is. */
  readonly stop: (signal?: NodeJS.Signals, timeoutMs?: number) => Promise<void>;
  /** SIGKILL, as a power cut would. */
  readonly kill: () => Promise<void>;
  /** The last lines it wrote to its log. */
  readonly tail: (lines?: number) => string;
};

/** What to run and where its output goes. */
export type RunOptions = {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  readonly directory?: string;
  /** Standard output and error; the file of the run before is kept as `<file>.1`. */
  readonly logFile: string;
  readonly uid?: number;
  readonly gid?: number;
};

/**
 * Starts a process in a group of its own: Ctrl-C in the terminal then reaches only the parent, which stops the
 * children in order. It writes to a file and not to a pipe, so that it survives a parent that was killed.
 * Throws when the command cannot be run.
 */
export async function run(options: RunOptions): Promise<Running> {
  if (existsSync(options.logFile)) renameSync(options.logFile, `${options.logFile}.1`);
  const log = openSync(options.logFile, 'a', 0o600);
  let child: ChildProcess;
  // What a server writes is for its owner: the folder itself must be open to the database's user.
  const mask = process.umask(0o077);
  try {
    child = spawn(options.command, [...options.arguments], {
      stdio: ['ignore', log, log],
      detached: true,
      env: options.environment ?? process.env,
      ...(options.directory === undefined ? {} : { cwd: options.directory }),
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
  } finally {
    process.umask(mask);
    closeSync(log);
  }
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new Error(`${options.command} cannot be run`, { cause })));
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${options.command} has no process id`);

  const alive = () => child.exitCode === null && child.signalCode === null;
  const stop = async (signal: NodeJS.Signals = 'SIGTERM', timeoutMs = 20_000) => {
    if (!alive()) return;
    child.kill(signal);
    if (await endsWithin(ended, timeoutMs)) return;
    child.kill('SIGKILL');
    await ended;
  };
  return {
    pid,
    ended,
    alive,
    stop,
    kill: () => stop('SIGKILL'),
    tail: (lines = 15) => tail(options.logFile, lines),
  };
}

/** The last lines of a file, or nothing when there is none. */
export function tail(file: string, lines: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}

/** Is there a process of this id, whoever owns it? */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && Reflect.get(error, 'code') === 'EPERM';
  }
}

async function endsWithin(ended: Promise<string>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([ended.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
