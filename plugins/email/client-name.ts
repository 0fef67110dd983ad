import { isIPv4, isIPv6 } from 'node:net';
import type { ListenContext } from '@trunkline/channel-sdk';

type ResolveDns = ListenContext<unknown>['resolveDns'];

/** Names of one address that are looked at; its owner could write thousands. */
const MOST_NAMES = 5;

/** Whether it is this machine itself. */
export function isLoopback(ip: string): boolean {
  return ip === '::1' || /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(ip);
}

/** The name of an address that DNS confirms both ways: its owner wrote the one, the domain's owner the other. Null: none, or DNS did not say. */
export async function clientName(ip: string, resolveDns: ResolveDns): Promise<string | null> {
  const reverse = reverseName(ip);
  if (reverse === undefined || isLoopback(ip)) return null;
  const names = await resolveDns(reverse, 'PTR').catch((): readonly unknown[] => []);
  for (const name of names.filter(isText).slice(0, MOST_NAMES)) {
    const addresses = await resolveDns(name, isIPv4(ip) ? 'A' : 'AAAA').catch((): readonly unknown[] => []);
    if (addresses.some((address) => typeof address === 'string' && reverseName(address) === reverse)) return name.toLowerCase().replace(/\.$/, '');
  }
  return null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function reverseName(ip: string): string | undefined {
  if (isIPv4(ip)) return `${ip.split('.').toReversed().join('.')}.in-addr.arpa`;
  if (!isIPv6(ip) || ip.includes('%')) return undefined;
  // A URL writes an IPv6 address in one way, without dots.
  const groups = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::');
  const [front = [], back = []] = groups.map((half) => (half === '' ? [] : half.split(':')));
  const all = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => '0'), ...back];
  const digits = all.map((group) => group.padStart(4, '0')).join('');
  return `${digits.split('').toReversed().join('.')}.ip6.arpa`;
}
