import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** A call as it came, checked as Standard Webhooks says, by code of its own. */
export interface ReceivedCall {
  readonly path: string;
  readonly id: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Which of the secrets have signed it. */
  readonly signedBy: readonly string[];
}

export interface Receiver {
  readonly port: number;
  readonly url: string;
  readonly calls: ReceivedCall[];
  /** Of those that have come to their receiver and have no answer yet; the most there ever were. */
  readonly open: { now: number; most: number };
  /** Those that it checks signatures with. */
  readonly secrets: Set<string>;
  close(): Promise<void>;
}

/** A status to answer with; or whatever is to be done with the response. */
type Answer = number | ((response: ServerResponse) => void);

const OLDEST_SECONDS = 300;

/** A real server on a port of its own. Nothing is answered before the call is read whole. */
export async function openReceiver(answer: (call: ReceivedCall) => Answer | Promise<Answer> = () => 204): Promise<Receiver> {
  const calls: ReceivedCall[] = [];
  const secrets = new Set<string>();
  const open = { now: 0, most: 0 };
  const server = createServer((request, response) => {
    open.now += 1;
    open.most = Math.max(open.most, open.now);
    response.once('close', () => (open.now -= 1));
    void received(request, secrets).then(async (call) => {
      calls.push(call);
      const said = await answer(call);
      if (typeof said === 'number') response.writeHead(said).end();
      else said(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    url: `http://127.0.0.1:${port}/hook`,
    calls,
    open,
    secrets,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function received(request: IncomingMessage, secrets: ReadonlySet<string>): Promise<ReceivedCall> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(Buffer.from(piece as Uint8Array));
  const body = Buffer.concat(pieces).toString('utf8');
  const id = String(request.headers['webhook-id']);
  const at = String(request.headers['webhook-timestamp']);
  const signatures = String(request.headers['webhook-signature']).split(' ');
  const young = /^\d+$/.test(at) && Math.abs(Date.now() / 1000 - Number(at)) < OLDEST_SECONDS;
  const signedBy = [...secrets].filter((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    const expected = createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest();
    return young && signatures.some((one) => one.startsWith('v1,') && isSame(expected, Buffer.from(one.slice(3), 'base64')));
  });
  return { path: request.url ?? '', id, headers: request.headers, body, signedBy };
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
