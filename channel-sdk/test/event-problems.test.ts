import { expect, test } from 'vitest';
import type { InboundEvent } from '../index.ts';
import { eventProblems } from '../testing/event-problems.ts';
import { capabilities } from './fake-plugin.ts';

const contact = { kind: 'visitor', value: 'v-1' } as const;
const message = {
  type: 'message',
  direction: 'inbound',
  dedupeKey: 'm-1',
  providerMessageId: 'm-1',
  contact,
  participants: [],
  thread: { joins: [], keys: ['t-1'] },
  text: 'Hello',
  attachments: [],
} as const;
const able = { ...capabilities, typing: true, consent: true, receipts: ['read'], inbound: ['catch-up'] } as const;

test.each<readonly [string, InboundEvent]>([
  ['a message', message],
  ['a receipt', { type: 'receipt', dedupeKey: 'r', providerMessageId: 'm-1', state: 'read' }],
  ['typing', { type: 'typing', dedupeKey: 't', contact }],
  ['a watermark', { type: 'watermark', dedupeKey: 'w', contact, state: 'read', through: '2026-01-02T03:04:05Z' }],
  ['consent', { type: 'consent', dedupeKey: 'c', contact, purpose: 'processing', given: false }],
  ['presence', { type: 'presence', dedupeKey: 'p', contact, here: true }],
  ['a call', { type: 'call', dedupeKey: 'k', providerMessageId: 'k', direction: 'inbound', contact: null, phase: 'ended', durationSeconds: 0 }],
  ['an identity that changed', { type: 'identity-changed', dedupeKey: 'i', old: contact, new: { kind: 'visitor', value: 'v-2' } }],
  ['one more identity', { type: 'identity-added', dedupeKey: 'a', contact, added: { kind: 'email-address', value: 'eva@example.org' } }],
  ['something to fetch', { type: 'catch-up', dedupeKey: 'f', why: 'gap' }],
  ['health', { type: 'health', dedupeKey: 'h', health: 'DEGRADED', reason: 'slow' }],
])('%s as the contract has it is no problem [PLUG-4]', (_name, event) => {
  expect(eventProblems([event], able)).toEqual([]);
});

test.each<readonly [string, object, string]>([
  ['a message without its id', { ...message, providerMessageId: '' }, 'providerMessageId is missing'],
  ['a message no answer finds', { ...message, thread: { joins: [], keys: [] } }, 'thread.keys is empty'],
  ['a message of somebody undeclared', { ...message, contact: { kind: 'phone-number', value: '+49301' } }, 'contact.kind is not among'],
  ['a message with a letter no database stores', { ...message, text: 'a\0b' }, 'text holds a letter no database stores'],
  ['a date that is none', { ...message, occurredAt: 'yesterday' }, 'occurredAt is not ISO 8601'],
  ['a receipt nobody declared', { type: 'receipt', providerMessageId: 'm-1', state: 'delivered' }, 'state "delivered" is not among'],
  ['a watermark at no time', { type: 'watermark', contact, state: 'read', through: 'now' }, 'through is not ISO 8601'],
  ['a watermark nobody declared', { type: 'watermark', contact, state: 'delivered', through: '2026-01-02T03:04:05Z' }, 'state "delivered" is not among'],
  ['consent to nothing', { type: 'consent', contact, purpose: 'cookies', given: true }, 'purpose is none'],
  ['consent that says neither', { type: 'consent', contact, purpose: 'processing', given: 'yes' }, 'given is neither'],
  ['presence that says neither', { type: 'presence', contact, here: 1 }, 'here is neither'],
  ['a call in no phase', { type: 'call', providerMessageId: 'k', direction: 'inbound', contact, phase: 'humming' }, 'phase is none'],
  ['a call without its id', { type: 'call', providerMessageId: '', direction: 'inbound', contact, phase: 'ended' }, 'providerMessageId is missing'],
  [
    'a call shorter than nothing',
    { type: 'call', providerMessageId: 'k', direction: 'inbound', contact, phase: 'ended', durationSeconds: -1 },
    'durationSeconds is no',
  ],
  ['a change to the same', { type: 'identity-changed', old: contact, new: contact }, 'old and new are the same'],
  ['one more identity of no kind', { type: 'identity-added', contact, added: { kind: 'name', value: 'Eva' } }, 'added is no identity'],
  ['something to fetch for no reason', { type: 'catch-up', why: 'boredom' }, 'why is none'],
  ['health that is none', { type: 'health', health: 'FINE', reason: 'x' }, 'health is none'],
  ['health without a reason', { type: 'health', health: 'DEGRADED', reason: '' }, 'reason is missing'],
  ['an event the contract does not have', { type: 'wink' }, 'type is none of the contract'],
])('%s is named [PLUG-4]', (_name, event, says) => {
  expect(eventProblems([{ dedupeKey: 'x', ...event } as InboundEvent], able).join('; ')).toContain(says);
});

test('what is not declared is named: typing, consent, catch-up [PLUG-3]', () => {
  const events: readonly InboundEvent[] = [
    { type: 'typing', dedupeKey: '1', contact },
    { type: 'consent', dedupeKey: '2', contact, purpose: 'processing', given: true },
    { type: 'catch-up', dedupeKey: '3', why: 'news' },
  ];
  expect(eventProblems(events, capabilities)).toEqual([
    'event 0: typing is not declared',
    'event 1: consent to processing is not declared',
    'event 2: catch-up is not declared',
  ]);
});

test('two events with one dedupeKey are named: the second would be lost [MODEL-4]', () => {
  expect(eventProblems([message, message], able)).toEqual([expect.stringContaining('share a dedupeKey')]);
});
