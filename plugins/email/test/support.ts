import type { ChannelInfo, Identity, InboundMessage, OutboundMessage, PluginContext, RawDelivery, ReceiptEvent } from '@trunkline/channel-sdk';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from '../parse.ts';
import { settingsSchema, type EmailSettings } from '../settings.ts';

/** Settings as an admin types them, with SMTP on this machine. */
export function typedSettings(port = 2525): Record<string, unknown> {
  return {
    kind: 'other',
    address: 'Support@Acme.example',
    smtp: { host: '127.0.0.1', port, secure: 'none' },
    fromName: 'agent-and-company',
    companyName: 'Acme',
    inboundDomain: 'in.trunkline.example',
  };
}

/** A connected channel. */
export function channel(more: Record<string, unknown> = {}, port?: number): ChannelInfo<EmailSettings> {
  const settings = settingsSchema.parse({ ...typedSettings(port), ...more });
  return { key: 'support-1', address: settings.address, name: 'Support', enabled: true, settings };
}

/** What a plugin's functions get; log lines are kept. */
export function pluginContext(info: ChannelInfo<EmailSettings> = channel()): PluginContext<EmailSettings> & { readonly lines: string[] } {
  const lines: string[] = [];
  return {
    channel: info,
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
    sign: (text) => createHash('sha256').update(text).digest('hex').slice(0, 52),
    fetch: () => Promise.reject(new Error('the email plugin speaks no HTTP')),
    log: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
    signal: new AbortController().signal,
    lines,
  };
}

/** A delivery as the listener makes it. */
export function delivery(body: Uint8Array | string, headers: Record<string, string> = {}): RawDelivery {
  return {
    method: 'SMTP',
    url: 'smtp:/support-1',
    headers: { 'mail-from': 'ben@customer.example', 'rcpt-to': 'support-1@in.trunkline.example', ...headers },
    body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
    receivedAt: '2026-01-02T03:04:05.000Z',
  };
}

/** Everything a mail gives: one message, and receipts where it reports what became of ours. */
export async function events(
  body: Uint8Array | string,
  headers: Record<string, string> = {},
  info?: ChannelInfo<EmailSettings>,
): Promise<{ readonly message: InboundMessage; readonly receipts: readonly ReceiptEvent[] }> {
  const [message, ...others] = await parse(delivery(body, headers), pluginContext(info));
  const receipts = others.filter((event) => event.type === 'receipt');
  if (message?.type !== 'message' || receipts.length < others.length) throw new Error('a mail is one message');
  return { message, receipts };
}

/** The one message a mail gives. */
export async function parsed(body: Uint8Array | string, headers: Record<string, string> = {}, info?: ChannelInfo<EmailSettings>): Promise<InboundMessage> {
  return (await events(body, headers, info)).message;
}

/** Seconds of work of this process that something takes: whoever else is busy on the machine does not count. */
export async function secondsOfWork(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000_000;
}

/** A mail of `fixtures/`, with the line ends mail has. */
export function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/${name}.eml`, import.meta.url), 'utf8').replaceAll('\n', '\r\n');
}

export function person(value: string, name?: string): Identity {
  return { kind: 'email-address', value, ...(name === undefined ? {} : { name }) };
}

/** A reply of Ada's. */
export function reply(more: Partial<OutboundMessage> = {}): OutboundMessage {
  return {
    id: '0198c0de-0000-7000-8000-000000000001',
    kind: 'reply',
    to: person('ben@customer.example', 'Ben Carter'),
    cc: [],
    subject: 'The lamp is broken',
    text: 'We send you a new one.',
    html: null,
    author: { fullName: 'Ada Lindqvist', firstName: 'Ada', lastName: 'Lindqvist' },
    sender: 'person',
    precedingIds: ['<first@customer.example>'],
    inReplyTo: '<first@customer.example>',
    attachments: [],
    ...more,
  };
}
