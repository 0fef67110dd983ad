import { request, type IncomingMessage, type Server } from 'node:http';

/** Listens on any free port of loopback. */
export async function serverPort(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  if (typeof bound !== 'object' || bound === null) throw new Error('the server has no port');
  return bound.port;
}

/** Ends a server with its open connections. */
export function stopServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

/**
 * A POST that says how large its body is and sends none of it. A server that refuses it by that leaves nothing unread: where it does, the connection may break
 * before its answer is read.
 */
export function postAnnounced(url: string, bytes: number, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: 'POST', headers: { ...headers, 'content-length': String(bytes) } });
    asked.on('response', (answer) => {
      const pairs = Object.entries(answer.headers).map(([name, value]): [string, string] => [name, String(value)]);
      textOf(answer)
        .then((text) => resolve(new Response(text, { status: answer.statusCode ?? 0, headers: pairs })), reject)
        .finally(() => asked.destroy());
    });
    asked.on('error', reject);
    asked.flushHeaders();
  });
}

/** All of a request's body. */
export async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
