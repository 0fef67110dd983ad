import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe-core finds wrong with the chat widget as it stands there. */
export async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const axe: unknown = Reflect.get(window, 'axe');
    if (typeof axe !== 'object' || axe === null || !('run' in axe) || typeof axe.run !== 'function') return ['axe did not start'];
    // What moves in has no colour yet.
    const shadow = document.querySelector('trunkline-chat')?.shadowRoot;
    for (const one of shadow?.querySelectorAll('.panel, .row') ?? []) for (const animation of one.getAnimations()) animation.finish();
    const { violations: found, passes } = await axe.run('trunkline-chat');
    if (passes.length < 5) return ['axe saw next to nothing'];
    return found.map(({ id, nodes }: { id: string; nodes: readonly { html: string }[] }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
}
