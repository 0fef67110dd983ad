import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';

describe('the plugin', () => {
  it('imports the contract, Node and its own packages, and nothing else [PLUG-1, PLUG-2]', () => {
    const folder = new URL('../', import.meta.url);
    const own: unknown = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'));
    const allowed = typeof own === 'object' && own !== null && 'dependencies' in own ? Object.keys(own.dependencies ?? {}) : [];
    const files = readdirSync(folder).filter((name) => name.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      for (const [, from = ''] of readFileSync(new URL(file, folder), 'utf8').matchAll(/from '([^']+)'/g)) {
        const fine = from.startsWith('node:') || /^\.\/[a-z-]+\.ts$/.test(from) || allowed.some((name) => from === name || from.startsWith(`${name}/`));
        expect(fine, `${file}: ${from}`).toBe(true);
      }
    }
  });

  it('declares what it can: it sends nothing, and is answered through whatever writes to mail addresses [PLUG-3, FORM-3]', () => {
    expect(plugin.capabilities).toMatchObject({
      identities: ['email-address'],
      address: 'opaque',
      inbound: ['page'],
      outbound: 'none',
      repliesThrough: 'email-address',
      routing: { group: 'written', defaultMethod: 'random' },
      movable: { allowed: true },
    });
    expect(JSON.parse(JSON.stringify(plugin.capabilities))).toEqual(plugin.capabilities);
    expect(plugin.send).toBeUndefined();
  });

  it('what a browser gets names no other host [FORM-2]', () => {
    for (const name of ['form.css', 'form.js', 'embed.js']) {
      const text = readFileSync(new URL(`../assets/${name}`, import.meta.url), 'utf8').replaceAll(/^\s*\/\/.*$/gm, '');
      expect([...text.matchAll(/https?:\/\/[a-z]/g)], name).toEqual([]);
      expect(text, name).not.toMatch(/\b(?:innerHTML|eval|document\.write|@import)\b/);
    }
  });
});
