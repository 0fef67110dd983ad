import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { createProgress } from '#scripts/servers/progress.ts';
import { explain } from '#scripts/servers/fail.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function recorder(isTTY: boolean) {
  let text = '';
  return { output: { isTTY, write: (more: string) => (text += more) }, text: () => text };
}

test('says what takes longer than a second, and goes on saying it, in plain lines without a terminal [OPS-1]', () => {
  const { output, text } = recorder(false);
  const step = createProgress({ output }).step('Building');
  vi.advanceTimersByTime(900);
  expect(text()).toBe('');
  step.update('12 packages');
  vi.advanceTimersByTime(200);
  expect(text()).toBe('… Building (12 packages), 1.0 s\n');
  vi.advanceTimersByTime(10_000);
  expect(text()).toContain('10.0 s');
  step.done('Built');
  expect(text()).toMatch(/✓ Built \(11\.1 s\)\n$/);
  expect(text()).not.toContain('\u001b');
});

test('turns a spinner on a terminal, and replaces it by the outcome [OPS-1]', () => {
  const { output, text } = recorder(true);
  const step = createProgress({ output }).step('Building');
  vi.advanceTimersByTime(500);
  expect(text()).toContain('\r');
  step.failed('Could not build');
  expect(text()).toMatch(/✗ Could not build \(0\.5 s\)\n$/);
  const before = text();
  vi.advanceTimersByTime(5_000);
  expect(text()).toBe(before);
});

test('shows no password of a URL in an error [OPS-2]', () => {
  const error = new Error('cannot connect to postgres://someone:hunter2@db:5432/x', { cause: new Error('refused') });
  expect(explain(error)).toBe('cannot connect to postgres://someone:[hidden]@db:5432/x\n  because: refused');
});
