import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Identity } from '@trunkline/channel-sdk';

type Sign = (text: string) => string;

const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
/** 130 bits. */
const ID_LETTERS = 26;

/** A token for somebody new. It proves nothing but that the same browser comes back: a random id, signed for this channel. */
export function issueToken(sign: Sign): string {
  // A letter holds five bits: of each byte that many.
  const id = [...randomBytes(ID_LETTERS)].map((byte) => LETTERS[byte % LETTERS.length]).join('');
  return `v1.${id}.${signature(id, sign)}`;
}

/** Who carries this token; undefined: nobody we know (CHAT-2). */
export function visitorOf(token: string, sign: Sign): Identity | undefined {
  const [, id, given] = /^v1\.([a-z2-7]{26})\.([0-9a-z]{52})$/.exec(token) ?? [];
  if (id === undefined || given === undefined) return undefined;
  const wanted = Buffer.from(signature(id, sign));
  const got = Buffer.from(given);
  return wanted.length === got.length && timingSafeEqual(wanted, got) ? visitorWith(id) : undefined;
}

export function visitorWith(id: string): Identity {
  return { kind: 'visitor', value: id };
}

function signature(id: string, sign: Sign): string {
  return sign(`chat visitor ${id}`);
}
