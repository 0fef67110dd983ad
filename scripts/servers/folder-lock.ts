import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { endProcess, identify, stillRuns, type ProcessIdentity } from './identity.ts';

/** Somebody else uses the folder. */
export class FolderInUse extends Error {
  constructor(directory: string, pid: number) {
    super(
      `Trunkline already runs in this folder (process ${pid}). Its addresses are in ${join(directory, 'dev.json')}; stop it with Ctrl-C there before starting another.`,
    );
    this.name = 'FolderInUse';
  }
}

/** A folder that is ours until it is released. */
export type FolderLock = {
  /** Writes down a process started for this folder, so that the next start can end it should this one be killed. */
  readonly record: (name: string, pid: number) => void;
  readonly release: () => void;
  /** Processes a killed start left behind, by name; see {@link endLeftovers}. */
  readonly leftovers: readonly Leftover[];
};

type Leftover = ProcessIdentity & { readonly name: string };
type Contents = { readonly owner: ProcessIdentity; readonly processes: readonly Leftover[] };

/**
 * Takes the folder for this process. Throws {@link FolderInUse} when a living process has it; one whose owner was
 * killed is taken over.
 */
export function lockFolder(directory: string): FolderLock {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, 'start.lock');
  const owner = identify(process.pid);
  if (owner === undefined) throw new Error('The system does not tell when this process started.');
  const mine = `${file}.${process.pid}`;
  let processes: readonly Leftover[] = [];
  writeFileSync(mine, contents({ owner, processes }), { mode: 0o600 });
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        // A link either is made or is not; a file would be there before it is written.
        linkSync(mine, file);
        break;
      } catch (error) {
        if (!isCode(error, 'EEXIST') || attempt > 5) throw error;
        const found = read(file);
        if (found !== undefined && stillRuns(found.owner)) throw new FolderInUse(directory, found.owner.pid);
        processes = found?.processes ?? processes;
        rmSync(file, { force: true });
      }
    }
  } finally {
    rmSync(mine, { force: true });
  }
  const leftovers = processes;
  const known = new Map<string, Leftover>();
  return {
    leftovers,
    record(name, pid) {
      const identity = identify(pid);
      if (identity === undefined) return;
      known.set(name, { ...identity, name });
      writeFileSync(mine, contents({ owner, processes: [...known.values()] }), { mode: 0o600 });
      renameSync(mine, file);
    },
    release() {
      if (read(file)?.owner.pid === process.pid) rmSync(file, { force: true });
    },
  };
}

/** Ends what a killed start left behind, and nothing that merely has the same number. Returns the names. */
export async function endLeftovers(lock: FolderLock): Promise<readonly string[]> {
  const ended: string[] = [];
  for (const leftover of lock.leftovers) {
    // PostgreSQL calls SIGINT its fast shutdown; with SIGTERM it would wait for its clients.
    if (await endProcess(leftover, leftover.name === 'postgres' ? 'SIGINT' : 'SIGTERM')) ended.push(leftover.name);
  }
  return ended;
}

function contents(value: Contents): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function read(file: string): Contents | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isContents(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isContents(value: unknown): value is Contents {
  return (
    typeof value === 'object' &&
    value !== null &&
    'owner' in value &&
    isIdentity(value.owner) &&
    'processes' in value &&
    Array.isArray(value.processes) &&
    value.processes.every((one: unknown) => isIdentity(one) && 'name' in one && typeof one.name === 'string')
  );
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return (
    typeof value === 'object' && value !== null && 'pid' in value && typeof value.pid === 'number' && 'started' in value && typeof value.started === 'string'
  );
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && Reflect.get(error, 'code') === code;
}
