import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { parseNetwork } from '#runtime/network.ts';

/** The address a request is counted under: IPv4 as it is, of IPv6 its network of 64 bits, for one customer has as many addresses as it likes. */
export type ClientAddress = (request: Request, incoming: IncomingMessage | undefined) => string;

/**
 * `trustedProxies`: addresses and networks (`10.0.0.0/8`) of one's own proxies. What `X-Forwarded-For` says is believed as far as a trusted proxy
 * wrote it, from the right; from anybody else it is not read. Throws where one of them is no address.
 */
export function createClientAddress(trustedProxies: readonly string[]): ClientAddress {
  const trusted = new BlockList();
  for (const one of trustedProxies) {
    const network = parseNetwork(one);
    if (network === undefined) throw new TypeError('a trusted proxy is neither an address nor a network');
    trusted.addSubnet(network.address, network.bits, network.family);
  }
  const isTrusted = (address: string) => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  return (request, incoming) => {
    let address = plain(incoming?.socket.remoteAddress ?? '');
    if (isIP(address) === 0) return 'unknown';
    if (trustedProxies.length > 0 && isTrusted(address)) {
      for (const hop of (request.headers.get('x-forwarded-for') ?? '').split(',').reverse()) {
        const before = plain(hop.trim());
        if (isIP(before) === 0) break;
        address = before;
        if (!isTrusted(address)) break;
      }
    }
    return isIP(address) === 6 ? network64(address) : address;
  };
}

/** Without brackets, port and zone; IPv4 that came over IPv6 is IPv4. */
function plain(address: string): string {
  const bare = /^\[([^\]]+)\](:\d+)?$/.exec(address)?.[1] ?? (/^\d+\.\d+\.\d+\.\d+:\d+$/.test(address) ? address.slice(0, address.lastIndexOf(':')) : address);
  return bare.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
}

function network64(address: string): string {
  const [head = '', tail] = address.toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    // An IPv4 end stands for two groups.
    const length = after.length + (tail.includes('.') ? 1 : 0);
    while (groups.length < 8 - length) groups.push('0');
    groups.push(...after);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
