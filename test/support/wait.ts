/** How long and how often to look. */
export type WaitOptions = {
  /** Milliseconds after which the last failure is thrown; 120,000 unless given. */
  readonly timeoutMs?: number;
  /** Milliseconds between two looks. */
  readonly intervalMs?: number;
};

/**
 * Awaits a condition: calls the function until it neither throws nor answers false, and returns its answer. Throws
 * with the last failure as cause when the time is over.
 */
export async function eventually<Value>(
  look: () => Value | Promise<Value>,
  { timeoutMs = 120_000, intervalMs = 50 }: WaitOptions = {},
): Promise<Exclude<Awaited<Value>, false>> {
  const until = Date.now() + timeoutMs;
  for (;;) {
    let failure: unknown;
    try {
      const value = await look();
      if (isTrue(value)) return value;
      failure = new Error('it answered false');
    } catch (error) {
      failure = error;
    }
    if (Date.now() >= until) {
      const reason = failure instanceof Error ? failure.message : String(failure);
      throw new Error(`Still not so after ${timeoutMs} ms: ${reason}`, { cause: failure });
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

function isTrue<Value>(value: Value): value is Exclude<Value, false> {
  return value !== false;
}
