import { expect, test } from 'vitest';
import config from '#config';
import { sourceFiles, read, withoutComments } from './source.ts';

/**
 * A plugin's key may be another word as well: `email` is also the column of a user's own address. These are the shapes in which
 * it stands for that; as a value (`plugin === 'email'`) it matches none of them.
 */
const OTHER_MEANINGS: Readonly<Record<string, readonly RegExp[]>> = {
  email: [
    // A column where a statement names its columns.
    /(?:where|column|columns|orderBy|returning|set)\(\[?(?:'[\w.]+', )*'email'/,
    /select\(\[?(?:'[\w. ]+', )*'email'/,
    // A property of the user's type.
    /Pick<UserInput, [^>]*'email'/,
    // The field of the GraphQL type User, and where a problem is with it.
    /expose\w*\('email'/,
    /path: 'email'/,
    // The kind of an answer in a chatflow, among the others, and the contact's property of that name.
    /'text'(?: \||,) 'email'(?: \||,) 'phone'/,
    /email: 'email', phone: 'phone'/,
    // The name of a field that a form has.
    /'name', 'email', 'label'/,
    // A claim of a sign-in provider's token.
    /CLAIM: z\.string\(\)\.default\('email'\)/,
  ],
};

const keys = config.plugins.map(({ key }) => key);
const mayName = (path: string) => path.startsWith('plugins/') || path.startsWith('test/') || path.includes('/test/') || path === 'trunkline.config.ts';

/** Lines on which the key is a text of its own and means the plugin. */
function namings(path: string, key: string): readonly string[] {
  const literal = new RegExp(`(['"\`])${key}\\1`, 'g');
  return withoutComments(read(path))
    .split('\n')
    .filter((line) => {
      const meant = (OTHER_MEANINGS[key] ?? []).reduce((rest, shape) => rest.replace(shape, ''), line);
      return literal.test(meant);
    })
    .map((line) => `${path}: ${line.trim()}`);
}

test('there are plugins to look for', () => {
  expect(keys.length).toBeGreaterThan(0);
});

test.each(keys)('no code but its own, tests and the config names the plugin %s', (key) => {
  const found = sourceFiles()
    .filter((path) => !mayName(path))
    .flatMap((path) => namings(path, key));
  expect(found).toEqual([]);
});
