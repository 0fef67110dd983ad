import { CONTRACT_VERSION, definePlugin } from '@trunkline/channel-sdk';
import { CAPABILITIES } from './capabilities.ts';
import { page } from './page.ts';
import { parse } from './parse.ts';
import { preview } from './preview.ts';
import { send } from './send.ts';
import { settingsSchema, type ChatSettings } from './settings.ts';

/** Live chat: a widget on any page, in real time; once the visitor has left, answers go by mail through another channel (CHAT-1 to CHAT-6). */
export default definePlugin<ChatSettings>({
  key: 'chat',
  name: 'Chat',
  contract: CONTRACT_VERSION,
  settings: settingsSchema,
  secrets: [],
  capabilities: CAPABILITIES,
  address: ({ widgetId }) => widgetId,
  parse,
  send,
  page,
  preview,
  snippet: (_settings, pageUrl) => `<script async src="${pageUrl}/widget.js"></script>`,
  transcripts: ({ transcript: { onClose, from } }) => ({ onClose, ...(from === undefined ? {} : { from }) }),
  replyChannel: ({ replyChannel }) => replyChannel,
});
