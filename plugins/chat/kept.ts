import type { PageContext } from '@trunkline/channel-sdk';
import type { ChatSettings } from './settings.ts';

/** What a stored delivery carries beside its body: whose it is, which the token proved, and what. */
export const KEPT = { visitor: 'x-chat-visitor', what: 'x-chat-what' } as const;

/** Takes in what was understood of what a visitor's page sent. False: it could not be stored. */
export async function keep(context: PageContext<ChatSettings>, what: 'message' | 'read', visitorId: string, body: Uint8Array): Promise<boolean> {
  try {
    await context.deliver({
      method: 'POST',
      url: `${context.pageUrl}/${what === 'message' ? 'messages' : 'read'}`,
      headers: { 'content-type': 'application/json', [KEPT.visitor]: visitorId, [KEPT.what]: what },
      body,
      receivedAt: new Date(context.now()).toISOString(),
    });
    return true;
  } catch {
    context.log('what a visitor sent could not be stored', { what });
    return false;
  }
}
