/** Every text within a value, one a line: strings, and what bytes say as UTF-8 and inside Base64. */
export function everyString(value: unknown): string {
  const found: string[] = [];
  walk(value, found, new Set());
  return found.join('\n');
}

function walk(value: unknown, found: string[], seen: Set<object>): void {
  if (typeof value === 'string') {
    found.push(value);
    if (/^[A-Za-z0-9+/]{8,}={0,2}$/.test(value)) found.push(Buffer.from(value, 'base64').toString());
    return;
  }
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  if (value instanceof Uint8Array) {
    found.push(Buffer.from(value).toString());
    return;
  }
  for (const [key, one] of Object.entries(value)) {
    found.push(key);
    walk(one, found, seen);
  }
}
