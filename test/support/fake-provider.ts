import { createServer, type ServerResponse } from 'node:http';
import { serverPort, stopServer, textOf } from './http.ts';

/**
 * What the fake provider does with the next send. `silent`: takes it and never answers. `lost`: does not take it and never answers;
 * so the sender can not tell the two apart.
 */
export type Outcome = 'ok' | 'rate-limited' | 'rejected' | 'silent' | 'lost' | 'disconnected' | 'unavailable';

export interface FakeProvider {
  readonly url: string;
  /** What it took, in order: one entry a send, so a repeated one shows. */
  readonly taken: readonly { readonly id: string; readonly to: string; readonly text: string }[];
  /** How often it was asked to send. */
  readonly asked: () => number;
  /** Outcomes of the next sends; after them everything is taken. */
  script(...outcomes: readonly Outcome[]): void;
  close(): Promise<void>;
}

/** The provider behind the test plugin, on loopback. */
export async function fakeProvider(): Promise<FakeProvider> {
  const taken: { id: string; to: string; text: string }[] = [];
  const script: Outcome[] = [];
  let asked = 0;

  function send(message: { id: string; to: string; text: string }, response: ServerResponse): void {
    asked += 1;
    const outcome = script.shift() ?? 'ok';
    if (outcome === 'ok' || outcome === 'silent') taken.push(message);
    if (outcome === 'silent' || outcome === 'lost') return;
    const status = { ok: 200, 'rate-limited': 429, rejected: 400, disconnected: 401, unavailable: 503 }[outcome];
    response.writeHead(status, { 'retry-after': '1' }).end(outcome === 'ok' ? JSON.stringify({ id: `provider-${message.id}` }) : '');
  }

  const server = createServer((request, response) => {
    void (async () => {
      if (request.method === 'POST') return send(JSON.parse(await textOf(request)), response);
      const id = request.url?.split('/').at(-1) ?? '';
      if (taken.some((one) => one.id === id)) response.end(JSON.stringify({ id: `provider-${id}` }));
      else response.writeHead(404).end();
    })();
  });
  const port = await serverPort(server);
  return {
    url: `http://127.0.0.1:${port}`,
    taken,
    asked: () => asked,
    script: (...outcomes) => void script.push(...outcomes),
    close: () => stopServer(server),
  };
}
