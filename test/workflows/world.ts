import { randomBytes } from 'node:crypto';
import type { Plugin } from '@trunkline/channel-sdk';
import type { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime, DefaultLogger } from '@temporalio/worker';
import { createActivities, type ActivitySet } from '#activities/index.ts';
import { connectChannel } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { storeDelivery } from '#commands/intake.ts';
import { keysFrom, type Keys } from '#commands/secrets.ts';
import { transact, type Committed } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { wakeAll, type Waker } from '#workflows/contract.ts';
import { bundleWorkflows } from '#worker/bundle.ts';
import { runWorkers, type RunningWorkers } from '#worker/run.ts';
import { createLogger, type Logger } from '#runtime/log.ts';
import { createWaker, type TemporalWaker } from '#runtime/temporal-waker.ts';
import scripted from './scripted-config.ts';
import type { Delivery } from './scripted-plugin.ts';
import { freshDatabase, freshNamespace, servers } from './servers.ts';

export interface Channel {
  readonly id: string;
  readonly key: string;
}

/** An account of its own: a database, a namespace, two workers, and what a test does with them. */
export interface World {
  readonly db: Db;
  readonly client: Client;
  readonly connection: Connection;
  readonly namespace: string;
  readonly waker: TemporalWaker;
  readonly set: ActivitySet;
  /** Every line that was logged, by the logger of production. */
  readonly logged: string[];
  readonly log: Logger;
  readonly keys: Keys;
  /** A super admin with a seat. */
  readonly userId: string;
  connect(place: 'INBOX' | 'HELP_DESK', plugin?: string): Promise<Channel>;
  /** Stores a delivery as a door does, and wakes the intake unless told not to. */
  deliver(channel: Channel, delivery: Delivery, options?: { readonly wake?: boolean }): Promise<number>;
  /** Writes an agent's reply; wakes the outbox unless told not to. */
  reply(conversationId: string, text: string, options?: { readonly wake?: boolean }): Promise<string>;
  /** Wakes what a command left. */
  commit<T>(committed: Committed<T>): Promise<T>;
  startWorkers(): Promise<void>;
  stopWorkers(): Promise<void>;
  close(): Promise<void>;
}

let bundle: ReturnType<typeof bundleWorkflows> | undefined;
const quiet = new DefaultLogger('ERROR', () => undefined);

export interface WorldOptions {
  /** False: none is started. */
  readonly workers?: boolean;
  /** Other channels than the scripted ones, by the module that names them. */
  readonly channels?: { readonly config: { readonly plugins: readonly Plugin[] }; readonly configUrl: string };
}

/** Opens one; workers run unless told not to. */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const { config, configUrl } = options.channels ?? { config: scripted, configUrl: new URL('./scripted-config.ts', import.meta.url).href };
  installQuietRuntime();
  const running = await servers();
  const [databaseUrl, temporal] = await Promise.all([freshDatabase(running), freshNamespace(running)]);
  const db = openDatabase(databaseUrl, { max: 15, name: 'test' });
  const keys: Keys = keysFrom(randomBytes(32).toString('hex'));
  const waker = createWaker(temporal.client);
  const logged: string[] = [];
  const log = createLogger({ service: 'test', level: 'trace', destination: { write: (line) => void logged.push(line.trimEnd()) } });
  const set = createActivities({
    db,
    keys,
    plugins: config.plugins,
    configUrl,
    waker,
    log,
    now: () => Date.now(),
  });
  const user = await db
    .insertInto('app_user')
    .values({ email: 'admin@test.example', name: 'Test Admin', role: 'SUPER_ADMIN', seat: 'PAID' })
    .returning('id')
    .executeTakeFirstOrThrow();
  let atWork: { workers: RunningWorkers; native: NativeConnection } | undefined;

  const world: World = {
    db,
    client: temporal.client,
    connection: temporal.connection,
    namespace: temporal.namespace,
    waker,
    set,
    logged,
    log,
    keys,
    userId: user.id,
    async connect(kind, plugin = 'scripted') {
      const place = await db.selectFrom('place').select('id').where('kind', '=', kind).executeTakeFirstOrThrow();
      const connected = await world.commit(
        await transact(db, { actor: 'USER', userId: user.id }, (unit) =>
          connectChannel(
            unit,
            { plugins: config.plugins, keys },
            {
              plugin,
              name: 'Test channel',
              placeId: place.id,
              settings: { name: randomBytes(6).toString('hex') },
              routing: { kind: 'SPECIFIC', userIds: [user.id], teamIds: [] },
            },
          ),
        ),
      );
      return { id: connected.channelId, key: connected.key };
    },
    async deliver(channel, delivery, { wake = true } = {}) {
      const { deliveryId } = await storeDelivery(db, channel.id, {
        method: 'TEST',
        url: 'test:',
        headers: {},
        body: Buffer.from(JSON.stringify(delivery)),
        receivedAt: new Date().toISOString(),
      });
      if (wake) await wakeOrThrow(waker, { kind: 'intake', channelKey: channel.key, plugin: 'scripted' });
      return deliveryId;
    },
    async reply(conversationId, text, { wake = true } = {}) {
      const committed = await transact(db, { actor: 'USER', userId: user.id }, (unit) => reply(unit, config.plugins, { conversationId, text }));
      if (wake) await world.commit(committed);
      return committed.value.messageId;
    },
    async commit({ value, wakes }) {
      for (const one of wakes) await wakeOrThrow(waker, one);
      return value;
    },
    async startWorkers() {
      if (atWork !== undefined) return;
      const native = await NativeConnection.connect({ address: temporal.address });
      bundle ??= bundleWorkflows(quiet);
      atWork = {
        native,
        workers: await runWorkers({ connection: native, namespace: temporal.namespace, bundle: await bundle, activities: set.activities, log }),
      };
    },
    async stopWorkers() {
      await atWork?.workers.stop();
      await atWork?.native.close();
      atWork = undefined;
    },
    async close() {
      await world.stopWorkers();
      await set.close();
      await temporal.connection.close();
      await db.destroy();
      await running.stop();
    },
  };
  if (options.workers !== false) await world.startWorkers();
  return world;
}

async function wakeOrThrow(waker: Waker, wake: Parameters<typeof wakeAll>[1][number]): Promise<void> {
  const failed = await wakeAll(waker, [wake], () => undefined);
  if (failed > 0) throw new Error('Temporal could not be woken');
}

let installed = false;
function installQuietRuntime(): void {
  if (installed) return;
  installed = true;
  Runtime.install({ logger: quiet, shutdownSignals: [] });
}

/** Waits until `look` gives something, for at most `seconds`; a condition is awaited, never slept for. */
export async function until<T>(what: string, look: () => Promise<T | undefined | null | false>, seconds = 60): Promise<T> {
  for (const end = Date.now() + seconds * 1000; ;) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() > end) throw new Error(`after ${seconds} s still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
