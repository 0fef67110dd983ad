import { isDeepStrictEqual } from 'node:util';
import type { InboundEvent } from '../index.ts';
import type { ExpectedEvent } from './samples.ts';

/** Whether two values are the same, whatever the order of their fields. */
export function same(left: unknown, right: unknown): boolean {
  return isDeepStrictEqual(left, right);
}

/** Where events are not what is expected; undefined: they are. Names fields, not what stands in them. */
export function difference(expected: readonly ExpectedEvent[], events: readonly InboundEvent[]): string | undefined {
  if (expected.length !== events.length) return `${events.length} events in place of ${expected.length}`;
  for (const [index, wanted] of expected.entries()) {
    const where = unlike(wanted, events[index], `event ${index}`);
    if (where !== undefined) return where;
  }
  return undefined;
}

function unlike(wanted: unknown, given: unknown, where: string): string | undefined {
  if (!isRecord(wanted)) return same(wanted, given) ? undefined : `${where} is ${shown(given)}, not ${shown(wanted)}`;
  if (!isRecord(given) || Array.isArray(wanted) !== Array.isArray(given)) return `${where} is missing`;
  if (Array.isArray(wanted) && Array.isArray(given) && wanted.length !== given.length)
    return `${where} has ${given.length} entries in place of ${wanted.length}`;
  for (const [name, value] of Object.entries(wanted)) {
    const found = unlike(value, Object.hasOwn(given, name) ? given[name] : undefined, `${where}.${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Short: these are samples, not customers. */
function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 80);
}
