/** Texts by name that outlive the page, if the browser lets them. */
export interface Keep {
  get(name: string): string | null;
  /** Null forgets it. */
  set(name: string, value: string | null): void;
  /** Names that begin so, in order. */
  names(start: string): readonly string[];
}

/**
 * The page's own storage under one prefix. A browser may refuse it altogether (`SecurityError`) or a text more (full): what it refuses is kept
 * in memory, so the widget works all the same for as long as the page is open.
 */
export function keepIn(open: () => Storage, prefix: string): Keep {
  const memory = new Map<string, string | null>();
  const storage = attempt(open);
  return {
    get(name) {
      const held = memory.get(name);
      return held === undefined ? attempt(() => storage?.getItem(prefix + name) ?? null) : held;
    },
    set(name, value) {
      memory.delete(name);
      const done = attempt(() => {
        if (storage === null) return false;
        if (value === null) storage.removeItem(prefix + name);
        else storage.setItem(prefix + name, value);
        return true;
      });
      if (done !== true) memory.set(name, value);
    },
    names(start) {
      const stored = attempt(() => Array.from({ length: storage?.length ?? 0 }, (_one, at) => storage?.key(at) ?? '')) ?? [];
      const ours = stored.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
      const held = [...memory].filter(([, value]) => value !== null).map(([name]) => name);
      const gone = (name: string): boolean => memory.get(name) === null;
      return [...new Set([...ours, ...held])].filter((name) => name.startsWith(start) && !gone(name)).sort();
    },
  };
}

function attempt<T>(act: () => T): T | null {
  try {
    return act();
  } catch {
    return null;
  }
}
