import type { AttachmentLimits, Capabilities } from './capabilities.ts';
import type { Failure } from './failures.ts';
import type { OutboundAttachment, OutboundMessage } from './outbound.ts';

const HOUR = 3_600_000;

/**
 * Why a message may not go out by what the plugin itself declares: text, attachments, the contact's window; undefined: it may. Reads no attachment.
 * For the first line of `send`: the engine checks the same before, but a minute may lie between. `now`: milliseconds since 1970.
 */
export function outboundRefusal(message: OutboundMessage, { outboundContent, windows }: Capabilities, now: number): Failure | undefined {
  const { maxTextLength, attachments: limits } = outboundContent;
  if (maxTextLength !== null && message.text.length > maxTextLength) return { code: 'Rejected', reason: `a text of more than ${maxTextLength} letters` };
  const problem = attachmentProblem(message.attachments, limits);
  if (problem !== undefined) return { code: 'Rejected', reason: problem };
  const own = windows.filter(({ sender }) => sender === message.sender).toSorted((left, right) => right.hours - left.hours);
  const [widest] = own;
  // Who never wrote here has no window to be outside of; whether such a message may begin a conversation, the engine knows.
  if (widest === undefined || message.lastInboundAt === undefined) return undefined;
  if (message.template !== undefined && own.some(({ afterwards }) => afterwards === 'template')) return undefined;
  const closedAt = Date.parse(message.lastInboundAt) + widest.hours * HOUR;
  return now < closedAt ? undefined : { code: 'OutsideWindow', closedAt: new Date(closedAt).toISOString() };
}

function attachmentProblem(attachments: readonly OutboundAttachment[], limits: AttachmentLimits | null): string | undefined {
  if (attachments.length === 0) return undefined;
  if (limits === null) return 'attachments can not be sent here';
  const { maxCount, maxBytes, maxTotalBytes = Infinity, types } = limits;
  if (attachments.length > maxCount) return `more than ${maxCount} attachments`;
  if (attachments.some(({ bytes }) => bytes > maxBytes)) return `an attachment of more than ${maxBytes} bytes`;
  if (attachments.reduce((sum, { bytes }) => sum + bytes, 0) > maxTotalBytes) return `attachments of more than ${maxTotalBytes} bytes together`;
  if (types !== '*' && attachments.some(({ type }) => !types.includes(type))) return 'an attachment of a type that can not be sent here';
  return undefined;
}
