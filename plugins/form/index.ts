import { CONTRACT_VERSION, definePlugin } from '@trunkline/channel-sdk';
import { MAX_FILE_BYTES, MAX_FILES } from './field.ts';
import { attributes, markup } from './markup.ts';
import { page } from './page.ts';
import { extractAttachments, parse } from './parse.ts';
import { settingsSchema, type FormSettings } from './settings.ts';

/** All files at their largest, and two megabytes for what is typed and what multipart adds. */
const MAX_SUBMISSION_BYTES = MAX_FILES * MAX_FILE_BYTES + 2 * 1024 * 1024;

/** Forms: a page, an embed snippet and a JSON endpoint (FORM-2). A form sends nothing: answers go to the mail address that was given, through another channel (FORM-3). */
export default definePlugin<FormSettings>({
  key: 'form',
  name: 'Form',
  contract: CONTRACT_VERSION,
  settings: settingsSchema,
  secrets: [],
  capabilities: {
    identities: ['email-address'],
    address: 'opaque',
    threading: 'thread-id',
    joinsParticipantsOnly: false,
    inbound: ['page'],
    maxDeliveryBytes: MAX_SUBMISSION_BYTES,
    outbound: 'none',
    outboundContent: { maxTextLength: null, html: false, subject: false, attachments: null },
    inboundAttachments: { maxCount: MAX_FILES, maxBytes: MAX_FILE_BYTES, types: '*' },
    receipts: [],
    windows: [],
    templates: false,
    typing: false,
    repliesThrough: 'email-address',
    routing: { group: 'written', defaultMethod: 'random' },
    sendRate: {},
    movable: { allowed: true },
    callControl: false,
  },
  address: ({ formId }) => formId,
  parse,
  extractAttachments: (refs, raw) => extractAttachments(refs, raw),
  page,
  snippet: ({ title }, pageUrl) => markup`<script${attributes({ async: true, src: `${pageUrl}/embed.js`, 'data-title': title })}></script>`.text,
  replyChannel: ({ replyChannel }) => replyChannel,
});
