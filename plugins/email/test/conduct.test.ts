import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';

describe('the plugin', () => {
  it('imports the contract, Node and its own packages, and nothing else [PLUG-1, PLUG-2]', () => {
    const folder = new URL('../', import.meta.url);
    const own: unknown = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'));
    const allowed = typeof own === 'object' && own !== null && 'dependencies' in own ? Object.keys(own.dependencies ?? {}) : [];
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.ts'))) {
      for (const [, from = ''] of readFileSync(new URL(file, folder), 'utf8').matchAll(/from '([^']+)'/g)) {
        const fine = from.startsWith('node:') || /^\.\/[a-z-]+\.ts$/.test(from) || allowed.some((name) => from === name || from.startsWith(`${name}/`));
        expect(fine, `${file}: ${from}`).toBe(true);
      }
    }
  });

  it('declares what it can: email addresses, threads by id, starting a conversation, written work, random by default [PLUG-3, ROUTE-7]', () => {
    expect(plugin.capabilities).toMatchObject({
      identities: ['email-address'],
      threading: 'thread-id',
      outbound: 'start',
      routing: { group: 'written', defaultMethod: 'random' },
      movable: { allowed: true },
    });
    expect(JSON.parse(JSON.stringify(plugin.capabilities))).toEqual(plugin.capabilities);
  });
});
