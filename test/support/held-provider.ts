import { createServer } from 'node:http';
import { serverPort, stopServer } from './http.ts';

/** Something the provider holds. `whole`: it is best kept as it came. */
export interface HeldItem {
  readonly id: string;
  readonly from: string;
  readonly text: string;
  readonly whole?: boolean;
  /** A file that is had of the provider by this name. */
  readonly file?: string;
}

/** What it answers with in place of its next pages. */
export type HeldAnswer = 'unavailable' | 'rate-limited' | 'revoked' | 'nonsense' | 'stands-still' | 'unknown-event' | { readonly first: () => Promise<void> };

export interface HeldProvider {
  readonly url: string;
  /** Oldest first; whoever puts something here has it held. */
  readonly items: HeldItem[];
  /** Cursors it was asked from, in order; '': from the start. */
  readonly askedFrom: string[];
  /** Its next answers; after them it answers as it should. */
  script(...answers: readonly HeldAnswer[]): void;
  close(): Promise<void>;
}

/** A provider with a history, a page at a time, on loopback: `GET /history?after=<position>&limit=<items>` and `GET /files/<name>`. */
export async function heldProvider(): Promise<HeldProvider> {
  const items: HeldItem[] = [];
  const askedFrom: string[] = [];
  const script: HeldAnswer[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const url = new URL(request.url ?? '/', 'http://provider.test');
      if (url.pathname.startsWith('/files/')) return response.end(`content of ${url.pathname.slice(7)}`);
      const after = url.searchParams.get('after') ?? '';
      askedFrom.push(after);
      const answer = script.shift();
      if (typeof answer === 'object') await answer.first();
      else if (answer === 'unavailable') return response.writeHead(503).end();
      else if (answer === 'rate-limited') return response.writeHead(429, { 'retry-after': '60' }).end();
      else if (answer === 'revoked') return response.writeHead(401).end();
      else if (answer !== undefined) return response.end(JSON.stringify({ broken: answer }));
      const start = Number(after === '' ? 0 : after);
      const end = Math.min(start + Number(url.searchParams.get('limit')), items.length);
      return response.end(JSON.stringify({ items: items.slice(start, end), next: String(end), more: end < items.length }));
    })();
  });
  const port = await serverPort(server);
  return {
    url: `http://127.0.0.1:${port}`,
    items,
    askedFrom,
    script: (...answers) => void script.push(...answers),
    close: () => stopServer(server),
  };
}
