/** How deep a plugin's answer may be; a deeper one does not fit the contract anyway. */
const DEPTH = 12;

/**
 * The same value with every string one that PostgreSQL can keep: without NUL, and without half surrogate pairs, which any sender can put into a
 * mail and which would fail the transaction. Everything but plain objects, arrays and strings is left to the check that follows.
 */
export function cleanText(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return value.replaceAll('\0', '').toWellFormed();
  if (typeof value !== 'object' || value === null || depth > DEPTH) return value;
  if (Array.isArray(value)) return value.map((one) => cleanText(one, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const cleaned: Record<string, unknown> = {};
  // What is not there and what is undefined are the same to the engine, and only the first is in the contract.
  for (const [key, one] of Object.entries(value)) if (one !== undefined) cleaned[key] = cleanText(one, depth + 1);
  return cleaned;
}
