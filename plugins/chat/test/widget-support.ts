/** What a browser keeps, as a plain object; `full`: it takes no more. */
export class FakeStorage implements Storage {
  [name: string]: unknown;
  readonly #texts = new Map<string, string>();
  #full = false;

  get length(): number {
    return this.#texts.size;
  }

  fill(full: boolean): void {
    this.#full = full;
  }

  getItem(key: string): string | null {
    return this.#texts.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    if (this.#full) throw new DOMException('no room', 'QuotaExceededError');
    this.#texts.set(key, value);
  }

  removeItem(key: string): void {
    this.#texts.delete(key);
  }

  key(index: number): string | null {
    return [...this.#texts.keys()][index] ?? null;
  }

  clear(): void {
    this.#texts.clear();
  }
}

/** Time that passes when it is told to: what was put off is done in order. */
export function fakeTime(): {
  readonly now: () => number;
  readonly later: (act: () => void, ms: number) => () => void;
  /** Lets it pass, and what is done meanwhile come to its end. */
  pass(ms: number): Promise<void>;
} {
  let clock = Date.parse('2026-03-01T12:00:00Z');
  const timers = new Set<{ readonly at: number; readonly act: () => void }>();
  return {
    now: () => clock,
    later(act, ms) {
      const timer = { at: clock + ms, act };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async pass(ms) {
      const until = clock + ms;
      await settled();
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= until).sort((one, other) => one.at - other.at);
        if (next === undefined) break;
        timers.delete(next);
        clock = Math.max(clock, next.at);
        next.act();
        await settled();
      }
      clock = until;
    },
  };
}

/** Everything that waits for nothing but promises has gone on. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 100; turns += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
