import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createClientAddress } from '#api/client-address.ts';
import { parseNetwork } from '#runtime/network.ts';

function from(peer: string, forwarded?: string): [Request, IncomingMessage] {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: peer });
  return [new Request('http://localhost/', forwarded === undefined ? {} : { headers: { 'x-forwarded-for': forwarded } }), new IncomingMessage(socket)];
}

test('without trusted proxies the connection’s own address counts, whatever the client says [API-7]', () => {
  const addressOf = createClientAddress([]);
  expect(addressOf(...from('198.51.100.7', '1.1.1.1'))).toBe('198.51.100.7');
  expect(addressOf(...from('::ffff:198.51.100.7'))).toBe('198.51.100.7');
  expect(addressOf(new Request('http://localhost/'), undefined)).toBe('unknown');
});

test('behind trusted proxies it is the last address that is not theirs; what stands before it a stranger wrote [API-7]', () => {
  const addressOf = createClientAddress(['10.0.0.0/8', '192.0.2.1', 'fd00::/8']);
  expect(addressOf(...from('10.0.0.5', '198.51.100.7'))).toBe('198.51.100.7');
  expect(addressOf(...from('10.0.0.5', '6.6.6.6, 198.51.100.7, 192.0.2.1'))).toBe('198.51.100.7');
  expect(addressOf(...from('fd00::1', '198.51.100.7:4711'))).toBe('198.51.100.7');
  expect(addressOf(...from('10.0.0.5', '[2001:db8:1:2::9]:443'))).toBe('2001:db8:1:2::/64');
  // From an untrusted peer the header is not read; what is no address ends the reading.
  expect(addressOf(...from('198.51.100.9', '10.0.0.1'))).toBe('198.51.100.9');
  expect(addressOf(...from('10.0.0.5', '6.6.6.6, <script>'))).toBe('10.0.0.5');
  expect(addressOf(...from('10.0.0.5'))).toBe('10.0.0.5');
});

test('a network of IPv6 counts as one, however its addresses are written [API-7]', () => {
  const addressOf = createClientAddress([]);
  for (const address of ['2001:db8::1', '2001:0DB8:0:0:ffff::', '2001:db8:0:0:1:2:3:4', '2001:db8::192.0.2.1%eth0']) {
    expect(addressOf(...from(address)), address).toBe('2001:db8:0:0::/64');
  }
  expect(addressOf(...from('::1'))).toBe('0:0:0:0::/64');
});

test('networks are read, and what is none is not [API-7]', () => {
  expect(parseNetwork('10.0.0.0/8')).toEqual({ address: '10.0.0.0', bits: 8, family: 'ipv4' });
  expect(parseNetwork('::1')).toEqual({ address: '::1', bits: 128, family: 'ipv6' });
  for (const wrong of ['', '10.0.0.0/33', '10.0.0.0/8/8', 'proxy.example', '10.0.0.0/x']) expect(parseNetwork(wrong), wrong).toBeUndefined();
  expect(() => createClientAddress(['proxy.example'])).toThrow(TypeError);
});
