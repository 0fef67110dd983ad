import { createHash } from 'node:crypto';
import { domainOf } from './address.ts';

const LONGEST_ID = 500;
const MOST_IDS = 50;

/** The ids of a header such as References, in its order, without repeats, at most 50: the first, which began the thread, and the last ones. */
export function messageIds(header: string | undefined): string[] {
  if (header === undefined) return [];
  const found: string[] = [];
  // Split by hand: a pattern with an open end is quadratic on a header of only "<".
  for (const piece of header.slice(0, 200_000).split('<').slice(1)) {
    const end = piece.indexOf('>');
    const id = end > 0 ? normalise(piece.slice(0, end)) : undefined;
    if (id !== undefined) found.push(id);
  }
  const [first, ...rest] = new Set(found);
  return first === undefined ? [] : [first, ...rest.slice(-(MOST_IDS - 1))];
}

/** The mail's own id; with none, or none that can be used: a hash of its bytes, so that the same bytes are the same mail (EMAIL-7). */
export function ownId(header: string | undefined, raw: Uint8Array): string {
  const bracketed = messageIds(header)[0];
  if (bracketed !== undefined) return bracketed;
  const bare = header === undefined || /[<>]/.test(header) ? undefined : normalise(header.trim());
  return bare ?? `sha256:${createHash('sha256').update(raw).digest('hex')}`;
}

/**
 * The key by which the same mail is known again, whatever way it comes: its Message-ID and a hash of what makes it this mail. Some senders give
 * every mail one Message-ID; by the hash the second of them is not taken for the first.
 */
export function dedupeKey(id: string, core: string): string {
  return isMessageId(id) ? `${id} ${core}` : id;
}

/** The Message-ID as headers have it, where the engine keeps a mail under more than that because its id was used before. */
export function messageIdOf(kept: string): string | undefined {
  const id = kept.split(' ', 1).join('');
  return isMessageId(id) ? id : undefined;
}

/** Whether it may stand in a header of ours: a hash may not. */
function isMessageId(id: string): boolean {
  return /^<[^<>\s\u0000-\u001f\u007f]+>$/u.test(id);
}

/** The id a mail of ours carries: the same at every try, so an answer finds it and a second copy can be told. */
export function replyId(messageId: string, channelAddress: string): string {
  const safe = /^[A-Za-z0-9-]{1,100}$/.test(messageId) ? messageId : createHash('sha256').update(messageId).digest('hex');
  return `<trunkline.${safe}@${domainOf(channelAddress)}>`;
}

function normalise(inner: string): string | undefined {
  // Some senders fold inside the brackets.
  const id = inner.replace(/\s+/g, '');
  if (id === '' || /[\u0000-\u001f\u007f]/.test(id)) return undefined;
  // A database index has its limits; a hash of a long id is as good a name.
  return id.length > LONGEST_ID ? `<long.${createHash('sha256').update(id).digest('hex')}>` : `<${id}>`;
}
