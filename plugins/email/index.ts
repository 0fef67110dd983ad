import { ChannelFailure, CONTRACT_VERSION, definePlugin, outboundRefusal, type Capabilities } from '@trunkline/channel-sdk';
import { extractAttachments } from './attachments.ts';
import { listen, MAX_MAIL_BYTES } from './listen.ts';
import { parse } from './parse.ts';
import { preview } from './preview.ts';
import { check, connect, reserve, send, update } from './send.ts';
import { settingsSchema, type EmailSettings } from './settings.ts';

const capabilities: Capabilities = {
  identities: ['email-address'],
  address: 'email-address',
  threading: 'thread-id',
  joinsParticipantsOnly: true,
  inbound: ['listener'],
  maxDeliveryBytes: MAX_MAIL_BYTES,
  outbound: 'start',
  outboundContent: {
    maxTextLength: null,
    html: true,
    subject: true,
    // Base64 makes four bytes of three: this stays under the 25 MB most servers take.
    attachments: { maxCount: 20, maxBytes: 15 * 1024 * 1024, maxTotalBytes: 18 * 1024 * 1024, types: '*' },
  },
  // Whatever fitted into a mail.
  inboundAttachments: { maxCount: 100, maxBytes: MAX_MAIL_BYTES, types: '*' },
  // What a bounce says of our mail.
  receipts: ['failed'],
  windows: [],
  templates: false,
  typing: false,
  routing: { group: 'written', defaultMethod: 'random' },
  sendRate: {},
  movable: { allowed: true },
  callControl: false,
};

/**
 * Team email, connected as *other*: mail is forwarded to our SMTP receiver and answered through the account's SMTP server.
 * There is no `findSent`: SMTP can not be asked what became of a mail.
 */
export default definePlugin<EmailSettings>({
  key: 'email',
  name: 'Email',
  contract: CONTRACT_VERSION,
  settings: settingsSchema,
  secrets: ['smtpPassword'],
  capabilities,
  address: (settings) => settings.address,
  parse,
  reserve,
  async send(message, context) {
    const refusal = outboundRefusal(message, capabilities, context.now());
    if (refusal !== undefined) throw new ChannelFailure(refusal);
    return send(message, context);
  },
  extractAttachments: (refs, raw) => extractAttachments(refs, raw),
  listen: (context) => listen(context),
  connect: (context) => connect(context),
  update: (context) => update(context),
  check: (context) => check(context),
  preview,
});
