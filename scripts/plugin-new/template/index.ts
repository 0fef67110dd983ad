import { CONTRACT_VERSION, definePlugin } from '@trunkline/channel-sdk';
import { parse } from './parse.ts';
import { MAX_TEXT_LENGTH, send } from './send.ts';
import { settings, type Settings } from './settings.ts';
import { verify } from './verify.ts';

/** New channel: signed webhooks in, calls of the provider's API out. */
export default definePlugin<Settings>({
  key: 'new-channel',
  name: 'New channel',
  contract: CONTRACT_VERSION,
  settings,
  secrets: ['signingSecret', 'apiToken'],
  address: ({ account }) => account,
  capabilities: {
    // What the provider knows people by: `phone-number` (E.164), `email-address`, `visitor`, or ids of its own.
    identities: ['scoped-id'],
    address: 'opaque',
    // One conversation with each person; `thread-id` where the provider names threads.
    threading: 'participant',
    joinsParticipantsOnly: false,
    inbound: ['webhook'],
    maxDeliveryBytes: 1_000_000,
    outbound: 'start',
    outboundContent: { maxTextLength: MAX_TEXT_LENGTH, html: false, subject: false, attachments: null },
    receipts: ['delivered', 'failed'],
    windows: [],
    templates: false,
    typing: false,
    routing: { group: 'messaging', defaultMethod: 'least-busy' },
    sendRate: {},
    movable: { allowed: true },
    callControl: false,
  },
  verify,
  parse,
  send,
});
