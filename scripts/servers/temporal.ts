import { join } from 'node:path';

import { connectClient } from '#runtime/temporal.ts';
import { SEARCH_ATTRIBUTES } from '#runtime/temporal-setup.ts';
import { portFinder, type PortFinder } from './ports.ts';
import { run, type Running } from './process.ts';
import { createProgress, type Progress } from './progress.ts';
import { findTemporal, type FindOptions } from './temporal-program.ts';

/** How a Temporal dev server is started. */
export type TemporalOptions = {
  /** Its data is `temporal.db` in here, its log `temporal.log`. */
  readonly directory: string;
  /** Preferred, 7233 unless given; the next free one is taken instead. A throwaway server without one takes any. */
  readonly port?: number;
  /** Preferred, 8233 unless given. A throwaway server without one has no UI. */
  readonly uiPort?: number;
  /** Exactly these: a server that comes back must be found where it was. */
  readonly fixedPorts?: { readonly port: number; readonly uiPort: number | undefined };
  /** Any port, no UI unless a port is given, nothing synced to the disk: for tests. */
  readonly throwaway?: boolean;
  /** Made beside `default`, with the search attributes. */
  readonly namespaces?: readonly string[];
  readonly ports?: PortFinder;
  readonly progress?: Progress;
  /** The program, when it was found before. */
  readonly program?: string;
  readonly find?: FindOptions;
};

/** A running Temporal dev server. */
export type TemporalServer = {
  /** `host:port` */
  readonly address: string;
  readonly port: number;
  /** The Web UI, or undefined when it has none. */
  readonly ui: string | undefined;
  readonly uiPort: number | undefined;
  readonly pid: number;
  /** The program it runs, also usable as CLI. */
  readonly program: string;
  readonly ended: Promise<string>;
  readonly stop: () => Promise<void>;
  readonly kill: () => Promise<void>;
};

const READY_MS = 60_000;
const TRIES = 4;

/** Starts the dev server, keeping its data, and waits until it answers. Throws one error that shows its last lines. */
export async function startTemporal(options: TemporalOptions): Promise<TemporalServer> {
  const { throwaway = false, progress = createProgress({ quiet: true }), ports = portFinder(), namespaces = [] } = options;
  const program = options.program ?? (await findTemporal({ progress, ...options.find })).path;
  return progress.during('Starting Temporal', async (step) => {
    for (let attempt = 1; ; attempt += 1) {
      const { port, uiPort } = options.fixedPorts ?? (await choosePorts(options, ports));
      const process = await run({
        command: program,
        arguments: serverArguments({ port, uiPort, throwaway, namespaces, file: join(options.directory, 'temporal.db') }),
        logFile: join(options.directory, 'temporal.log'),
        directory: options.directory,
      });
      const address = `127.0.0.1:${port}`;
      const failure = await waitUntilHealthy(process, address, namespaces.at(-1) ?? 'default');
      if (failure === undefined) {
        step.done(`Temporal listens on port ${port}`);
        return {
          address,
          port,
          ui: uiPort === undefined ? undefined : `http://127.0.0.1:${uiPort}`,
          uiPort,
          pid: process.pid,
          program,
          ended: process.ended,
          stop: () => process.stop('SIGTERM', 15_000),
          kill: () => process.kill(),
        };
      }
      await process.stop();
      if (attempt >= TRIES || !/address already in use/i.test(failure)) throw explain(failure, options.directory);
    }
  });
}

async function choosePorts({ throwaway = false, port, uiPort }: TemporalOptions, ports: PortFinder) {
  return {
    port: throwaway && port === undefined ? await ports.any() : await ports.near(port ?? 7233),
    uiPort: throwaway && uiPort === undefined ? undefined : await ports.near(uiPort ?? 8233),
  };
}

type ServerArguments = {
  readonly port: number;
  readonly uiPort: number | undefined;
  readonly throwaway: boolean;
  readonly namespaces: readonly string[];
  readonly file: string;
};

function serverArguments({ port, uiPort, throwaway, namespaces, file }: ServerArguments): readonly string[] {
  return [
    'server',
    'start-dev',
    '--ip',
    '127.0.0.1',
    '--port',
    String(port),
    '--log-level',
    'warn',
    ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]),
    '--db-filename',
    file,
    '--sqlite-pragma',
    'journal_mode=wal',
    '--sqlite-pragma',
    `synchronous=${throwaway ? 'off' : 'normal'}`,
    ...namespaces.flatMap((namespace) => ['--namespace', namespace]),
    // Given here too they are known from the first moment; added later the server may take seconds to see them.
    ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, kind]) => ['--search-attribute', `${name}=${kind}`]),
  ];
}

/** Undefined once its namespace answers, or its log when it ended or did not answer in time. */
async function waitUntilHealthy(process: Running, address: string, namespace: string): Promise<string | undefined> {
  for (const until = Date.now() + READY_MS; Date.now() < until;) {
    if (!process.alive()) return process.tail(30);
    try {
      const { connection } = await connectClient({ address, namespace, tls: false, apiKey: undefined }, 2_000);
      try {
        await connection.withDeadline(Date.now() + 2_000, () => connection.workflowService.describeNamespace({ namespace }));
        return process.alive() ? undefined : process.tail(30);
      } finally {
        await connection.close();
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return `${process.tail(30)}\nit did not answer within ${READY_MS / 1000} s`;
}

function explain(log: string, directory: string): Error {
  if (/no space left|database or disk is full/i.test(log)) {
    return new Error('Temporal did not start: no space left on the disk. Free some and start again; its data is kept.');
  }
  const last = log
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-5)
    .join('\n  ');
  return new Error(`Temporal did not start. The last lines of ${join(directory, 'temporal.log')}:\n  ${last}`);
}
