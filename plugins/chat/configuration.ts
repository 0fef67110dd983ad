import { isOpen, type PageContext } from '@trunkline/channel-sdk';
import type { ChatSettings } from './settings.ts';

/** What a widget is told before anybody opens it: nothing that is not for everybody's eyes. */
export async function configurationOf(context: PageContext<ChatSettings>): Promise<Readonly<Record<string, unknown>>> {
  const { enabled, settings } = context.channel;
  const { title, accent, position, avatar, greeting, awayMessage, asksEmail, transcript, closedMessage } = settings;
  return {
    name: title,
    accent,
    position,
    avatarUrl: avatar ?? null,
    // Off: nothing is said by itself (CH-9).
    greeting: enabled ? (greeting ?? null) : null,
    enabled,
    available: await isAvailable(context),
    awayMessage,
    asksEmail,
    transcript: transcript.onRequest,
    closedMessage,
  };
}

/** Whether visitors are told that somebody is there (CHAT-3). */
export async function isAvailable(context: PageContext<ChatSettings>): Promise<boolean> {
  const { enabled, settings } = context.channel;
  if (!enabled) return false;
  switch (settings.availability) {
    case 'always':
      return true;
    case 'hours':
      return settings.hours !== undefined && isOpen(settings.hours, context.now());
    case 'agents':
      return context.available();
    default:
      return settings.availability satisfies never;
  }
}
