import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Step } from './steps.ts';

/** What became of a step; `problem` is null when it passed. */
export interface Outcome {
  readonly problem: string | null;
  readonly output: string;
  readonly seconds: number;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Runs one check to its end and keeps what it said. Never throws: a program that can not be started is a problem too. */
export function run(step: Step): Promise<Outcome> {
  const started = performance.now();
  const [command, first] = step.program === 'npm' ? ['npm', []] : [process.execPath, [`node_modules/.bin/${step.program}`]];
  return new Promise((resolve) => {
    const child = spawn(command, [...first, ...step.arguments], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    const end = (problem: string | null) => {
      const text = withoutNoise(Buffer.concat(output).toString('utf8'));
      resolve({ problem: problem ?? step.doubt?.(text) ?? null, output: text, seconds: (performance.now() - started) / 1000 });
    };
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
    child.on('error', (error) => end(`could not be started: ${error.message}`));
    child.on('close', (code, signal) => end(code === 0 ? null : signal === null ? `exit code ${code}` : `ended by ${signal}`));
  });
}

/** dependency-cruiser misses a TypeScript it does not need here: it reads with swc. */
function withoutNoise(text: string): string {
  return text.replace(/\n?\S+ missing-tsc-transpiler:[\s\S]*?stable\.\n?/, '');
}
