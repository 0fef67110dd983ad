import { execFile } from 'node:child_process';
import type { Stack } from '../servers/stack.ts';

/** The `temporal` command line as an operator types it; whether it ended with 0. */
export type CommandLine = (...words: readonly string[]) => Promise<boolean>;

/** That of the server which the stack has started. Throws where it has started none. */
export function commandLine({ temporalProgram, addresses }: Stack): CommandLine {
  if (temporalProgram === undefined) throw new Error('there is no temporal command line here');
  return (...words) =>
    new Promise(
      (resolve) => void execFile(temporalProgram, [...words, '--address', addresses.temporal], { timeout: 20_000 }, (error) => resolve(error === null)),
    );
}
