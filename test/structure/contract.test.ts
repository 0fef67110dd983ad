import { parseAst } from 'rolldown/parseAst';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { read } from './source.ts';

const README = 'channel-sdk/README.md';

/** What is needed of a syntax tree of TypeScript. */
const key = z.object({ key: z.object({ name: z.string() }) });
const interfaces = z.object({ type: z.literal('TSInterfaceDeclaration'), id: z.object({ name: z.string() }), body: z.object({ body: z.array(key) }) });

/** The members of each interface of a file, by the interface's name, as the parser has them. */
function membersIn(file: string): ReadonlyMap<string, readonly string[]> {
  const { body } = parseAst(read(file), { lang: 'ts' });
  const found = new Map<string, readonly string[]>();
  for (const statement of body) {
    const declared = interfaces.safeParse('declaration' in statement ? statement.declaration : statement);
    if (declared.success)
      found.set(
        declared.data.id.name,
        declared.data.body.body.map((member) => member.key.name),
      );
  }
  return found;
}

function membersOf(file: string, name: string): readonly string[] {
  const members = membersIn(file).get(name) ?? [];
  expect(members.length, `${name} in ${file}`).toBeGreaterThan(0);
  return members;
}

/** The values of a field that tells members of a union apart: `type: 'message'`. */
function tags(file: string, field: string): readonly string[] {
  const found: string[] = [];
  const tag = z.object({
    type: z.literal('TSPropertySignature'),
    key: z.object({ name: z.literal(field) }),
    typeAnnotation: z.object({ typeAnnotation: z.object({ literal: z.object({ value: z.string() }) }) }),
  });
  JSON.stringify(parseAst(read(file), { lang: 'ts' }), (_name, node: unknown) => {
    const one = tag.safeParse(node);
    if (one.success) found.push(one.data.typeAnnotation.typeAnnotation.literal.value);
    return node;
  });
  return found;
}

/** The rows of the table whose head begins with these cells; names without back quotes and arguments. */
function rows(...head: readonly string[]): readonly (readonly string[])[] {
  const lines = read(README).split('\n');
  const from = lines.findIndex((line) => line.startsWith(`| ${head.join(' | ')} |`));
  expect(from, `a table of ${head.join(', ')}`).toBeGreaterThan(-1);
  const table = lines.slice(from + 2);
  return table
    .slice(
      0,
      table.findIndex((line) => !line.startsWith('|')),
    )
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

/** As in the first column, in order. */
function names(table: readonly (readonly string[])[]): readonly string[] {
  return table.map(([name = '']) => /^`([\w-]+)[^`]*`$/.exec(name)?.[1] ?? `no name: ${name}`);
}

const sorted = (list: readonly string[]) => list.toSorted();

test('the contract is documented member by member, with when, what it must not do, what comes of it, and an example [PLUG-4]', () => {
  const table = rows('member', 'when it is called', 'it must not');
  expect(sorted(names(table))).toEqual(sorted(membersOf('channel-sdk/plugin.ts', 'PluginDefinition')));
  for (const [name, when, _not, then, example] of table)
    expect(
      [when, then, example].map((cell) => (cell ?? '').length > 5),
      name,
    ).toEqual([true, true, true]);
});

test('each capability is documented, with what the engine does by it [PLUG-3]', () => {
  const table = rows('capability', 'says', 'the engine');
  expect(sorted(names(table))).toEqual(sorted(membersOf('channel-sdk/capabilities.ts', 'Capabilities')));
  for (const [name, says, engine] of table)
    expect(
      [says, engine].map((cell) => (cell ?? '').length > 5),
      name,
    ).toEqual([true, true]);
});

test.each([
  ['PluginContext', 'channel-sdk/context.ts', ['member', 'what', 'where it is absent']],
  ['PageContext', 'channel-sdk/page.ts', ['member', 'what']],
] as const)('what a function gets is documented: %s [PLUG-5]', (name, file, head) => {
  const table = rows(...head);
  const own = name === 'PageContext' ? names(afterHeading('PageContext')) : names(table);
  expect(sorted(own)).toEqual(sorted(membersOf(file, name)));
});

test('what a server of its own gets is documented [PLUG-5]', () => {
  expect(sorted(names(afterHeading('ListenContext')))).toEqual(sorted(membersOf('channel-sdk/context.ts', 'ListenContext')));
});

test('each event is documented, with what the engine does with it [PLUG-4]', () => {
  expect(sorted(names(rows('type', 'says', 'the engine')))).toEqual(sorted(tags('channel-sdk/events.ts', 'type')));
});

test('each failure is documented, with what the engine does about it [PLUG-6]', () => {
  expect(sorted(names(rows('code', 'means', 'the engine')))).toEqual(sorted(tags('channel-sdk/failures.ts', 'code')));
});

test('each sample of the conformance suite is documented, with what calls for it [PLUG-10]', () => {
  expect(sorted(names(rows('sample', 'called for by', 'what the suite does with it')))).toEqual(
    sorted(membersOf('channel-sdk/testing/samples.ts', 'ConformanceSamples')),
  );
});

/** The first table after the line that begins with this name. */
function afterHeading(name: string): readonly (readonly string[])[] {
  const lines = read(README).split('\n');
  const rest = lines.slice(lines.findIndex((line) => line.startsWith(`\`${name}\``)));
  const table = rest.slice(rest.findIndex((line) => line.startsWith('| ---')) + 1);
  return table
    .slice(
      0,
      table.findIndex((line) => !line.startsWith('|')),
    )
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}
