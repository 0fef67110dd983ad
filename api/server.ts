import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { GraphQLError } from 'graphql';
import { createYoga } from 'graphql-yoga';
import type { Viewer } from './access.ts';
import { createContext, type ApiContext, type ApiDeps } from './context.ts';
import { createCors } from './cors.ts';
import { useDocumentLimits } from './document-limits.ts';
import { readBody } from './doors/body.ts';
import { createGate, refuse, type Gate } from './gate.ts';
import { LIMITS } from './limits.ts';
import { usePlaceActivity } from './place-activity.ts';
import { schema } from './schema/index.ts';
import { useStreamLimit } from './stream-limit.ts';

export interface ServerOptions extends ApiDeps {
  /** GraphiQL at `/graphql` for browsers; in development only. */
  readonly graphiql: boolean;
  /** Who may come in; unless given, whoever has a token of ours. */
  readonly gate?: Gate;
  /** Origins whose pages may call from a browser; none unless given (API-7). */
  readonly corsOrigins?: readonly string[];
  /** Told of an error nobody expected, with the id the client was given. */
  readonly onError: (errorId: string, error: unknown) => void;
}

/** What `/graphql` answers. Node's own request is there when Node's server serves it: it knows who is at the other end. */
export type GraphqlHandler = (request: Request, incoming?: IncomingMessage) => Promise<Response>;

interface ServerContext {
  readonly viewer: Viewer | null;
}

/** Request → Response, for whatever listens. Who sends no valid token gets 401 and no schema. */
export function createGraphqlHandler(options: ServerOptions): GraphqlHandler {
  const { graphiql, onError, corsOrigins = [], gate = createGate({ db: options.db, onError: (error) => report(onError, error) }), ...deps } = options;
  const yoga = createYoga<ServerContext, ApiContext>({
    schema,
    graphqlEndpoint: '/graphql',
    landingPage: false,
    logging: false,
    batching: false,
    multipart: false,
    cors: false,
    context: ({ viewer, request }) => {
      if (viewer === null) throw unauthenticated();
      return createContext(deps, viewer, request.signal);
    },
    // Streams too by POST, for GET is closed.
    graphiql: graphiql
      ? { title: 'Trunkline', defaultQuery: WELCOME, headers: HEADERS, shouldPersistHeaders: true, subscriptionsProtocol: 'SSE', method: 'POST' }
      : false,
    renderGraphiQL,
    maskedErrors: { maskError: (error) => masked(error, onError) },
    parserAndValidationCache: { documentCache: boundedCache(), errorCache: boundedCache(), validationCache: true },
    plugins: [useDocumentLimits(), useStreamLimit(), usePlaceActivity({ db: deps.db, onError: (error) => void report(onError, error) })],
  });

  async function answer(request: Request, incoming: IncomingMessage | undefined): Promise<Response> {
    if (graphiql && isForReading(request)) return framed(await yoga.fetch(request, { viewer: null }));
    // A query in an address would stand in every log on its way, and a page of anybody could ask for it.
    if (request.method !== 'POST') return refuse(405, 'POST with JSON, please', 'BAD_USER_INPUT', { allow: 'POST' });
    if (Number(request.headers.get('content-length') ?? 0) > LIMITS.bodyBytes) return tooLarge();
    const admission = await gate(request, incoming);
    if ('refusal' in admission) return admission.refusal;
    // Forms of other sites can post text and forms, but not JSON without asking first: so nothing else is taken (API-7).
    if (!/^application\/(graphql-response\+)?json\s*(;|$)/i.test(request.headers.get('content-type') ?? '')) {
      return refuse(415, 'the content type must be application/json', 'BAD_USER_INPUT', { accept: 'application/json' });
    }
    const bounded = await withinLimit(request);
    return bounded === undefined ? tooLarge() : yoga.fetch(bounded, { viewer: admission.viewer });
  }

  const cors = createCors(corsOrigins);
  return async (request, incoming) => cors.preflight(request) ?? cors.open(request, await answer(request, incoming));
}

function report(onError: ServerOptions['onError'], error: unknown): string {
  const errorId = randomUUID();
  onError(errorId, error);
  return errorId;
}

/** The same request; undefined where its body turns out to be too large. A length that was told is held to by the server that reads it. */
async function withinLimit(request: Request): Promise<Request | undefined> {
  if (request.headers.has('content-length') || request.body === null) return request;
  const body = await readBody(request, undefined, LIMITS.bodyBytes);
  if (body === undefined) return undefined;
  return new Request(request.url, { method: request.method, headers: request.headers, body: Buffer.from(body), signal: request.signal });
}

function tooLarge(): Response {
  return refuse(
    413,
    `the request's body exceeds the limit bodyBytes: at most ${LIMITS.bodyBytes}`,
    'LIMIT_EXCEEDED',
    { connection: 'close' },
    { limit: 'bodyBytes', max: LIMITS.bodyBytes },
  );
}

/** A browser that wants the page, which needs no token; everything the page asks does. */
function isForReading(request: Request): boolean {
  return request.method === 'GET' && (request.headers.get('accept') ?? '').includes('text/html') && !new URL(request.url).searchParams.has('query');
}

/** No other page may show it in a frame and have somebody click there. */
function framed(page: Response): Response {
  const headers = new Headers(page.headers);
  headers.set('content-security-policy', "frame-ancestors 'none'");
  return new Response(page.body, { status: page.status, headers });
}

/** Documents seen lately, parsed: as many as take little memory, for whoever is signed in can send new ones all day. */
function boundedCache<Value>(): { get(key: string): Value | undefined; set(key: string, value: Value): void } {
  const kept = new Map<string, Value>();
  return {
    get: (key) => kept.get(key),
    set(key, value) {
      const oldest = kept.keys().next();
      if (kept.size >= DOCUMENTS_KEPT && oldest.done !== true) kept.delete(oldest.value);
      kept.set(key, value);
    },
  };
}

const DOCUMENTS_KEPT = 100;

function unauthenticated(): GraphQLError {
  return new GraphQLError('this needs a token', { extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } } });
}

/** What was written for the client goes out; anything else becomes an id that the log has too. */
function masked(error: unknown, onError: ServerOptions['onError']): Error {
  const cause = isForClients(error) ? error.originalError : error;
  if (isForClients(error) && (cause == null || isForClients(cause))) return error;
  const errorId = report(onError, cause);
  return new GraphQLError(`Unexpected error ${errorId}: the log has it under this id.`, {
    ...(isForClients(error) ? { nodes: error.nodes, path: error.path } : {}),
    extensions: { code: 'UNEXPECTED', errorId },
  });
}

/** By name, as GraphQL servers do: bundlers and test runners may load the class twice. */
function isForClients(error: unknown): error is GraphQLError {
  return error instanceof Error && 'extensions' in error && ['GraphQLError', 'PothosError', 'PothosValidationError'].includes(error.name);
}

const HEADERS = JSON.stringify({ authorization: 'Bearer <the token that npm start printed>' }, null, 2);

const WELCOME = `# Put the token that "npm start" printed into the headers below.
query Triage {
  viewer { user { name role } }
  channels { edges { node { key name address health { state } } } }
  tickets(filter: { unassigned: true, statusCategory: OPEN }) {
    edges {
      node {
        number
        name
        status { name }
        contact { name }
        thread { lastMessage { text occurredAt } }
      }
    }
  }
}
`;
