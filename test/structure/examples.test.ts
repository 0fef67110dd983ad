import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSchema, parse, validate } from 'graphql';
import { afterAll, expect, test } from 'vitest';
import { pluginProblems } from '@trunkline/channel-sdk';
import { files, read } from './source.ts';

const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...files('docs/**/*.md')];

/** The fenced blocks of a page in one language. */
function blocks(path: string, language: string): readonly string[] {
  return [...read(path).matchAll(new RegExp(`^ *\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\``, 'gm'))].map(([, code = '']) => code);
}

const folder = fileURLToPath(new URL(`../../.trunkline/examples-${process.pid}/`, import.meta.url));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('every GraphQL operation of the documentation fits the schema', () => {
  const schema = buildSchema(read('api/schema.graphql'));
  const operations = pages.flatMap((path) => blocks(path, 'graphql').map((text) => ({ path, text })));
  expect(operations.length).toBeGreaterThan(0);
  const wrong = operations.flatMap(({ path, text }) => validate(schema, parse(text)).map(({ message }) => `${path}: ${message}`));
  expect(wrong).toEqual([]);
});

test('the plugin of the README keeps the contract', async () => {
  const [code = ''] = blocks('README.md', 'ts');
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}plugin.ts`, code);
  const module = (await import(/* @vite-ignore */ `${folder}plugin.ts`)) as { readonly default: unknown };
  expect(pluginProblems(module.default)).toEqual([]);
});

test('every npm script a page names is one', () => {
  const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
  const named = pages.flatMap((path) => [...read(path).matchAll(/npm run ([a-z][\w:-]*)/g)].map(([, script = '']) => script));
  expect([...new Set(named)].filter((script) => !Object.hasOwn(scripts, script))).toEqual([]);
});
