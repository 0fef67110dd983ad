import { connect } from 'node:net';
import type { RawDelivery } from '../../index.ts';
import { channelOf, listenContext, quietContext } from '../bench.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { difference } from '../compare.ts';
import { valueOf } from '../outcome.ts';

const LONGEST_GOODBYE = 1_000;

/** A server of the plugin's own. */
export function listenerChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { listen } = plugin;
  const { listener } = samples;
  const [first] = samples.deliveries;
  if (listen === undefined || listener === undefined || first === undefined) return [];
  const listening = async (deliver: (key: string, raw: RawDelivery) => Promise<void>, run: (port: number) => Promise<void>) => {
    const channel = await channelOf(subject);
    const server = await valueOf('listen', () => listen(listenContext(channel, deliver)));
    try {
      await run(server.port);
    } finally {
      await valueOf('close of the listener', () => server.close());
    }
  };
  return [
    {
      name: 'hands over what its server takes, and parses it',
      rule: 'PLUG-4',
      async run() {
        const channel = await channelOf(subject);
        const taken: RawDelivery[] = [];
        await listening(
          async (_key, raw) => void taken.push(raw),
          async (port) => must(await listener.handOver(port, channel, 0), 'the server does not confirm a delivery', 'mend listen, or the sample'),
        );
        const [raw] = taken;
        must(raw !== undefined && taken.length === 1, `${taken.length} deliveries of one`, 'call context.deliver once for each');
        if (raw === undefined) return;
        const events = await valueOf('parse of what the server took', () => plugin.parse(raw, quietContext(channel)));
        const where = difference(first.gives(0), events);
        must(where === undefined, `what the server took: ${where}`, 'hand over the bytes as they came');
      },
    },
    {
      name: 'confirms only what is stored',
      rule: 'PLUG-4',
      async run() {
        const channel = await channelOf(subject);
        await listening(
          () => Promise.reject(new Error('the database is away')),
          async (port) =>
            must(!(await listener.handOver(port, channel, 0)), 'the server confirms what could not be stored', 'answer only after await context.deliver(…)'),
        );
      },
    },
    {
      name: 'goes on after garbage on its port',
      rule: 'PLUG-10',
      async run() {
        const channel = await channelOf(subject);
        await listening(
          async () => undefined,
          async (port) => {
            for (const bytes of [new Uint8Array(0), new Uint8Array(100_000).fill(0xff), new TextEncoder().encode('\r\n\r\n\u0000\r\nGET / HTTP/1.1\r\n\r\n')])
              await hurl(port, bytes);
            must(await listener.handOver(port, channel, 1), 'the server takes nothing after garbage', 'end that connection alone');
          },
        );
      },
    },
  ];
}

/** Writes, ends, and waits a moment for the server to end too, whatever it says. */
function hurl(port: number, bytes: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
  const patience = setTimeout(() => socket.destroy(), LONGEST_GOODBYE);
  socket.resume();
  socket.on('error', () => undefined);
  socket.once('close', () => {
    clearTimeout(patience);
    resolve();
  });
  return promise;
}
