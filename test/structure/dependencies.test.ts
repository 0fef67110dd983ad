import { expect, test } from 'vitest';
import { tableRows } from './markdown.ts';
import { files, read } from './source.ts';

type Versions = Readonly<Record<string, string>>;
interface Manifest {
  readonly dependencies?: Versions;
  readonly devDependencies?: Versions;
  readonly optionalDependencies?: Versions;
}

const manifests = ['package.json', 'channel-sdk/package.json', ...files('plugins/*/package.json')];

/** `name version`, of every package that is not a workspace of ours. */
function listed(): ReadonlySet<string> {
  const all = manifests.flatMap((path) => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read(path)) as Manifest;
    return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies });
  });
  return new Set(all.filter(([name]) => !name.startsWith('@trunkline/')).map(([name, version]) => `${name} ${version}`));
}

const rows = tableRows('docs/dependencies.md');

test('docs/dependencies.md lists what the package.json files list, with the same versions', () => {
  expect(rows.map(([name, version]) => `${name} ${version}`).toSorted()).toEqual([...listed()].toSorted());
});

test('every dependency has its reason', () => {
  expect(rows.filter(([, , reason = '']) => reason.length < 10).map(([name]) => name)).toEqual([]);
});

test('versions are exact, so that every install is the same', () => {
  expect([...listed()].filter((one) => !/ \d+\.\d+\.\d+(-[\w.]+)?$/.test(one))).toEqual([]);
});
