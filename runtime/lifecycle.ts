/** How a process ends. */
export type Lifecycle = {
  /**
   * Registers what must be closed. Called in reverse order of registration, so what was opened last is closed
   * first. A function that fails or takes too long is reported and the next one is called.
   */
  readonly onShutdown: (name: string, close: () => Promise<void> | void) => void;
  /** Closes everything once, whoever asks and however often; resolves with whether all of it ended well. */
  readonly shutdown: (reason: string) => Promise<boolean>;
  /** True from the first request to stop: `/readyz` then answers no. */
  readonly stopping: () => boolean;
};

/** What a lifecycle needs to know. */
export type LifecycleOptions = {
  /** Milliseconds one closing function may take. */
  readonly timeoutMs?: number;
  /** Told what goes on: the signal, and each function that failed by name. */
  readonly onMessage?: (message: string) => void;
  /** Ends the process; replaced in tests. */
  readonly exit?: (code: number) => void;
  /** Signals that stop the process; empty in tests. */
  readonly signals?: readonly NodeJS.Signals[];
};

/**
 * Closes a process in order on SIGINT and SIGTERM, then exits with 0, or with 1 when something did not close. A
 * second signal changes nothing: a terminal and npm both send one for a single Ctrl-C, and every step is time-boxed.
 */
export function createLifecycle(options: LifecycleOptions = {}): Lifecycle {
  const { timeoutMs = 20_000, onMessage = () => {}, signals = ['SIGINT', 'SIGTERM'] } = options;
  const exit = options.exit ?? ((code: number) => process.exit(code));
  const closers: { name: string; close: () => Promise<void> | void }[] = [];
  let running: Promise<boolean> | undefined;

  async function closeAll(): Promise<boolean> {
    let clean = true;
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
      const outcome = await within(closer.close, timeoutMs);
      if (outcome === 'closed') continue;
      clean = false;
      onMessage(outcome === 'late' ? `${closer.name} did not stop within ${timeoutMs / 1000} s` : `${closer.name} failed to stop (${outcome})`);
    }
    return clean;
  }

  const shutdown = (reason: string): Promise<boolean> => {
    if (running === undefined) {
      onMessage(`stopping: ${reason}`);
      running = closeAll();
    }
    return running;
  };

  for (const signal of signals) {
    process.on(signal, () => {
      if (running !== undefined) return;
      void shutdown(signal).then((clean) => exit(clean ? 0 : 1));
    });
  }

  return {
    onShutdown: (name, close) => void closers.push({ name, close }),
    shutdown,
    stopping: () => running !== undefined,
  };
}

/** `closed`, `late`, or the name of what it threw; its message may hold what no log may. */
async function within(close: () => Promise<void> | void, timeoutMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('late'), timeoutMs);
  });
  const closed = (async () => {
    try {
      await close();
      return 'closed';
    } catch (error) {
      return error instanceof Error ? error.name : typeof error;
    }
  })();
  try {
    return await Promise.race([closed, late]);
  } finally {
    clearTimeout(timer);
  }
}
