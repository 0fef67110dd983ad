import { ChannelFailure, type OutboundMessage, type PluginContext, type ReservedIds, type SendReceipt } from '@trunkline/channel-sdk';
import { replyId } from './message-id.ts';
import { render, type LoadedAttachment } from './render.ts';
import type { EmailSettings } from './settings.ts';
import { SMTP_TIMEOUTS, talk, type SmtpTimeouts, type SmtpWork } from './smtp-client.ts';
import { replyToken, tokenKey } from './token.ts';

/** Message-ID and token are ours to choose, so an answer finds its conversation even if we never learned that the mail went out. */
export function reserve(message: OutboundMessage, context: PluginContext<EmailSettings>): ReservedIds {
  const id = replyId(message.id, context.channel.settings.address);
  return { providerMessageId: id, keys: [id, tokenKey(replyToken(message.id, context.sign))] };
}

/** Hands one mail to the account's SMTP server. `sent` means that server has it, not that it arrived. */
export async function send(message: OutboundMessage, context: PluginContext<EmailSettings>, timeouts: SmtpTimeouts = SMTP_TIMEOUTS): Promise<SendReceipt> {
  const { settings } = context.channel;
  const mail = await prepared(async () => render(message, context, await load(message), context.now()));
  const info = await talk(settings, { mail }, context.signal, timeouts);
  const refused = info?.rejectedErrors ?? [];
  if (refused.length > 0) {
    // SMTP has no way back once one recipient was taken: the others were not reached, the mail is out all the same.
    context.log('some recipients were refused', { message: message.id, count: refused.length, smtp: refused[0]?.responseCode ?? 0 });
  }
  const ids = reserve(message, context);
  // Microsoft 365 and Amazon SES put an id of their own in place of ours: answers name that one.
  const replaced = info?.serverMessageId;
  return { ...ids, keys: replaced === undefined ? ids.keys : [...ids.keys, replaced], state: 'sent' };
}

/** Whether the server still takes our login. */
export function check(context: PluginContext<EmailSettings>, timeouts: SmtpTimeouts = SMTP_TIMEOUTS): Promise<void> {
  return tried(context, {}, timeouts);
}

/** At connecting, and after an edit: a login or another From address that is refused is the admin's mistake, told at once (EMAIL-2). */
export async function connect(context: PluginContext<EmailSettings>, timeouts: SmtpTimeouts = SMTP_TIMEOUTS): Promise<void> {
  const { address, fromAddress } = context.channel.settings;
  const ask = fromAddress === undefined || fromAddress === address ? undefined : { from: fromAddress, to: address };
  try {
    await tried(context, ask === undefined ? {} : { ask }, timeouts);
  } catch (error) {
    if (!(error instanceof ChannelFailure) || error.failure.code !== 'Disconnected') throw error;
    throw new ChannelFailure({ code: 'Rejected', reason: error.failure.reason });
  }
}

/** After settings were edited: what only the server knows is asked again. Without another From address there is nothing to ask, and a server that is away keeps nobody from mending a signature. */
export async function update(context: PluginContext<EmailSettings>, timeouts: SmtpTimeouts = SMTP_TIMEOUTS): Promise<void> {
  const { address, fromAddress } = context.channel.settings;
  if (fromAddress !== undefined && fromAddress !== address) await connect(context, timeouts);
}

/** A session without a mail. Rejects with what says something of the channel; whatever else went wrong may be over in a minute. */
async function tried(context: PluginContext<EmailSettings>, work: Omit<SmtpWork, 'mail'>, timeouts: SmtpTimeouts): Promise<void> {
  try {
    await talk(context.channel.settings, work, context.signal, timeouts);
  } catch (error) {
    if (!(error instanceof ChannelFailure)) throw error;
    const { failure } = error;
    if (failure.code === 'Disconnected' || failure.code === 'Unavailable' || (failure.code === 'Rejected' && work.ask !== undefined)) throw error;
    throw new ChannelFailure({ code: 'Unavailable', reason: failure.code === 'Rejected' ? failure.reason : 'the SMTP server asked for patience' });
  }
}

/** Before a connection stands nothing can have been sent, whatever went wrong; the cause stays out, for it may quote the message. */
async function prepared<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ChannelFailure) throw error;
    throw new ChannelFailure({ code: 'Unavailable', reason: 'the mail could not be written' });
  }
}

function load(message: OutboundMessage): Promise<LoadedAttachment[]> {
  return Promise.all(
    message.attachments.map(async (attachment) => ({
      fileName: attachment.fileName,
      type: attachment.type,
      content: await attachment.read(),
      ...(attachment.contentId === undefined ? {} : { contentId: attachment.contentId }),
    })),
  );
}
