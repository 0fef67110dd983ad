import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { atLeast, MINIMUM_SERVER } from '#runtime/temporal.ts';

/** The oldest CLI whose dev server knows the options in use. */
export const MINIMUM_CLI = '1.3.0';

/** What a `temporal` program says of itself. */
export type TemporalVersion = { readonly cli: string; readonly server: string };

/** Asks a program for its version; undefined when it cannot be run or says something else. */
export async function askVersion(program: string): Promise<TemporalVersion | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 15_000, encoding: 'utf8' });
    return readVersion(stdout);
  } catch {
    return undefined;
  }
}

/** Reads `temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)`. */
export function readVersion(text: string): TemporalVersion | undefined {
  const match = /version (\S+) \(Server (\d[^,\s)]*)/.exec(text);
  return match?.[1] === undefined || match[2] === undefined ? undefined : { cli: match[1], server: match[2] };
}

/** Why this one cannot be used, or undefined when it can. */
export function tooOld({ cli, server }: TemporalVersion): string | undefined {
  if (!atLeast(server, MINIMUM_SERVER)) return `its server is ${server}, at least ${MINIMUM_SERVER} is needed`;
  // Built from the module it calls itself 0.0.0-DEV, whatever it is; then its server's version must do.
  if (!/-DEV$/i.test(cli) && !atLeast(cli, MINIMUM_CLI)) return `it is ${cli}, at least ${MINIMUM_CLI} is needed`;
  return undefined;
}
