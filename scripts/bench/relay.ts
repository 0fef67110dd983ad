import type { Client } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import { createServer, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';

const QUEUE = 'bench-relay';
/** They run on and are only signalled: a bare signal, and not the start of a workflow, which costs more. */
const WORKFLOWS = 20;

/** `what`: `<stream> <text>`: the text goes out on that stream. */
export interface RelayActivities {
  push(what: string): Promise<void>;
}

/** The baseline: a server whose messages go by a bare signal and an activity to the stream they are for. */
export interface Relay {
  readonly url: string;
  stop(): Promise<void>;
}

/** `GET /<stream>`: server-sent events. `POST /<stream>` with a text: signal → activity → that stream. */
export async function startRelay(client: Client, temporalAddress: string): Promise<Relay> {
  const streams = new Map<string, ServerResponse>();
  const activities: RelayActivities = {
    async push(what) {
      const [stream = '', text = ''] = what.split(' ', 2);
      streams.get(stream)?.write(`data: ${text}\n\n`);
    },
  };
  const connection = await NativeConnection.connect({ address: temporalAddress });
  const workflowsPath = fileURLToPath(new URL('./relay-workflow.ts', import.meta.url));
  const worker = await Worker.create({
    connection,
    taskQueue: QUEUE,
    activities: { ...activities },
    workflowBundle: await bundleWorkflowCode({ logger: new DefaultLogger('ERROR'), workflowsPath }),
    maxCachedWorkflows: 100,
  });
  const running = worker.run();
  const server = createServer((request, response) => {
    const stream = (request.url ?? '/').slice(1);
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: ready\n\n');
      streams.set(stream, response);
      response.on('close', () => streams.delete(stream));
      return;
    }
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => void (text += piece));
    request.on('end', () => {
      client.workflow
        .signalWithStart('relay', {
          workflowId: `bench-relay/${Number(text.split(':')[1]) % WORKFLOWS}`,
          taskQueue: QUEUE,
          signal: 'relay',
          signalArgs: [`${stream} ${text}`],
        })
        .then(
          () => response.writeHead(202).end(),
          (error: unknown) => {
            console.error('bench: the relay could not signal', error instanceof Error ? error.name : error);
            response.writeHead(503).end();
          },
        );
    });
  });
  // Clients pause between the rounds: a connection that is closed just when it is used again would count as a failure.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the relay has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
      worker.shutdown();
      await running;
      await connection.close();
    },
  };
}
