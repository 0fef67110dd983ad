import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const module = new URL('../../runtime/stray-failures.ts', import.meta.url).href;
const SECRET = 'ada@customer.example wrote this';

/** A process in which a promise fails that nobody waits for; says `alive` afterwards. */
const run = async (guarded: boolean): Promise<{ readonly stdout: string; readonly code: number }> => {
  const guard = guarded
    ? `const { outliveStrayRejections } = await import('${module}'); outliveStrayRejections((m, f) => console.log(m, JSON.stringify(f)));`
    : '';
  const script = `${guard} void Promise.reject(new RangeError('${SECRET}')); void Promise.reject(undefined); setTimeout(() => console.log('alive'), 50);`;
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
    return { stdout, code: 0 };
  } catch (error) {
    return { stdout: '', code: error instanceof Error ? Number(Reflect.get(error, 'code')) : -1 };
  }
};

it('a promise of a plugin’s that nobody waited for does not end the process, and is told of by its class [PLUG-11]', async () => {
  const { stdout, code } = await run(true);
  expect(code).toBe(0);
  expect(stdout).toContain('a promise failed that nobody waited for {"error":"RangeError"}');
  expect(stdout).toContain('{"error":"undefined"}');
  expect(stdout).toContain('alive');
  expect(stdout).not.toContain(SECRET);
  // Node by itself ends.
  expect((await run(false)).code).toBe(1);
});
