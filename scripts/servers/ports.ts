import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Thrown when no port of the range is free. */
export class NoFreePort extends Error {
  constructor(host: string, first: number, last: number) {
    super(`No free port on ${host} between ${first} and ${last}. Stop something that listens there.`);
    this.name = 'NoFreePort';
  }
}

/** How far to step before giving up. */
const REACH = 200;

/**
 * Finds ports for one stack, none of them twice. A port that is found can be lost again before it is used, so
 * whoever starts a server tries anew with the next one.
 */
export function portFinder(host = '127.0.0.1') {
  const given = new Set<number>();
  return {
    /** The preferred port or the next free one above it. Throws {@link NoFreePort} after 200 taken ones. */
    async near(preferred: number): Promise<number> {
      const last = Math.min(preferred + REACH, 65_535);
      for (let port = preferred; port <= last; port += 1) {
        if (given.has(port) || !(await isFree(port, host))) continue;
        given.add(port);
        return port;
      }
      throw new NoFreePort(host, preferred, last);
    },
    /** Any free port, for servers nobody looks for by number: those of tests. */
    async any(): Promise<number> {
      for (;;) {
        // Below the ports that outgoing connections take, or one of these could have it before its server does.
        const port = randomInt(20_000, 32_000);
        if (given.has(port) || !(await isFree(port, host))) continue;
        given.add(port);
        return port;
      }
    },
  };
}

/** Gives ports; see {@link portFinder}. */
export type PortFinder = ReturnType<typeof portFinder>;

/** Can a server listen on this port of this host now? */
export async function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return (await listenOnce(port, host)) !== undefined;
}

/** Listens and lets go again; the port that was had, or undefined when it is taken. */
function listenOnce(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : undefined;
      server.close(() => resolve(bound));
    });
  });
}
