import type { Client } from 'pg';
import { openConnection } from './database.ts';

export interface ListenOptions {
  /** Without a transaction pooler: behind one LISTEN hears nothing. */
  readonly directUrl: string;
  /** Shown in pg_stat_activity. */
  readonly name: string;
  readonly channels: readonly string[];
  readonly onNotification: (channel: string, payload: string) => void;
  /** Each time it listens anew: what was announced meanwhile was not heard. */
  readonly onListening?: () => void;
  readonly onProblem?: (error: unknown) => void;
}

/** Milliseconds until a lost connection is replaced. */
const AGAIN_MS = 1_000;

/** Listens for NOTIFY for as long as it is not closed: on one connection at a time, a lost one is replaced, however many ways it says that it is lost. */
export function startListening({ directUrl, name, channels, onNotification, onListening, onProblem }: ListenOptions): { close(): Promise<void> } {
  let closed = false;
  let client: Client | undefined;

  async function listen(): Promise<void> {
    if (closed) return;
    const connection = openConnection(directUrl, name);
    client = connection;
    let ended = false;
    const lost = () => {
      if (ended) return;
      ended = true;
      client = undefined;
      void connection.end().catch(() => undefined);
      if (!closed) setTimeout(() => void listen(), AGAIN_MS).unref();
    };
    // For good: unheard, a second error would end the process.
    connection.on('error', lost);
    connection.on('end', lost);
    connection.on('notification', ({ channel, payload }) => onNotification(channel, payload ?? ''));
    try {
      await connection.connect();
      await connection.query(channels.map((channel) => `listen ${channel}`).join('; '));
      onListening?.();
    } catch (error) {
      if (!closed) onProblem?.(error);
      lost();
    }
  }
  void listen();

  return {
    async close() {
      closed = true;
      await client?.end().catch(() => undefined);
    },
  };
}
