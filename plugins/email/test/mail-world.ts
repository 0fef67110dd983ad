import { generateKeyPairSync } from 'node:crypto';
import { dkimSign, sealMessage } from 'mailauth';
import type { RawDelivery } from '@trunkline/channel-sdk';
import { CHECKED_HEADER, readChecked, type Checked } from '../checked.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** Every domain of these tests signs with this key, selector `s1`. */
export const PRIVATE_KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const KEY_RECORD = `v=DKIM1; k=rsa; p=${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`;

/** A little DNS: `TXT name` to records. Every `s1._domainkey.…` has the key; what is not there does not exist. Counts its questions. */
export function fakeDns(records: Readonly<Record<string, readonly unknown[] | Error>> = {}) {
  const asked: string[] = [];
  const resolveDns = async (name: string, type: string): Promise<readonly unknown[]> => {
    asked.push(`${type} ${name}`);
    const found = records[`${type} ${name.toLowerCase()}`];
    if (found instanceof Error) throw found;
    if (found !== undefined) return found;
    if (type === 'TXT' && /^s\d+\._domainkey\./.test(name)) return [[KEY_RECORD]];
    throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  };
  return { resolveDns, asked };
}

export function dnsFailure(code: string): Error {
  return Object.assign(new Error('DNS did not answer'), { code });
}

/** The mail with a DKIM signature of that domain on top: by a broken hash, or over a part of the body only. */
export async function weaklySigned(mail: string, domain: string, weakness: 'sha1' | 'part'): Promise<string> {
  const signer = {
    signingDomain: domain,
    selector: 's1',
    privateKey: PRIVATE_KEY,
    ...(weakness === 'sha1' ? { algorithm: 'rsa-sha1' } : { maxBodyLength: 5 }),
  };
  const { signatures } = await dkimSign(mail, { ...signer, signatureData: [signer] });
  return `${signatures}${mail}`;
}

/** The mail with an ARC set of that sealer on top, which says it found `results`. */
export async function sealed(mail: string, sealer: string, results: string, i = 1): Promise<string> {
  const set = await sealMessage(mail, {
    signingDomain: sealer,
    selector: 's1',
    privateKey: PRIVATE_KEY,
    i,
    cv: i === 1 ? 'none' : 'pass',
    authResults: results,
  });
  return `${set.toString()}${mail}`;
}

/** What the receiver found out. */
export function checkedOf(raw: RawDelivery | undefined): Checked {
  const checked = readChecked(raw?.headers[CHECKED_HEADER]);
  if (checked === undefined) throw new Error('the receiver left nothing that can be read');
  return checked;
}
