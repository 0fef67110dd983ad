const LONGEST_WAIT = 5_000;

/** What an open answer has said so far. */
export interface OpenStream {
  readonly status: number;
  text(): string;
  /** Whether it has said this, now or within some seconds. */
  says(words: string): Promise<boolean>;
  /** As a browser that goes to another page. */
  leave(): Promise<void>;
}

/** Reads what comes until somebody leaves. */
export function readStream(response: Response): OpenStream {
  let text = '';
  let over = false;
  const listeners = new Set<() => void>();
  const told = () => {
    for (const listener of listeners) listener();
  };
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const read = async () => {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) return;
      text += decoder.decode(value, { stream: true });
      told();
    }
  };
  void read()
    .catch(() => undefined)
    .finally(() => {
      over = true;
      told();
    });
  return {
    status: response.status,
    text: () => text,
    async says(words) {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, LONGEST_WAIT);
      const found = Promise.withResolvers<void>();
      const look = () => void ((text.includes(words) || over) && found.resolve());
      listeners.add(look);
      look();
      await Promise.race([found.promise, late.promise]);
      clearTimeout(timer);
      listeners.delete(look);
      return text.includes(words);
    },
    leave: async () => reader?.cancel().catch(() => undefined),
  };
}

/** Whether it comes true within some seconds. */
export async function soon(isSo: () => boolean): Promise<boolean> {
  for (let waited = 0; waited < LONGEST_WAIT && !isSo(); waited += 10) await new Promise((resolve) => setTimeout(resolve, 10));
  return isSo();
}
