import { connect, createServer, type Server } from 'node:net';
import type { ChannelInfo, ListenContext, Listener, Plugin } from '../index.ts';
import { reference } from '../testing/reference.ts';
import { referenceSamples } from '../testing/reference-samples.ts';
import type { ConformanceSamples } from '../testing/index.ts';

/** What becomes of one delivery: its answer. */
export type Taking = (context: ListenContext<unknown>, key: string, body: Uint8Array, server: Server) => Promise<string>;

/** Confirms what is stored, and nothing else. */
export const honest: Taking = async ({ deliver, findChannel, now }, key, body) => {
  if ((await findChannel({ key })) === undefined) return 'no';
  return deliver(key, { method: 'LINE', url: `line:/${key}`, headers: {}, body, receivedAt: new Date(now()).toISOString() }).then(
    () => 'ok',
    () => 'no',
  );
};

/** The reference channel with a server of its own: a channel's key on the first line, the delivery behind it, "ok" back. */
export function listening(take: Taking): Plugin {
  return {
    ...reference,
    capabilities: { ...reference.capabilities, inbound: [...reference.capabilities.inbound, 'listener'] },
    listen: (context) => listen(context, take),
  };
}

async function listen(context: ListenContext<unknown>, take: Taking): Promise<Listener> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => {
      const all = Buffer.concat(chunks);
      const line = all.indexOf('\n');
      void take(context, all.subarray(0, Math.max(0, line)).toString('latin1'), all.subarray(line + 1), server).then((answer) => socket.end(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(context.port, context.host, () => resolve()));
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

export const listeningSamples: ConformanceSamples = {
  ...referenceSamples,
  listener: {
    async handOver(port: number, channel: ChannelInfo<unknown>, n: number) {
      const [first] = referenceSamples.deliveries;
      if (first === undefined) throw new Error('there is no sample');
      const { body } = await first.raw(n, channel);
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(`${channel.key}\n`);
        socket.end(body);
      });
      socket.on('data', (answer) => resolve(answer.toString() === 'ok'));
      socket.on('error', () => resolve(false));
      socket.on('close', () => resolve(false));
      return promise;
    },
  },
};
