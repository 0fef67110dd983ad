import { createServer } from 'node:http';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { Environment } from '../runtime/environment.ts';

/** Milliseconds PostgreSQL may take to answer before the worker counts as not ready. */
const DATABASE_MS = 2_000;

/** Serves `/healthz` (the process lives) and `/readyz` (its workers run and PostgreSQL answers). */
export async function serveHealth(environment: Pick<Environment, 'host' | 'workerPort'>, db: Db, running: () => boolean): Promise<{ readonly port: number; close(): Promise<void> }> {
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
    return (await databaseAnswers(db)) ? [200, 'ready'] : [503, 'PostgreSQL does not answer'];
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

async function databaseAnswers(db: Db): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => void setTimeout(() => resolve(false), DATABASE_MS).unref());
  return Promise.race([sql`select 1`.execute(db).then(() => true, () => false), late]);
}
