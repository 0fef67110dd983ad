import type { Plugin } from '@trunkline/channel-sdk';
import { connectChannel, type Connected } from '#commands/channels.ts';
import { keysFrom } from '#commands/secrets.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import type { Waker } from '#workflows/contract.ts';
import { createBodies, type Bodies } from '#api/doors/bodies.ts';
import { createDoors, type Doors } from '#api/doors/index.ts';
import config from '../support/config.ts';
import { placeId } from '../support/email-channel.ts';
import { testDelivery, type TestPayload } from '../support/test-plugin.ts';
import { noDns } from '#runtime/dns.ts';

export const keys = keysFrom('ef'.repeat(32));
export const APP_SECRET = 'app-secret-of-tests';
export const PUBLIC_URL = 'https://desk.example';

/** A Temporal that notes whom it was asked to wake; down, it refuses or never answers. */
export interface FakeTemporal extends Waker {
  /** Workflows it woke. */
  readonly woken: string[];
  /** How often it was asked, down or not. */
  asked: number;
  down: 'refuses' | 'hangs' | undefined;
}

export function fakeTemporal(): FakeTemporal {
  const temporal: FakeTemporal = {
    woken: [],
    asked: 0,
    down: undefined,
    async signalWithStart({ workflowId }) {
      temporal.asked += 1;
      if (temporal.down === 'refuses') throw new Error('14 UNAVAILABLE');
      if (temporal.down === 'hangs') await new Promise(() => undefined);
      temporal.woken.push(workflowId);
    },
  };
  return temporal;
}

export interface TestDoors extends Doors {
  readonly lines: string[];
}

export function testDoors(
  db: Db,
  waker: Waker,
  ports: ReadonlyMap<string, number> = new Map(),
  plugins: readonly Plugin[] = config.plugins,
  bodies: Bodies = createBodies(),
): TestDoors {
  const lines: string[] = [];
  const log = (message: string, fields: object): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const doors = createDoors({ db, keys, plugins, waker, resolveDns: noDns, bodies, log, env: { publicUrl: PUBLIC_URL, listen: { host: '127.0.0.1', ports } } });
  return { ...doors, lines };
}

let number = 0;

/** A connected test webhook. */
export async function connectHook(db: Db): Promise<Connected> {
  const settings = { page: `door-page-${process.pid}-${(number += 1)}`, appSecret: APP_SECRET };
  const input = { plugin: 'testhook', name: 'Hook', placeId: await placeId(db, 'HELP_DESK'), settings };
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: config.plugins, keys }, input));
  return value;
}

/** The request of a provider with something to say. */
export function call(text: string): RequestInit & { readonly body: string } {
  const payload: TestPayload = { events: [{ type: 'message', id: text, from: 'visitor', text }] };
  return { method: 'POST', ...testDelivery(payload, APP_SECRET) };
}

export function deliveries(db: Db, channelId: string) {
  return db.selectFrom('raw_delivery').selectAll().where('channel_id', '=', channelId).orderBy('id').execute();
}
