import { ChannelFailure, type Plugin, type RawDelivery } from '@trunkline/channel-sdk';
import { connectedKeys, loadChannel, type LoadedChannel } from '#commands/channel-settings.ts';
import { channelState } from '#commands/channel-state.ts';
import { loadConnecting } from '#commands/connecting.ts';
import { storeDelivery, storeDeliveryForAll, type Stored } from '#commands/intake.ts';
import { askRenewal } from '#commands/renewals.ts';
import type { Keys } from '#commands/secrets.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { createPluginContext, webhookUrlOf } from '#runtime/plugin-context.ts';
import { wakeAll, type Waker } from '#workflows/contract.ts';
import { createChannelCache, type DoorChannel } from './channel-cache.ts';
import type { IntakeWake } from './intake-wake.ts';

type Fields = Readonly<Record<string, string | number | boolean>>;

/** What every door does with a delivery, whichever way it came. */
export interface Doorkeeper {
  readonly publicUrl: string;
  now(): number;
  log(message: string, fields: Fields): void;
  /** Whether this plugin's pages hold a conversation: known without reading anything. */
  isLive(plugin: string): boolean;
  plugin(key: string): Plugin | undefined;
  /** A connected channel whose plugin is configured. */
  find(channelKey: string): Promise<DoorChannel | undefined>;
  findByAddress(plugin: string, address: string): Promise<DoorChannel | undefined>;
  /** Channels of this plugin, or that of this key, whose provider is being asked to connect them: their handshakes come before they are channels. */
  findConnecting(by: { readonly key: string } | { readonly plugin: string }): Promise<readonly DoorChannel[]>;
  /** Keys of a plugin's connected channels: of these addresses, or of all. */
  keysOf(plugin: string, addresses: readonly string[] | 'any'): Promise<readonly string[]>;
  /** A delivery could not be judged for want of a key: the channel's renewal is asked for. Returns at once and never throws. */
  askRenewal(door: DoorChannel): void;
  /** Durable once this resolves; the wake follows after the answer. A channel that is off takes in all the same (CH-9). Rejects with `Unavailable`. */
  store(door: DoorChannel, raw: RawDelivery): Promise<void>;
  /** The same for several: for all of them or for none. */
  storeForAll(doors: readonly DoorChannel[], raw: RawDelivery): Promise<void>;
}

export interface DoorkeeperDeps {
  readonly db: Db;
  readonly keys: Keys;
  readonly plugins: readonly Plugin[];
  readonly publicUrl: string;
  readonly wake: IntakeWake;
  readonly waker: Waker;
  readonly signal: AbortSignal;
  readonly log: (message: string, fields: Fields) => void;
}

export function createDoorkeeper({ db, keys, plugins, publicUrl, wake, waker, signal, log }: DoorkeeperDeps): Doorkeeper {
  const byKey = new Map(plugins.map((plugin) => [plugin.key, plugin]));

  async function load(by: Parameters<typeof loadChannel>[2]): Promise<DoorChannel | undefined> {
    // A key comes from an address, where anything may stand.
    if ('key' in by && !/^[a-z0-9-]{3,60}$/.test(by.key)) return undefined;
    const channel = await loadChannel(db, keys, by);
    return channel === undefined ? undefined : toDoor(channel);
  }

  function toDoor(channel: LoadedChannel): DoorChannel | undefined {
    const plugin = byKey.get(channel.plugin);
    if (plugin === undefined) return undefined;
    const context = createPluginContext(channel.info, {
      signal,
      webhookUrl: webhookUrlOf(publicUrl, plugin, channel.key),
      sign: (text) => keys.signFor(channel.key, text),
      log: (message, fields) => log(message, fields ?? {}),
      state: channelState(db, keys, channel),
    });
    return { plugin, channel, context };
  }

  return {
    publicUrl,
    now: Date.now,
    log,
    isLive: (plugin) => byKey.get(plugin)?.capabilities.live === true,
    find: createChannelCache((key) => load({ key })),
    findByAddress: (plugin, address) => load({ plugin, address }),
    findConnecting: async (by) => (await loadConnecting(db, keys, by)).flatMap((channel) => toDoor(channel) ?? []),
    plugin: (key) => byKey.get(key),
    askRenewal({ plugin, channel }) {
      if (plugin.renew === undefined || !channel.connected) return;
      const ask = async (): Promise<void> => {
        const { wakes } = await transact(db, { actor: 'SYSTEM' }, (unit) => askRenewal(unit, channel.id));
        await wakeAll(waker, wakes, (workflowId) => log('Temporal was not woken; the guardian will', { workflowId }));
      };
      ask().catch(() => log('a renewal could not be asked for', { channel: channel.key }));
    },
    keysOf: (plugin, addresses) => connectedKeys(db, plugin, addresses),
    store: (door, raw) => keep([door], async () => [await storeDelivery(db, door.channel.id, raw)]),
    storeForAll: (doors, raw) =>
      keep(doors, () =>
        storeDeliveryForAll(
          db,
          doors.map((door) => door.channel.id),
          raw,
        ),
      ),
  };

  async function keep(doors: readonly DoorChannel[], store: () => Promise<readonly Stored[]>): Promise<void> {
    if (doors.length === 0) return;
    // There is nothing yet to keep it for; its provider comes again.
    if (doors.some((door) => !door.channel.connected)) throw new ChannelFailure({ code: 'Unavailable', reason: 'the channel is being connected' });
    try {
      const stored = await store();
      setImmediate(() => {
        for (const [index, { channel, plugin }] of doors.entries()) {
          const one = stored[index];
          if (one !== undefined) wake.stored({ channelId: channel.id, channelKey: channel.key, plugin: plugin.key, ...one });
        }
      });
    } catch (cause) {
      throw new ChannelFailure({ code: 'Unavailable', reason: 'the delivery could not be stored' }, { cause });
    }
  }
}
