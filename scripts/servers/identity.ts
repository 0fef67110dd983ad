import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { isAlive } from './process.ts';

/** A process as it can be found again later: its number alone is soon somebody else's. */
export type ProcessIdentity = { readonly pid: number; readonly started: string };

/** The identity of a running process, or undefined when there is none. */
export function identify(pid: number): ProcessIdentity | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  const started = startTime(pid);
  return started === undefined ? undefined : { pid, started };
}

/** Does this very process still run, and not another that was given its number? */
export function stillRuns(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.started === identity.started;
}

/** Ends exactly this process: asks, waits, kills. Resolves with whether there was anything to end. */
export async function endProcess(identity: ProcessIdentity, signal: NodeJS.Signals, timeoutMs = 10_000): Promise<boolean> {
  if (!stillRuns(identity)) return false;
  send(identity, signal);
  for (const until = Date.now() + timeoutMs; Date.now() < until;) {
    if (!stillRuns(identity)) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  send(identity, 'SIGKILL');
  for (const until = Date.now() + 5_000; Date.now() < until && stillRuns(identity);) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

function send({ pid }: ProcessIdentity, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in between.
  }
}

/** When it started, in whatever words the system has; only compared with itself. */
function startTime(pid: number): string | undefined {
  try {
    // The command's name stands in brackets and may hold spaces and brackets; field 22 counts from after it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent has not looked yet.
    if (fields[0] === 'Z') return undefined;
    return fields[19];
  } catch {
    if (process.platform === 'linux') return undefined;
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}
