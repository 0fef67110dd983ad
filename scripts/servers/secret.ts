import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { decodeSecret } from '#runtime/environment.ts';

/**
 * The folder's own secret, made at its first start and kept in `secret` (only its owner may read it). Throws when the
 * file holds something else: a new secret would make every stored channel secret unreadable.
 */
export function folderSecret(directory: string): string {
  const file = join(directory, 'secret');
  if (!existsSync(file)) {
    const secret = randomBytes(32).toString('hex');
    writeFileSync(file, `${secret}\n`, { mode: 0o600, flag: 'wx' });
    return secret;
  }
  const secret = readFileSync(file, 'utf8').trim();
  if (decodeSecret(secret) === undefined) {
    throw new Error(`${file} does not hold 32 bytes as hex or base64. Bring the right one back; a new one cannot read stored channel secrets.`);
  }
  return secret;
}
