import type { Capabilities, IdentityKind } from '@trunkline/channel-sdk';

/** A channel as far as it matters to whom an answer can go through it. */
export interface ReplyOption {
  readonly channelId: string;
  readonly key: string;
  readonly connected: boolean;
  /** Null: this deployment no longer has its plugin. */
  readonly capabilities: Pick<Capabilities, 'identities' | 'outbound' | 'repliesThrough'> | null;
  /** Who answers has access to the place it lives in. */
  readonly workedIn: boolean;
}

/** A conversation that is to be answered. */
export interface ReplySituation {
  readonly current: ReplyOption;
  /** The key of the channel by which the current one's settings want answers to go; undefined: they name none. */
  readonly preferredKey: string | undefined;
  /** The current channel's page holds a conversation that goes on now, and the contact has it open no more (CHAT-6). */
  readonly visitorLeft: boolean;
  /** Kinds of identity the contact has, or gave to be answered at. */
  readonly contactKinds: readonly string[];
  /** Other connected channels by which the contact has written in this conversation: it has a thread there. */
  readonly threads: readonly ReplyOption[];
  /** All connected channels that can start a conversation. */
  readonly starters: readonly ReplyOption[];
}

/** Why no answer can go: `NONE_CONNECTED` and `CHOOSE_ONE` where answers go through another channel than the current one. */
export type ReplyRefusal =
  | 'CHANNEL_UNKNOWN'
  | 'CHANNEL_DISCONNECTED'
  | 'CHANNEL_CANNOT_SEND'
  | 'CHANNEL_CANNOT_START'
  | 'NO_CONTACT'
  | 'NONE_CONNECTED'
  | 'CHOOSE_ONE';

export type ReplyChoice = { readonly channelId: string } | { readonly refused: ReplyRefusal };

/**
 * The channel an answer goes through (FORM-3): the one that is asked for; else the current one where it can send and is not a page the contact has left;
 * else, where answers go through a kind of identity, the channel its settings prefer, else the only one there is. Where nobody can say which, or no address
 * is known, what was left still takes the answer: it is there when the contact comes back (CHAT-3).
 */
export function chooseReplyChannel(situation: ReplySituation, asked: string | null): ReplyChoice {
  const { current, starters } = situation;
  // What was disconnected is read and no longer answered (CH-10).
  if (!current.connected) return { refused: 'CHANNEL_DISCONNECTED' };
  if (asked === null) return byItself(situation);
  if (asked === current.channelId) return canSend(current) ? { channelId: asked } : { refused: 'CHANNEL_CANNOT_SEND' };
  const thread = threadOf(situation, asked);
  if (thread !== undefined) return mayUse(situation, thread) ? { channelId: asked } : { refused: 'CHANNEL_UNKNOWN' };
  const wanted = starters.find((one) => one.channelId === asked);
  if (wanted === undefined) return { refused: 'CHANNEL_CANNOT_START' };
  if (!mayUse(situation, wanted)) return { refused: 'CHANNEL_UNKNOWN' };
  return reaches(wanted, situation.contactKinds) ? { channelId: wanted.channelId } : { refused: 'NO_CONTACT' };
}

/** Every channel an answer may be asked to go through, the current one first; `isDefault`: the one it goes through where none is asked for. */
export function replyChannels(situation: ReplySituation): readonly { readonly channelId: string; readonly isDefault: boolean }[] {
  const { current, starters, contactKinds } = situation;
  if (!current.connected) return [];
  const chosen = byItself(situation);
  const others = [
    ...situation.threads.filter((one) => threadOf(situation, one.channelId) !== undefined && mayUse(situation, one)),
    ...starters.filter((one) => threadOf(situation, one.channelId) === undefined && mayUse(situation, one) && reaches(one, contactKinds)),
  ].filter((one) => one.channelId !== current.channelId);
  return [...(canSend(current) ? [current] : []), ...others].map(({ channelId }) => ({
    channelId,
    isDefault: 'channelId' in chosen && chosen.channelId === channelId,
  }));
}

function byItself(situation: ReplySituation): ReplyChoice {
  const { current } = situation;
  if (!canSend(current)) return elsewhere(situation);
  const away = situation.visitorLeft ? elsewhere(situation) : undefined;
  return away !== undefined && 'channelId' in away ? away : { channelId: current.channelId };
}

/** By the kind of identity through which answers go. */
function elsewhere(situation: ReplySituation): ReplyChoice {
  const { current, preferredKey, contactKinds } = situation;
  const kind = current.capabilities?.repliesThrough;
  if (kind === undefined) return { refused: 'CHANNEL_CANNOT_SEND' };
  if (!contactKinds.includes(kind)) return { refused: 'NO_CONTACT' };
  const fitting = situation.starters.filter((one) => sendsTo(one) === kind);
  if (fitting.length === 0) return { refused: 'NONE_CONNECTED' };
  const preferred = fitting.find((one) => one.key === preferredKey);
  const usable = fitting.filter((one) => one.workedIn);
  const [only] = preferred === undefined ? usable : [preferred];
  if (only === undefined) return { refused: 'NONE_CONNECTED' };
  return preferred === undefined && usable.length > 1 ? { refused: 'CHOOSE_ONE' } : { channelId: only.channelId };
}

/** A channel that can send and that the contact has written by, so that an answer there needs no kind of address. */
function threadOf({ threads }: ReplySituation, channelId: string): ReplyOption | undefined {
  return threads.find((one) => one.channelId === channelId && canSend(one));
}

/** The admin's choice is open to everybody who answers; any other channel only to those who work in its place. */
function mayUse({ preferredKey }: ReplySituation, option: ReplyOption): boolean {
  return option.workedIn || option.key === preferredKey;
}

function reaches(option: ReplyOption, contactKinds: readonly string[]): boolean {
  const kind = sendsTo(option);
  return kind !== undefined && contactKinds.includes(kind);
}

function sendsTo({ capabilities }: ReplyOption): IdentityKind | undefined {
  return capabilities?.outbound === 'start' ? capabilities.identities[0] : undefined;
}

function canSend({ capabilities }: ReplyOption): boolean {
  return capabilities !== null && capabilities.outbound !== 'none';
}
