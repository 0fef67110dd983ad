import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';

/** What is made of the deployment's one secret. */
export interface Keys {
  /** Encrypts a channel's secret settings; the channel's key is bound in, so a row's secrets do not open in another row. */
  seal(channelKey: string, secrets: Readonly<Record<string, unknown>>): Buffer;
  /** Throws where the secret is another one, or the bytes were changed. */
  open(channelKey: string, sealed: Buffer): Record<string, unknown>;
  /** A keyed hash of a dedupe key: the same for the same key, and tells nothing of it. */
  hashEventKey(key: string): Buffer;
  /** A keyed hash for one channel's plugin: 52 lower-case letters and digits. */
  signFor(channelKey: string, text: string): string;
  /** The key behind `signFor`, for a parsing thread, which has no other. */
  signingKey(channelKey: string): Uint8Array;
  /** A keyed hash of what stands in a link that counts for a while: 52 lower-case letters and digits. */
  signLink(text: string): string;
  /** A keyed hash of a command's arguments, which can hold a password: without the key it can not be guessed from the row. */
  hashArguments(text: string): Buffer;
}

/** `secret`: at least 32 bytes, hex or base64. Throws without repeating it. */
export function keysFrom(secret: string): Keys {
  const bytes = /^[0-9a-f]{64,}$/i.test(secret) ? Buffer.from(secret, 'hex') : Buffer.from(secret, 'base64');
  if (bytes.length < 32) throw new Error('TRUNKLINE_SECRET: at least 32 bytes, as hex or base64');
  const sealing = Buffer.from(hkdfSync('sha256', bytes, '', 'trunkline channel secrets', 32));
  const hashing = Buffer.from(hkdfSync('sha256', bytes, '', 'trunkline event keys', 32));
  const linking = new Uint8Array(hkdfSync('sha256', bytes, '', 'trunkline links', 32));
  const signingKey = (channelKey: string): Uint8Array => new Uint8Array(hkdfSync('sha256', bytes, '', `trunkline channel signatures ${channelKey}`, 32));
  return {
    seal(channelKey, secrets) {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', sealing, iv).setAAD(Buffer.from(channelKey));
      const body = Buffer.concat([cipher.update(JSON.stringify(secrets), 'utf8'), cipher.final()]);
      return Buffer.concat([iv, cipher.getAuthTag(), body]);
    },
    open(channelKey, sealed) {
      const decipher = createDecipheriv('aes-256-gcm', sealing, sealed.subarray(0, 12)).setAAD(Buffer.from(channelKey));
      decipher.setAuthTag(sealed.subarray(12, 28));
      const text = Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]).toString('utf8');
      return JSON.parse(text) as Record<string, unknown>;
    },
    signingKey,
    signFor: (channelKey, text) => signText(signingKey(channelKey), text),
    signLink: (text) => signText(linking, text),
    hashArguments: (text) => createHmac('sha256', hashing).update('arguments\0').update(text).digest(),
    hashEventKey: (key) => createHmac('sha256', hashing).update(key).digest(),
  };
}

/** 52 characters of base32 (RFC 4648's alphabet, lower case, no padding): they survive in a mail address. */
export function signText(key: Uint8Array, text: string): string {
  const digest = createHmac('sha256', key).update(text).digest();
  let bits = BigInt(`0x${digest.toString('hex')}`) << 4n;
  let letters = '';
  for (let place = 0; place < 52; place += 1) {
    letters = BASE32.charAt(Number(bits & 31n)) + letters;
    bits >>= 5n;
  }
  return letters;
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** How a bearer token is stored. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
