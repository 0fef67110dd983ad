import type { IncomingMessage } from 'node:http';
import { LIMITS } from '../limits.ts';
import { bodySource } from './body.ts';

type BodyLimits = Pick<Record<keyof typeof LIMITS, number>, 'heldBytes' | 'heldBytesPerAddress' | 'openBodiesPerAddress' | 'bodySeconds'>;

/** Why a body was not read to its end: its own size, what its address has open or held already, what all have, its time, its sender who went. */
export type BodyRefusal = 'TooLarge' | 'TooManyOfAddress' | 'TooMuchOfAll' | 'TooSlow' | 'BrokenOff';

export type Body =
  | { readonly bytes: Uint8Array; /** The request is answered: its bytes are no longer held. */ release(): void }
  | { readonly refused: BodyRefusal };

export interface Bodies {
  read(request: Request, incoming: IncomingMessage | undefined, by: { readonly address: string; readonly maxBytes: number }): Promise<Body>;
}

/** Reads what strangers send into memory: all of it together, and what one address sends, is bounded, in bytes and in time (API-7). */
export function createBodies(limits: BodyLimits = LIMITS): Bodies {
  const all: Account = { open: 0, held: 0 };
  const addresses = new Map<string, Account>();

  function refusalOf(address: Account, more: number): BodyRefusal | undefined {
    if (address.held + more > limits.heldBytesPerAddress) return 'TooManyOfAddress';
    return all.held + more > limits.heldBytes ? 'TooMuchOfAll' : undefined;
  }

  return {
    async read(request, incoming, { address, maxBytes }) {
      const source = bodySource(request, incoming);
      if (source === undefined) return { bytes: new Uint8Array(), release: () => undefined };
      const told = Number(request.headers.get('content-length') ?? 0);
      if (told > maxBytes) return { refused: 'TooLarge' };
      const account = addresses.get(address) ?? { open: 0, held: 0 };
      if (account.open >= limits.openBodiesPerAddress) return { refused: 'TooManyOfAddress' };
      // What can not fit is not begun with.
      const ahead = refusalOf(account, told);
      if (ahead !== undefined) return { refused: ahead };
      addresses.set(address, account);
      let bytes = 0;
      const hold = (more: number): void => {
        bytes += more;
        account.held += more;
        all.held += more;
      };
      const release = (): void => {
        hold(-bytes);
        if (account.open === 0 && account.held === 0) addresses.delete(address);
      };

      account.open += 1;
      const chunks: Uint8Array[] = [];
      const refused = await each(source, limits.bodySeconds * 1_000, (chunk) => {
        if (bytes + chunk.byteLength > maxBytes) return 'TooLarge';
        const refusal = refusalOf(account, chunk.byteLength);
        if (refusal !== undefined) return refusal;
        hold(chunk.byteLength);
        chunks.push(chunk);
        return undefined;
      });
      account.open -= 1;
      if (refused === undefined) return { bytes: chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, bytes), release };
      release();
      return { refused };
    },
  };
}

interface Account {
  /** Bodies that have not come to their end. */
  open: number;
  /** Bytes of those, and of requests that are not answered. */
  held: number;
}

/** Goes through the chunks until `take` refuses one or the time is up; undefined: it came to the end. Nothing more is read then. */
async function each(source: AsyncIterable<Uint8Array>, ms: number, take: (chunk: Uint8Array) => BodyRefusal | undefined): Promise<BodyRefusal | undefined> {
  const chunks = source[Symbol.asyncIterator]();
  let timer: NodeJS.Timeout | undefined;
  const timeIsUp = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms);
  });
  let refused: BodyRefusal | undefined;
  try {
    while (refused === undefined) {
      const next = await Promise.race([chunks.next(), timeIsUp]);
      if (next !== 'late' && next.done === true) return undefined;
      refused = next === 'late' ? 'TooSlow' : take(next.value);
    }
    // Not waited for: it ends only with the chunk that does not come.
    chunks.return?.().catch(() => undefined);
    return refused;
  } catch {
    return 'BrokenOff';
  } finally {
    clearTimeout(timer);
  }
}
