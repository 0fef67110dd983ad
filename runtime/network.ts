import { isIP } from 'node:net';

export interface Network {
  readonly address: string;
  readonly bits: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`; undefined where it is none. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  const most = version === 6 ? 128 : 32;
  if (version === 0 || rest.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits)) || Number(bits ?? most) > most) return undefined;
  return { address, bits: Number(bits ?? most), family: version === 6 ? 'ipv6' : 'ipv4' };
}
