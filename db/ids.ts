import * as crypto from 'node:crypto';

/** A new UUID v7: ids grow with time, so indexes grow at their end. */
export function newId(): string {
  return crypto.randomUUIDv7();
}
