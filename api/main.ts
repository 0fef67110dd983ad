import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { serve, type ServerType } from '@hono/node-server';
import { Hono } from 'hono';
import { sql } from 'kysely';
import config from '#config';
import { keysFrom } from '#commands/secrets.ts';
import { carryUnread } from '#commands/unread-answers.ts';
import { openDatabase } from '#db/database.ts';
import { pendingMigrations } from '#db/migrate.ts';
import { createDns } from '#runtime/dns.ts';
import { environmentOrExit } from '#runtime/environment.ts';
import { guarded } from '#runtime/guarded-plugin.ts';
import { createLifecycle } from '#runtime/lifecycle.ts';
import { createLogger } from '#runtime/log.ts';
import { createPluginContext, webhookUrlOf } from '#runtime/plugin-context.ts';
import { outliveStrayRejections } from '#runtime/stray-failures.ts';
import { createDevMailPage } from './dev-mail.ts';
import { createDevTryPage } from './dev-try.ts';
import { createFileDoors } from './doors/files.ts';
import { createDoors } from './doors/index.ts';
import { createClientAddress } from './client-address.ts';
import { createFeed } from './feed.ts';
import { createLive } from './live/index.ts';
import { createGate } from './gate.ts';
import { createRateLimits } from './rate-limit.ts';
import { createGraphqlHandler } from './server.ts';
import { createSignIn } from './sign-in.ts';
import { secured } from './security-headers.ts';
import { createDispatch, createLazyWaker } from './waker.ts';

/** Visitors who left whose unread answers are looked at by one look. */
const LEFT_AT_ONCE = 100;
/** Milliseconds an idle connection is kept. */
const KEEP_ALIVE_MS = 75_000;

const env = environmentOrExit();
const log = createLogger({ service: 'api', level: env.logLevel });
outliveStrayRejections((message, fields) => log.error(fields, message));
const plugins = config.plugins.map((plugin) => guarded(plugin, (message, fields) => log.error(fields, message)));
const lifecycle = createLifecycle({ onMessage: (message) => log.info(message) });

const db = openDatabase(env.databaseUrl, { name: 'trunkline-api', max: 20 });
lifecycle.onShutdown('database', () => db.destroy());
const waker = createLazyWaker(env.temporal);
lifecycle.onShutdown('temporal', () => waker.close());
const feed = createFeed({
  db,
  directUrl: env.databaseDirectUrl,
  onProblem: (what, error) => log.warn({ what, err: error }, 'the event feed'),
});
lifecycle.onShutdown('feed', () => feed.close());
const dispatch = createDispatch(waker, (workflowId) => log.warn({ workflowId }, 'Temporal was not woken; the guardian will'));
const live = createLive({
  db,
  feed,
  afterLeaving: async () => dispatch(await carryUnread(db, plugins, LEFT_AT_ONCE)),
  onProblem: (what, error) => log.warn({ what, err: error }, 'the news of open pages'),
});
lifecycle.onShutdown('live', () => live.close());

const keys = keysFrom(env.secret);
const rates = createRateLimits(db);
const clientAddress = createClientAddress(env.trustedProxies);
const unexpected = (error: unknown): string => {
  const errorId = randomUUID();
  log.error({ errorId, err: error }, 'an unexpected error');
  return errorId;
};
/** In front of everything that needs a token. */
const gate = createGate({
  db,
  rates,
  clientAddress,
  signIn: env.signIn === undefined ? undefined : createSignIn(env.signIn),
  onError: unexpected,
});
const graphql = createGraphqlHandler({
  db,
  keys,
  plugins,
  publicUrl: env.publicUrl,
  feed,
  live,
  dispatch,
  pluginContext: (plugin, channel) =>
    createPluginContext(channel, {
      sign: (text) => keys.signFor(channel.key, text),
      log: (message, fields) => log.info({ ...fields, plugin }, message),
      webhookUrl: webhookUrlOf(env.publicUrl, plugins.find(({ key }) => key === plugin) ?? { key: plugin }, channel.key),
    }),
  graphiql: env.mode === 'development',
  gate,
  corsOrigins: env.corsOrigins,
  onError: (errorId, error) => log.error({ errorId, err: error }, 'an unexpected error'),
});

const doors = createDoors({
  db,
  keys,
  plugins,
  waker,
  resolveDns: createDns(env.dnsServers),
  rates,
  clientAddress,
  live,
  log: (message, fields) => log.info(fields, message),
  env: { publicUrl: env.publicUrl, listen: { host: env.smtpHost, ports: listenPorts() } },
});

const app = new Hono<{ Bindings: { readonly incoming?: IncomingMessage } }>();
app.get('/healthz', (context) => context.json({ status: 'ok' }));
app.get('/readyz', async (context) => {
  const problem = lifecycle.stopping() ? 'stopping' : await databaseProblem();
  return problem === null ? context.json({ status: 'ready' }) : context.json({ status: 'not ready', problem }, 503);
});
app.all('/graphql', (context) => graphql(context.req.raw, context.env.incoming));
app.route('/', doors.app);
app.route('/', createFileDoors({ db, keys, gate, corsOrigins: env.corsOrigins }));
if (env.mode === 'development') {
  app.route('/', createDevMailPage(db, env.publicUrl));
  app.route('/', createDevTryPage({ db, plugins, publicUrl: env.publicUrl }));
}
app.onError((error, context) => {
  return context.json({ error: 'unexpected', errorId: unexpected(error) }, 500);
});

/** As `LISTEN_PORTS` says; without it, a single plugin with a server of its own gets the mail port. */
function listenPorts(): ReadonlyMap<string, number> {
  if (env.listenPorts !== undefined) return env.listenPorts;
  const [only, ...others] = plugins.filter((plugin) => plugin.listen !== undefined);
  return new Map(only === undefined || others.length > 0 ? [] : [[only.key, env.smtpPort]]);
}

let current = false;
/** Null where the database answers and its schema is what this version needs. */
async function databaseProblem(): Promise<string | null> {
  try {
    await sql`select 1`.execute(db);
    // A schema never goes back, so once is enough.
    current ||= (await pendingMigrations(env.databaseUrl)).length === 0;
    return current ? null : 'the schema is not current: run npm run db:migrate';
  } catch {
    return 'the database does not answer';
  }
}

const server = await listen();
lifecycle.onShutdown('server', () => close(server));
await doors.listen();
lifecycle.onShutdown('doors', () => doors.close());
log.info({ host: env.host, port: env.port, mode: env.mode, plugins: plugins.map((plugin) => plugin.key) }, 'api listens');

function listen(): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const started = serve({ fetch: secured(app.fetch, env.publicUrl), hostname: env.host, port: env.port }, () => resolve(started));
    started.once('error', reject);
    // Longer than balancers and browsers keep an idle connection: closed first by us, it would be under their next request.
    if ('keepAliveTimeout' in started) started.keepAliveTimeout = KEEP_ALIVE_MS;
  });
}

/** Requests under way are answered; streams are ended, for they would never end by themselves. */
async function close(running: ServerType): Promise<void> {
  const closed = new Promise<void>((resolve) => void running.close(() => resolve()));
  await Promise.all([feed.close(), live.close()]);
  if ('closeIdleConnections' in running) running.closeIdleConnections();
  const force = setTimeout(() => {
    if ('closeAllConnections' in running) running.closeAllConnections();
  }, 5_000);
  await closed;
  clearTimeout(force);
}
