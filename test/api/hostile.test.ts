import fc from 'fast-check';
import {
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
  type GraphQLField,
  type GraphQLInputType,
} from 'graphql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RATES } from '#api/limits.ts';
import { schema } from '#api/schema/index.ts';
import { makeGround, type Ground } from './ground.ts';
import { globalId, openWorld, type Person, type World } from './support.ts';

let world: World;
let superAdmin: Person;
let ground: Ground;
beforeAll(async () => {
  world = await openWorld({ rates: { ...RATES, callerPerMinute: 1_000_000 } });
  superAdmin = await world.user({ role: 'SUPER_ADMIN' });
  ground = await makeGround(world.db, superAdmin);
});
afterAll(() => world?.close());

const WORDS: readonly string[] = [
  '',
  ' ',
  '\n\t',
  "'; drop table ticket; --",
  '${jndi:ldap://x}',
  '<script>alert(1)</script>',
  '../../../etc/passwd',
  '%s%n%x',
  '\ud800',
  '\udfff half a pair',
  '\u202e\u200b\ufeff',
  'ﷺ'.repeat(500),
  'x'.repeat(70_000),
  '👩‍👩‍👧‍👦'.repeat(50),
  '__proto__',
  'constructor',
  '-1',
  '1e309',
  'NaN',
  'null',
  '{"a":1}',
  '2024-02-30T25:61:61Z',
  'a@b@c',
  'someone@outside.example',
  'Europe/Nowhere',
];
const IDS: readonly string[] = ['User', 'Ticket', 'Event', 'Delivery', 'Channel', 'Nothing'].flatMap((type) => [
  globalId(type, '00000000-0000-7000-8000-000000000000'),
  globalId(type, 0),
  globalId(type, '999999999999999'),
  globalId(type, "1' or '1'='1"),
]);

/** Whatever the type lets through, and often what it does not. */
function hostile(given: GraphQLInputType, name: string, depth: number): fc.Arbitrary<unknown> {
  const type = getNullableType(given);
  if (isListType(type)) return fc.array(hostile(type.ofType, name, depth + 1), { maxLength: 4 });
  if (isEnumType(type)) return fc.constantFrom(...type.getValues().map((value) => value.name));
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields());
    if (depth > 5) return fc.constant({});
    return fc.record(Object.fromEntries(fields.map((field) => [field.name, hostile(field.type, field.name, depth + 1)])), {
      requiredKeys: fields.filter((field) => isNonNullType(field.type)).map((field) => field.name),
    });
  }
  switch (type.name) {
    case 'ID':
      return fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom(ours(name)) },
        { weight: 2, arbitrary: fc.constantFrom(...IDS, ...ground.all) },
        { weight: 1, arbitrary: fc.string() },
      );
    case 'Boolean':
      return fc.boolean();
    case 'Int':
      return fc.oneof(fc.constantFrom(0, -1, 1, 100, 101, 2_147_483_647, -2_147_483_648), fc.integer());
    case 'Float':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'DateTime':
      return fc.constantFrom(
        '2030-01-01T00:00:00Z',
        '0001-01-01T00:00:00Z',
        '9999-12-31T23:59:59.999Z',
        '0000-01-01T00:00:00Z',
        'tomorrow',
        '2024-02-30T00:00:00Z',
      );
    case 'JSONObject':
      return fc.oneof(
        fc.dictionary(fc.constantFrom('__proto__', 'kind', 'address', 'x', 'smtp', 'fields', ''), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 4 }),
        fc.constant({}),
      );
    default:
      return fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...WORDS) }, { weight: 1, arbitrary: fc.string({ unit: 'binary' }) });
  }
}

/** An id that fits, so that what comes after it is reached. */
function ours(name: string): string {
  try {
    return ground.idFor(name, name.replace(/s$/, ''));
  } catch {
    return ground.gid('Conversation');
  }
}

function fieldsOf(kind: string): readonly GraphQLField<unknown, unknown>[] {
  const type = schema.getType(kind);
  return isObjectType(type) ? Object.values(type.getFields()) : [];
}

/** Whatever there is to see of it, one level deep: what was written must also be read without trouble. */
function leaves(field: GraphQLField<unknown, unknown>): string {
  const of = (type: unknown): string => {
    if (!isObjectType(type) && !isInterfaceType(type)) return '';
    const names = Object.values(type.getFields()).flatMap((one) => {
      const named = getNamedType(one.type);
      return one.args.length > 0 || isObjectType(named) || isInterfaceType(named) || isUnionType(named) ? [] : [one.name];
    });
    return `__typename ${names.join(' ')}`;
  };
  const type = getNamedType(field.type);
  if (isUnionType(type)) {
    return `{ __typename ${type
      .getTypes()
      .map((one) => `... on ${one.name} { ${aliased(of(one), one.name)} }`)
      .join(' ')} }`;
  }
  return isObjectType(type) || isInterfaceType(type) ? `{ ${of(type)} }` : '';
}

/** Members of a union may have fields of one name and different types: only what all can merge is asked. */
function aliased(fields: string, type: string): string {
  return ['NotFound', 'Forbidden', 'InvalidInput'].includes(type) ? '__typename message' : fields.includes('id') ? '__typename id' : '__typename';
}

test.each(['Query', 'Mutation'] as const)(
  '%s: whatever is given, within its type or not, no answer is an unexpected error [API-7]',
  async (kind) => {
    const unexpected: string[] = [];
    for (const field of fieldsOf(kind)) {
      const names = field.args.map((argument) => `$${argument.name}: ${String(argument.type)}`).join(', ');
      const passed = field.args.map((argument) => `${argument.name}: $${argument.name}`).join(', ');
      const query = `${kind.toLowerCase()} ${names === '' ? '' : `(${names})`} { ${field.name}${passed === '' ? '' : `(${passed})`} ${leaves(field)} }`;
      const values = fc.record(Object.fromEntries(field.args.map((argument) => [argument.name, hostile(argument.type, argument.name, 0)])), {
        requiredKeys: field.args.filter((argument) => isNonNullType(argument.type)).map((argument) => argument.name),
      });
      for (const variables of fc.sample(values, { numRuns: field.args.length === 0 ? 1 : 25, seed: 20_26 })) {
        const answer = await superAdmin.raw(query, variables);
        const about = `${field.name} ${JSON.stringify(variables).slice(0, 400)}`;
        expect(answer.status, about).toBeLessThan(500);
        unexpected.push(...answer.errors.filter((error) => error.extensions?.['code'] === 'UNEXPECTED').map(() => about));
      }
    }
    expect({ unexpected, errors: world.errors }).toEqual({ unexpected: [], errors: [] });
    world.errors.length = 0;
  },
  300_000,
);
