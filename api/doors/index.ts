import type { IncomingMessage } from 'node:http';
import { Hono } from 'hono';
import type { Listener, Plugin } from '@trunkline/channel-sdk';
import type { Keys } from '#commands/secrets.ts';
import type { Db } from '#db/database.ts';
import type { ResolveDns } from '#runtime/dns.ts';
import type { Waker } from '#workflows/contract.ts';
import { createClientAddress, type ClientAddress } from '../client-address.ts';
import type { Live } from '../live/index.ts';
import { createDispatch } from '../waker.ts';
import { createRateLimits, type RateLimits } from '../rate-limit.ts';
import { createBodies, type Bodies } from './bodies.ts';
import { createDoorkeeper } from './doorkeeper.ts';
import { createIntakeWake } from './intake-wake.ts';
import { startListeners, type ListenSettings } from './listeners.ts';
import { createAvailability } from './availability-cache.ts';
import { servePage } from './pages.ts';
import { createMailTranscript } from './transcript.ts';
import { receiveShared } from './shared-door.ts';
import { receiveWebhook, VERIFY_MS } from './webhooks.ts';

/** Node's own request is there when Node's server serves the app, and not in a test that calls `app.request`. */
type Bindings = { readonly incoming?: IncomingMessage } | undefined;

export interface DoorsDeps {
  readonly db: Db;
  readonly keys: Keys;
  readonly plugins: readonly Plugin[];
  readonly waker: Waker;
  /** DNS for the plugins' own servers. */
  readonly resolveDns: ResolveDns;
  /** Of public pages; counted for itself and without proxies unless given. */
  readonly rates?: RateLimits;
  readonly clientAddress?: ClientAddress;
  /** What strangers send, in memory; with the limits of `LIMITS` unless given. */
  readonly bodies?: Bodies;
  /** Milliseconds in place of `VERIFY_MS`. */
  readonly verifyMs?: number;
  /** What visitors' open pages are told. */
  readonly live?: Live;
  /** Gets ids and codes only. */
  readonly log: (message: string, fields: Readonly<Record<string, string | number | boolean>>) => void;
  readonly env: {
    /** Without a slash at the end: what providers call, and so what they sign. */
    readonly publicUrl: string;
    readonly listen: ListenSettings;
  };
}

export interface Doors {
  /** `/hooks/<plugin>/<channel key>`, `/hooks/<plugin>` and `/pages/<plugin>/<channel key>/…`. */
  readonly app: Hono<{ Bindings: NonNullable<Bindings> }>;
  /** Starts the plugins' own servers. Throws where a port is taken; none is left running then. */
  listen(): Promise<readonly { readonly plugin: string; readonly port: number }[]>;
  /** Ends the listeners with what they are taking in, then the wakes. */
  close(): Promise<void>;
}

/** Every way in from outside. */
export function createDoors({
  db,
  keys,
  plugins,
  waker,
  resolveDns,
  rates = createRateLimits(db),
  clientAddress = createClientAddress([]),
  bodies = createBodies(),
  verifyMs = VERIFY_MS,
  live,
  log,
  env,
}: DoorsDeps): Doors {
  const ending = new AbortController();
  const wake = createIntakeWake({ db, waker, log });
  const keeper = createDoorkeeper({ db, keys, plugins, publicUrl: env.publicUrl, wake, waker, signal: ending.signal, log });
  const dispatch = createDispatch(waker, (workflowId) => log('Temporal was not woken; the guardian will', { workflowId }));
  const available = createAvailability(db);
  const transcript = createMailTranscript({ db, plugins, dispatch });
  const app = new Hono<{ Bindings: NonNullable<Bindings> }>();
  let listeners: readonly { readonly plugin: string; readonly listener: Listener }[] = [];

  app.on(['GET', 'POST'], '/hooks/:plugin/:channelKey', (c) => {
    const env: Bindings = c.env;
    const path = { plugin: c.req.param('plugin'), channelKey: c.req.param('channelKey'), pathAndQuery: pathAndQueryOf(c.req.url) };
    return receiveWebhook({ keeper, bodies, clientAddress, verifyMs }, c.req.raw, path, env?.incoming);
  });
  app.on(['GET', 'POST'], '/hooks/:plugin', (c) => {
    const env: Bindings = c.env;
    const path = { plugin: c.req.param('plugin'), pathAndQuery: pathAndQueryOf(c.req.url) };
    return receiveShared({ keeper, bodies, clientAddress, verifyMs }, c.req.raw, path, env?.incoming);
  });
  app.all('/pages/:plugin/:channelKey/*', (c) => {
    const env: Bindings = c.env;
    const path = { plugin: c.req.param('plugin'), channelKey: c.req.param('channelKey'), pathAndQuery: pathAndQueryOf(c.req.url) };
    return servePage({ keeper, available, rates, clientAddress, bodies, live, transcript }, c.req.raw, path, env?.incoming);
  });

  return {
    app,
    async listen() {
      listeners = await startListeners(keeper, plugins, { ...env.listen, resolveDns });
      return listeners.map(({ plugin, listener }) => ({ plugin, port: listener.port }));
    },
    async close() {
      await Promise.all(listeners.map(({ listener }) => listener.close()));
      ending.abort();
      await wake.close();
    },
  };
}

/** As it was asked for, from the first slash behind the host. */
function pathAndQueryOf(url: string): string {
  return url.slice(url.indexOf('/', url.indexOf('//') + 2));
}
