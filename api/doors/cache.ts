interface Entry<Value> {
  readonly until: number;
  readonly value: Promise<Value | undefined>;
}

const MOST = 5_000;

/** Remembers for so many milliseconds what `load` gave for a key; of many who ask at once one loads. What is not there, or failed, is asked for again. */
export function createCache<Value>(load: (key: string) => Promise<Value | undefined>, rememberMs: number): (key: string) => Promise<Value | undefined> {
  const entries = new Map<string, Entry<Value>>();
  return (key) => {
    const now = performance.now();
    const known = entries.get(key);
    if (known !== undefined && known.until > now) return known.value;
    // Made-up keys must not fill the memory.
    if (entries.size >= MOST) entries.clear();
    const value = load(key);
    const entry = { until: now + rememberMs, value };
    entries.set(key, entry);
    const forget = (): void => {
      if (entries.get(key) === entry) entries.delete(key);
    };
    // One just connected is there at once, and a failure is asked about again.
    value.then((found) => found ?? forget(), forget);
    return value;
  };
}
