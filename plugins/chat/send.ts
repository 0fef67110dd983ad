import { ChannelFailure, outboundRefusal, type OutboundMessage, type PluginContext, type SendReceipt } from '@trunkline/channel-sdk';
import { CAPABILITIES } from './capabilities.ts';
import type { ChatSettings } from './settings.ts';

/** Nothing goes anywhere: the visitor's page reads the message from the engine, which shows it as soon as it is written. */
export async function send(message: OutboundMessage, context: PluginContext<ChatSettings>): Promise<SendReceipt> {
  const refusal = outboundRefusal(message, CAPABILITIES, context.now());
  if (refusal !== undefined) throw new ChannelFailure(refusal);
  return { providerMessageId: message.id, keys: [], state: 'sent' };
}
