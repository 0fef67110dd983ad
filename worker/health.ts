import { createServer } from 'node:http';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { Environment } from '#runtime/environment.ts';

/** Milliseconds a server may take to answer before the worker counts as not ready. */
const ANSWER_MS = 2_000;

/** Serves `/healthz` (the process lives) and `/readyz` (its workers run, PostgreSQL and Temporal answer). */
export async function serveHealth(
  environment: Pick<Environment, 'host' | 'workerPort'>,
  db: Db,
  running: () => boolean,
  temporalAnswers: () => Promise<boolean>,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    void answer(path).then(([status, text]) => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
      response.end(`${text}\n`);
    });
  });
  async function answer(path: string | undefined): Promise<readonly [number, string]> {
    if (path === '/healthz') return [200, 'ok'];
    if (path !== '/readyz') return [404, 'not found'];
    if (!running()) return [503, 'the workers do not run'];
    const [database, temporal] = await Promise.all([inTime(sql`select 1`.execute(db).then(() => true)), inTime(temporalAnswers())]);
    if (!database) return [503, 'PostgreSQL does not answer'];
    return temporal ? [200, 'ready'] : [503, 'Temporal does not answer'];
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(environment.workerPort, environment.host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : environment.workerPort,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function inTime(answering: Promise<boolean>): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => void setTimeout(() => resolve(false), ANSWER_MS).unref());
  return Promise.race([answering.catch(() => false), late]);
}
