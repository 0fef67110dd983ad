import { randomUUID } from 'node:crypto';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { GraphQLError } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import { createAuthenticator, createContext, type ApiContext, type ApiDeps } from './context.ts';
import type { Viewer } from './access.ts';
import { readBody } from './doors/body.ts';
import { LIMITS } from './limits.ts';
import { schema } from './schema/index.ts';

export interface ServerOptions extends ApiDeps {
  /** GraphiQL at `/graphql` for browsers; in development only. */
  readonly graphiql: boolean;
  /** Told of an error nobody expected, with the id the client was given. */
  readonly onError: (errorId: string, error: unknown) => void;
}

/** What `/graphql` answers. */
export type GraphqlHandler = (request: Request) => Promise<Response>;

interface ServerContext {
  readonly viewer: Viewer | null;
}

/** Request → Response, for whatever listens. Who sends no valid token gets 401 and no schema. */
export function createGraphqlHandler(options: ServerOptions): GraphqlHandler {
  const { graphiql, onError, ...deps } = options;
  const authenticate = createAuthenticator(deps.db);
  const yoga = createYoga<ServerContext, ApiContext>({
    schema,
    graphqlEndpoint: '/graphql',
    landingPage: false,
    logging: false,
    batching: false,
    cors: false,
    context: ({ viewer, request }) => {
      if (viewer === null) throw unauthenticated();
      return createContext(deps, viewer, request.signal);
    },
    graphiql: graphiql ? { title: 'Trunkline', defaultQuery: WELCOME, headers: HEADERS, shouldPersistHeaders: true, subscriptionsProtocol: 'SSE' } : false,
    renderGraphiQL,
    maskedErrors: { maskError: (error) => masked(error, onError) },
    plugins: [onlyJson()],
  });
  return async (request) => {
    if (graphiql && isForReading(request)) return yoga.fetch(request, { viewer: null });
    if (Number(request.headers.get('content-length') ?? 0) > LIMITS.bodyBytes) return tooLarge();
    let viewer: Viewer | null;
    try {
      viewer = await authenticate(request);
    } catch (error) {
      const errorId = randomUUID();
      onError(errorId, error);
      return refusal(503, `the database does not answer (error ${errorId})`, 'UNAVAILABLE');
    }
    if (viewer === null) return refusal(401, UNAUTHENTICATED, 'UNAUTHENTICATED', { 'www-authenticate': 'Bearer realm="trunkline"' });
    const bounded = await withinLimit(request);
    return bounded === undefined ? tooLarge() : yoga.fetch(bounded, { viewer });
  };
}

/** The same request; undefined where its body turns out to be too large. A length that was told is held to by the server that reads it. */
async function withinLimit(request: Request): Promise<Request | undefined> {
  if (request.headers.has('content-length') || request.body === null) return request;
  const body = await readBody(request, undefined, LIMITS.bodyBytes);
  if (body === undefined) return undefined;
  return new Request(request.url, { method: request.method, headers: request.headers, body: Buffer.from(body), signal: request.signal });
}

function tooLarge(): Response {
  return refusal(413, `the request's body exceeds the limit bodyBytes: at most ${LIMITS.bodyBytes}`, 'LIMIT_EXCEEDED', { connection: 'close' });
}

/** A browser that wants the page, which needs no token; everything the page asks does. */
function isForReading(request: Request): boolean {
  return request.method === 'GET' && (request.headers.get('accept') ?? '').includes('text/html') && !new URL(request.url).searchParams.has('query');
}

/** Forms of other sites can post text and forms, but not JSON without asking first: so nothing else is taken (API-7). */
function onlyJson(): Plugin {
  return {
    onRequest({ request, endResponse }) {
      if (request.method !== 'POST') return;
      const type = request.headers.get('content-type') ?? '';
      if (/^application\/(graphql-response\+)?json\b/i.test(type)) return;
      endResponse(refusal(415, 'the content type must be application/json', 'BAD_USER_INPUT'));
    },
  };
}

const UNAUTHENTICATED = 'send a valid token: “Authorization: Bearer …”. It is unknown, revoked, or its user is deactivated.';

function unauthenticated(): GraphQLError {
  return new GraphQLError(UNAUTHENTICATED, { extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } } });
}

function refusal(status: number, message: string, code: string, headers: Readonly<Record<string, string>> = {}): Response {
  return Response.json({ errors: [{ message, extensions: { code } }] }, { status, headers: { ...headers, 'cache-control': 'no-store' } });
}

/** What was written for the client goes out; anything else becomes an id that the log has too. */
function masked(error: unknown, onError: ServerOptions['onError']): Error {
  const cause = isForClients(error) ? error.originalError : error;
  if (isForClients(error) && (cause == null || isForClients(cause))) return error;
  const errorId = randomUUID();
  onError(errorId, cause);
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
