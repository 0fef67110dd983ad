import type { IncomingMessage } from 'node:http';

/** All bytes of a request, or undefined where they are more than `maxBytes`; never reads on then. */
export async function readBody(request: Request, incoming: IncomingMessage | undefined, maxBytes: number): Promise<Uint8Array | undefined> {
  const source = bodySource(request, incoming);
  if (source === undefined) return EMPTY;
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) return undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  const [first] = chunks;
  if (first === undefined) return EMPTY;
  return chunks.length === 1 ? first : Buffer.concat(chunks, bytes);
}

/**
 * Where a request's bytes come from; undefined: it has none. Behind Node's own server its stream is read directly: a `Request`'s costs several times
 * as much. What is not read any more is not destroyed: its connection still has to carry the answer.
 */
export function bodySource(request: Request, incoming: IncomingMessage | undefined): AsyncIterable<Uint8Array> | undefined {
  return incoming?.iterator({ destroyOnReturn: false }) ?? request.body?.values({ preventCancel: true });
}

const EMPTY = new Uint8Array();
