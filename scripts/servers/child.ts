import { fileURLToPath } from 'node:url';

import { run, type Running } from './process.ts';

/** One of our own processes, its readiness known. */
export type Child = Running & { readonly name: string; readonly readyUrl: string };

/** What a child is started with. */
export type ChildOptions = {
  readonly name: string;
  /** The script, as a path or a file URL. */
  readonly entry: string | URL;
  readonly environment: NodeJS.ProcessEnv;
  readonly readyUrl: string;
  readonly logFile: string;
  /** Milliseconds it may take to become ready. */
  readonly timeoutMs?: number;
  /** Calls the wait off, and the child with it. */
  readonly signal?: AbortSignal;
};

/** Starts a child and waits until its `/readyz` says yes. Throws with its last lines when it ends or stays unready. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { name, entry, readyUrl, logFile } = options;
  const process_ = await run({
    command: process.execPath,
    arguments: [typeof entry === 'string' ? entry : fileURLToPath(entry)],
    environment: options.environment,
    logFile,
  });
  const failure = await waitUntilReady(process_, options);
  if (failure === undefined) return { ...process_, name, readyUrl };
  await process_.stop();
  throw new Error(`The ${name} did not become ready: ${failure}. The last lines of ${logFile}:\n${indent(process_.tail())}`);
}

/** Does it say that it is ready, within two seconds? */
export async function isReady(readyUrl: string): Promise<boolean> {
  try {
    const response = await fetch(readyUrl, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function waitUntilReady(process: Running, options: ChildOptions): Promise<string | undefined> {
  const { readyUrl, timeoutMs = 60_000, signal } = options;
  for (const until = Date.now() + timeoutMs; Date.now() < until;) {
    if (signal?.aborted === true) return 'the start was called off';
    if (!process.alive()) return `it ended (${await process.ended})`;
    // Asked before it lives on a port somebody else took, the answer would be somebody else's.
    if ((await isReady(readyUrl)) && process.alive()) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return `no yes from ${readyUrl} within ${timeoutMs / 1000} s`;
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
}
