import { ChannelFailure, isChannelFailure, type OutboundMessage, type PluginContext, type SendReceipt } from '@trunkline/channel-sdk';
import type { Settings } from './settings.ts';

/** Characters the provider takes in one message. */
export const MAX_TEXT_LENGTH = 2_000;

/** One call, once: whether and when to try again is the engine's decision, by the failure thrown here. */
export async function send(message: OutboundMessage, context: PluginContext<Settings>): Promise<SendReceipt> {
  if (message.text.length > MAX_TEXT_LENGTH) throw new ChannelFailure({ code: 'Rejected', reason: 'text too long' });
  const { apiUrl, apiToken, account } = context.channel.settings;
  let response: Response;
  try {
    response = await context.fetch(`${apiUrl}/messages`, {
      method: 'POST',
      // The id is the same at every try, so a provider that knows the header never sends a message twice.
      headers: { authorization: `Bearer ${apiToken}`, 'content-type': 'application/json', 'idempotency-key': message.id },
      body: JSON.stringify({ from: account, to: message.to.value, text: message.text }),
      signal: context.signal,
    });
  } catch (error) {
    // No connection was made: certainly not sent, so the engine may try again.
    if (isChannelFailure(error)) throw error;
    // It may have arrived before the line broke. Never say "Unavailable" here: the customer would get it twice.
    throw new ChannelFailure({ code: 'MaybeSent', reason: 'no answer' });
  }
  if (!response.ok) throw refusal(response);
  return { providerMessageId: await idOf(response), keys: [], state: 'sent' };
}

function refusal({ status, headers }: Response): ChannelFailure {
  if (status === 401 || status === 403) return new ChannelFailure({ code: 'Disconnected', reason: `http ${status}` });
  if (status === 429) {
    const seconds = Number(headers.get('retry-after') ?? Number.NaN);
    return new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: Number.isFinite(seconds) && seconds > 0 ? seconds : 30 });
  }
  // Our provider promises that a 503 took nothing; of other errors of its own nobody knows.
  if (status === 503) return new ChannelFailure({ code: 'Unavailable', reason: 'http 503' });
  if (status >= 500) return new ChannelFailure({ code: 'MaybeSent', reason: `http ${status}` });
  return new ChannelFailure({ code: 'Rejected', reason: `http ${status}` });
}

async function idOf(response: Response): Promise<string> {
  try {
    const answer: unknown = await response.json();
    if (typeof answer === 'object' && answer !== null && 'id' in answer && typeof answer.id === 'string') return answer.id;
  } catch {
    // Said below.
  }
  throw new ChannelFailure({ code: 'MaybeSent', reason: 'an answer without an id' });
}
