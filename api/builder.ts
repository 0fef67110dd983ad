import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import ErrorsPlugin from '@pothos/plugin-errors';
import RelayPlugin from '@pothos/plugin-relay';
import { getNamedType, getNullableType, GraphQLError, isListType, type GraphQLField } from 'graphql';
import { DateTimeResolver, JSONObjectResolver } from 'graphql-scalars';
import type { ApiContext } from './context.ts';
import { LIMITS } from './limits.ts';

export interface SchemaTypes {
  Context: ApiContext;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: false;
  DefaultNodeNullability: false;
  Scalars: {
    DateTime: { Input: Date; Output: Date };
    JSONObject: { Input: Record<string, unknown>; Output: object };
    ID: { Input: string; Output: string | number };
  };
}

/** The one builder; every file in `schema/` adds its noun to it. */
export const builder = new SchemaBuilder<SchemaTypes>({
  plugins: [ErrorsPlugin, ComplexityPlugin, RelayPlugin],
  defaultFieldNullability: false,
  errors: { directResult: true },
  complexity: {
    limit: { complexity: LIMITS.complexity, depth: LIMITS.depth, breadth: LIMITS.breadth },
    defaultComplexity: 1,
    fieldComplexity: costOf,
    complexityError: (kind, result) => {
      const [found, most] =
        kind === 'Depth'
          ? [result.depth, result.maxDepth]
          : kind === 'Breadth'
            ? [result.breadth, result.maxBreadth]
            : [result.complexity, result.maxComplexity];
      return new GraphQLError(`the query exceeds the limit ${kind.toLowerCase()}: ${found}, at most ${most}`, {
        extensions: { code: 'LIMIT_EXCEEDED', limit: kind.toLowerCase(), max: most ?? null },
      });
    },
  },
  relay: {
    cursorType: 'String',
    decodeGlobalID: decodeId,
    nodeTypeOptions: { description: 'Anything that can be fetched by its global id.' },
    idFieldOptions: { description: 'The global id: opaque, stable, never used again.' },
    nodeQueryOptions: {
      description: 'Whatever has this global id; null where there is no such thing or the viewer may not see it.',
      args: { id: { description: 'The global id.' } },
    },
    nodesQueryOptions: {
      description: 'As `node`, several at once, in the order of the ids; at most 100.',
      args: { ids: { description: 'The global ids.' } },
      resolve: (_root, { ids }, _context, _info, resolveNodes) => {
        if (ids.length > LIMITS.pageSize) throw limitExceeded(`at most ${LIMITS.pageSize} ids`, 'pageSize', LIMITS.pageSize);
        return resolveNodes(ids);
      },
    },
    pageInfoTypeOptions: { description: 'Where a page of a connection stands.' },
    hasNextPageFieldOptions: { description: 'Whether there is more after this page.' },
    hasPreviousPageFieldOptions: { description: 'Whether there is more before this page.' },
    startCursorFieldOptions: { description: 'The cursor of the first edge; null on an empty page.' },
    endCursorFieldOptions: { description: 'The cursor of the last edge, to be given as `after`; null on an empty page.' },
    cursorFieldOptions: { description: 'Where this edge stands: opaque, to be given as `after` or `before`.' },
    nodeFieldOptions: { description: 'The thing itself.' },
    edgesFieldOptions: { description: 'The page, in the stated order.' },
    pageInfoFieldOptions: { description: 'Where this page stands.' },
    firstArgOptions: { description: `How many after \`after\`, at most ${LIMITS.pageSize}; ${LIMITS.defaultPageSize} where neither first nor last is given.` },
    lastArgOptions: { description: `How many before \`before\`, at most ${LIMITS.pageSize}.` },
    afterArgOptions: { description: 'Only what comes after this cursor.' },
    beforeArgOptions: { description: 'Only what comes before this cursor.' },
  },
});

builder.addScalarType('DateTime', DateTimeResolver, { description: 'A moment, ISO 8601 in UTC with milliseconds.' });
builder.addScalarType('JSONObject', JSONObjectResolver, { description: 'A JSON object whose fields the schema does not name.' });
builder.queryType({ description: 'Everything that can be seen.' });
builder.mutationType({
  description: 'Everything that can be done. Each takes an idempotency key, which a client should always give; expected refusals are part of the result.',
});
builder.subscriptionType({ description: 'What happens, as it happens, over server-sent events; each can be resumed after its last cursor.' });

/** Lists that are no connections are short: members of a team’s rule, statuses of a pipeline. */
const SHORT_LIST = 5;

/** What a field costs: what is below a connection counts as often as the page may be long. */
function costOf(args: Record<string, unknown>, _context: ApiContext, field: GraphQLField<unknown, ApiContext>): { field: number; multiplier: number } {
  const { name } = getNamedType(field.type);
  if (name.endsWith('Edge')) return { field: 0, multiplier: 1 };
  if (name.endsWith('Connection')) {
    const asked = args['first'] ?? args['last'];
    return { field: 1, multiplier: Math.max(typeof asked === 'number' ? asked : LIMITS.defaultPageSize, 1) };
  }
  return { field: 1, multiplier: isListType(getNullableType(field.type)) ? SHORT_LIST : 1 };
}

function limitExceeded(message: string, limit: string, max: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'LIMIT_EXCEEDED', limit, max } });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether it may be the id of a row: a definition that was saved may name anything, and the database takes no other text. */
export function isUuid(id: string | null): id is string {
  return id !== null && UUID.test(id);
}

const NUMBERED = new Set(['Delivery', 'Event']);

/** A global id is base64 of `Type:key`; anything else is told apart here, so that no statement ever meets a malformed key. */
function decodeId(globalId: string): { typename: string; id: string } {
  if (globalId.length > LIMITS.idCharacters) throw limitExceeded(`an id has at most ${LIMITS.idCharacters} characters`, 'idCharacters', LIMITS.idCharacters);
  const text = Buffer.from(globalId, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  const typename = text.slice(0, Math.max(colon, 0));
  const id = text.slice(colon + 1).toLowerCase();
  const keyed = NUMBERED.has(typename) ? /^\d{1,15}$/.test(id) : UUID.test(id) || typename === 'Plugin';
  if (!keyed || !isNode(typename)) {
    throw new GraphQLError('this is not a global id of this schema', { extensions: { code: 'BAD_USER_INPUT' } });
  }
  return { typename, id: typename === 'Plugin' ? text.slice(colon + 1) : id };
}

/** Whether a type of this name can be fetched by its id. */
function isNode(typename: string): boolean {
  const config = builder.configStore.typeConfigs.get(typename);
  return config?.kind === 'Object' && config.pothosOptions !== undefined && 'loadOne' in config.pothosOptions;
}

/** What `id` fields answer, for ids that are named but not fetched. */
export function globalId(typename: string, id: string | number): string {
  return Buffer.from(`${typename}:${id}`).toString('base64');
}
