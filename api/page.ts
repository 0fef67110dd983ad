import { GraphQLError } from 'graphql';
import { sql, type RawBuilder, type SelectQueryBuilder } from 'kysely';
import { LIMITS } from './limits.ts';

export interface PageArguments {
  readonly first?: number | null | undefined;
  readonly last?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly before?: string | null | undefined;
}

/** One column of the order. Together they must be unique, or rows would be skipped. `cast` is its PostgreSQL type. */
export interface OrderKey {
  readonly column: string;
  readonly cast: 'timestamptz' | 'uuid' | 'bigint' | 'int' | 'text';
}

export interface Order {
  readonly keys: readonly [OrderKey, ...OrderKey[]];
  readonly descending?: boolean;
}

/** A checked request for one page. */
export interface PageRequest {
  readonly limit: number;
  readonly backward: boolean;
  readonly after: readonly string[] | null;
  readonly before: readonly string[] | null;
}

export type Keyed<Row> = Row & { cursor_keys: string[] };

export interface Connection<Row> {
  readonly edges: { cursor: string; node: Row }[];
  readonly pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null };
}

/** Refuses what the limits do not allow and cursors that are not of this order. */
export function pageRequest(args: PageArguments, order: Order): PageRequest {
  const { first, last } = args;
  if (first != null && last != null) throw badInput('give first or last, not both');
  const limit = first ?? last ?? LIMITS.defaultPageSize;
  if (limit < 0 || limit > LIMITS.pageSize) {
    throw new GraphQLError(`a page has 0 to ${LIMITS.pageSize} edges`, {
      extensions: { code: 'LIMIT_EXCEEDED', limit: 'pageSize', max: LIMITS.pageSize },
    });
  }
  return { limit, backward: last != null, after: readCursor(args.after, order), before: readCursor(args.before, order) };
}

/**
 * Narrows a query to one page by keyset: stable while rows come and go. The keys travel as text, for a JavaScript date
 * loses the microseconds by which two rows may differ. One row more than asked for tells whether there is a next page.
 */
export function onPage<DB, TB extends keyof DB, Row>(
  query: SelectQueryBuilder<DB, TB, Row>,
  order: Order,
  request: PageRequest,
): SelectQueryBuilder<DB, TB, Keyed<Row>> {
  const columns = sql.join(order.keys.map((key) => sql.ref(key.column)));
  const texts = sql.join(order.keys.map((key) => sql`${sql.ref(key.column)}::text`));
  let paged = query.select(sql<string[]>`array[${texts}]`.as('cursor_keys'));
  const forward = order.descending === true ? sql`<` : sql`>`;
  const backward = order.descending === true ? sql`>` : sql`<`;
  if (request.after !== null) paged = paged.where(sql<boolean>`(${columns}) ${forward} (${bound(request.after, order)})`);
  if (request.before !== null) paged = paged.where(sql<boolean>`(${columns}) ${backward} (${bound(request.before, order)})`);
  const ascending = (order.descending === true) === request.backward;
  for (const key of order.keys) paged = paged.orderBy(sql.ref(key.column), ascending ? 'asc' : 'desc');
  return paged.limit(request.limit + 1) as unknown as SelectQueryBuilder<DB, TB, Keyed<Row>>;
}

/** Rows as they came from `onPage`, as a connection. */
export function toConnection<Row extends { cursor_keys: string[] }>(rows: readonly Row[], request: PageRequest): Connection<Row> {
  const more = rows.length > request.limit;
  const kept = rows.slice(0, request.limit);
  if (request.backward) kept.reverse();
  const edges = kept.map((node) => ({ cursor: writeCursor(node.cursor_keys), node }));
  return {
    edges,
    pageInfo: {
      hasNextPage: request.backward ? request.before !== null : more,
      hasPreviousPage: request.backward ? more : request.after !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

function bound(values: readonly string[], order: Order): RawBuilder<unknown> {
  return sql.join(order.keys.map((key, at) => sql`${values[at]}::${sql.raw(key.cast)}`));
}

function writeCursor(keys: readonly string[]): string {
  return Buffer.from(JSON.stringify(keys)).toString('base64url');
}

const SHAPES: Readonly<Record<OrderKey['cast'], RegExp>> = {
  timestamptz: /^\d{4}-\d\d-\d\d ([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?[+-](0\d|1[0-4])(:[0-5]\d){0,2}$/,
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  bigint: /^-?\d{1,18}$/,
  int: /^-?\d{1,9}$/,
  text: /^[^\0]{0,500}$/,
};

function readCursor(cursor: string | null | undefined, order: Order): readonly string[] | null {
  if (cursor == null) return null;
  let keys: unknown;
  if (cursor.length > LIMITS.idCharacters) throw badInput(`a cursor has at most ${LIMITS.idCharacters} characters`);
  try {
    keys = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    throw badInput('this is not a cursor of this connection');
  }
  const fits =
    Array.isArray(keys) &&
    keys.length === order.keys.length &&
    order.keys.every(
      (key, at) => typeof keys[at] === 'string' && SHAPES[key.cast].test(keys[at]) && (key.cast !== 'timestamptz' || isDay(keys[at].slice(0, 10))),
    );
  if (!fits) throw badInput('this is not a cursor of this connection');
  return keys as string[];
}

/** Whether the calendar has it: PostgreSQL would refuse the thirtieth of February in the middle of a statement. */
function isDay(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return !text.startsWith('0000') && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

function badInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}
