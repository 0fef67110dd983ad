import { ChannelFailure, type ListenContext, type Listener, type Plugin } from '@trunkline/channel-sdk';
import type { ResolveDns } from '#runtime/dns.ts';
import type { Doorkeeper } from './doorkeeper.ts';

/** Where the plugins' own servers listen. */
export interface ListenSettings {
  readonly host: string;
  /** By plugin; 0: any free port. A plugin that is not named does not listen here. */
  readonly ports: ReadonlyMap<string, number>;
}

/** Starts every plugin's own server that has a port. If one can not start, those already running are closed again. */
export async function startListeners(
  keeper: Doorkeeper,
  plugins: readonly Plugin[],
  { host, ports, resolveDns }: ListenSettings & { readonly resolveDns: ResolveDns },
): Promise<readonly { readonly plugin: string; readonly listener: Listener }[]> {
  const started: { readonly plugin: string; readonly listener: Listener }[] = [];
  try {
    for (const plugin of plugins) {
      const port = ports.get(plugin.key);
      if (plugin.listen === undefined) continue;
      if (port === undefined) {
        keeper.log('a plugin has a server of its own, but LISTEN_PORTS names no port for it', { plugin: plugin.key });
        continue;
      }
      started.push({ plugin: plugin.key, listener: await listen(keeper, plugin, { host, port, resolveDns }) });
    }
  } catch (error) {
    await Promise.all(started.map(({ listener }) => listener.close()));
    throw error;
  }
  return started;
}

async function listen(keeper: Doorkeeper, plugin: Plugin, at: Pick<ListenContext<unknown>, 'host' | 'port' | 'resolveDns'>): Promise<Listener> {
  if (plugin.listen === undefined) throw new TypeError(`plugin "${plugin.key}" has no server of its own`);
  return plugin.listen({
    ...at,
    now: () => keeper.now(),
    log: (message, fields) => keeper.log(message, { ...fields, plugin: plugin.key }),
    async findChannel(by) {
      const door = 'key' in by ? await keeper.find(by.key) : await keeper.findByAddress(plugin.key, by.address);
      return door?.plugin.key === plugin.key ? door.channel.info : undefined;
    },
    async deliver(channelKey, raw) {
      const door = await keeper.find(channelKey).catch(() => undefined);
      if (door?.plugin.key !== plugin.key) throw new ChannelFailure({ code: 'Unavailable', reason: 'the channel is not there' });
      await keeper.store(door, raw);
    },
  });
}
