import type { Capabilities } from '@trunkline/channel-sdk';
import { MAX_SAID_BYTES, MAX_TEXT } from './said.ts';

/** What the engine may rely on. No HTML in either direction: what anybody writes is text, in the widget too. */
export const CAPABILITIES: Capabilities = {
  identities: ['visitor'],
  address: 'opaque',
  threading: 'participant',
  joinsParticipantsOnly: false,
  inbound: ['page'],
  maxDeliveryBytes: MAX_SAID_BYTES,
  outbound: 'reply',
  outboundContent: { maxTextLength: MAX_TEXT, html: false, subject: false, attachments: null },
  receipts: ['read'],
  windows: [],
  templates: false,
  typing: true,
  live: true,
  shownByPage: true,
  chatflows: true,
  quickReplies: { maxCount: 10, maxLength: 80 },
  repliesThrough: 'email-address',
  routing: { group: 'messaging', defaultMethod: 'least-busy' },
  sendRate: {},
  movable: { allowed: true },
  callControl: false,
};
