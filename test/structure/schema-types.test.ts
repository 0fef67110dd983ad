import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '#test/support/database.ts';
import { read, withoutComments } from './source.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

/** Whether a column may be null, by its name. */
type Columns = Readonly<Record<string, boolean>>;

const source = withoutComments(read('db/schema.ts'));

/** `name: type;` for each member of a type's body. */
function members(body: string): readonly (readonly [string, string])[] {
  return [...body.matchAll(/^\s*(?:readonly )?(\w+)\??:\s*(.+?);?\s*$/gm)].map(([, name = '', type = '']) => [name, type] as const);
}

function bodyOf(name: string): string {
  const found = new RegExp(`interface ${name} (?:extends [\\w, ]+ )?\\{\\n([\\s\\S]*?)\\n\\}`).exec(source)?.[1];
  if (found === undefined) throw new Error(`db/schema.ts has no interface ${name}`);
  return found;
}

/** `A | null`, also inside `Defaulted<…>`; a type named null nowhere else. */
const nullable = (type: string) => /\|\s*null\b/.test(type);

function written(): Readonly<Record<string, Columns>> {
  const tables = members(bodyOf('Database')).map(([table, type]) => {
    const inline = /^\{(.*)\}$/.exec(type)?.[1]?.replaceAll(';', ';\n');
    return [table, Object.fromEntries(members(inline ?? bodyOf(type)).map(([column, is]) => [column, nullable(is)]))] as const;
  });
  return Object.fromEntries(tables);
}

interface Row {
  readonly table_name: string;
  readonly column_name: string;
  readonly nullable: boolean;
  readonly view: boolean;
}

test('db/schema.ts has every table and column of a migrated database, and says which may be null', async () => {
  const { rows } = await sql<Row>`
    select c.table_name, c.column_name, c.is_nullable = 'YES' as nullable, t.table_type = 'VIEW' as view
    from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and c.table_name not like 'kysely%' order by 1, 2`.execute(database.db);
  const types = written();
  const actual: Record<string, Record<string, boolean>> = {};
  for (const row of rows) {
    // PostgreSQL calls every column of a view nullable; there only the names can be compared.
    (actual[row.table_name] ??= {})[row.column_name] = row.view ? (types[row.table_name]?.[row.column_name] ?? true) : row.nullable;
  }
  expect(rows.length).toBeGreaterThan(50);
  expect(types).toEqual(actual);
});
