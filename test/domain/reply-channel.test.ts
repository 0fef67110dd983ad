import { expect, it } from 'vitest';
import { chooseReplyChannel, replyChannels, type ReplyOption, type ReplySituation } from '#domain/reply-channel.ts';

const mail = { identities: ['email-address'], outbound: 'start' } as const;
const phone = { identities: ['phone-number'], outbound: 'start' } as const;
const silent = { identities: ['email-address'], outbound: 'none', repliesThrough: 'email-address' } as const;

const option = (channelId: string, capabilities: ReplyOption['capabilities'], more: Partial<ReplyOption> = {}): ReplyOption => ({
  channelId,
  key: `key-${channelId}`,
  connected: true,
  capabilities,
  workedIn: true,
  ...more,
});

function situation(more: Partial<ReplySituation> = {}): ReplySituation {
  return {
    current: option('page', silent),
    preferredKey: undefined,
    visitorLeft: false,
    threads: [],
    contactKinds: ['email-address'],
    starters: [option('a', mail)],
    ...more,
  };
}

it('answers through the current channel where that can send [MODEL-5]', () => {
  const current = option('chat', { identities: ['visitor'], outbound: 'reply', repliesThrough: 'email-address' });
  expect(chooseReplyChannel(situation({ current }), null)).toEqual({ channelId: 'chat' });
  expect(replyChannels(situation({ current }))).toEqual([
    { channelId: 'chat', isDefault: true },
    { channelId: 'a', isDefault: false },
  ]);
});

it('takes the channel the agent names, then the one the settings prefer, then the only one [FORM-3]', () => {
  const two = situation({ preferredKey: 'key-b', starters: [option('a', mail), option('b', mail)] });
  expect(chooseReplyChannel(two, 'a')).toEqual({ channelId: 'a' });
  expect(chooseReplyChannel(two, null)).toEqual({ channelId: 'b' });
  expect(chooseReplyChannel(situation(), null)).toEqual({ channelId: 'a' });
});

it('guesses nothing: several without a preference, or none that fits, is a refusal [FORM-3]', () => {
  expect(chooseReplyChannel(situation({ starters: [option('a', mail), option('b', mail)] }), null)).toEqual({ refused: 'CHOOSE_ONE' });
  expect(chooseReplyChannel(situation({ starters: [option('a', phone)] }), null)).toEqual({ refused: 'NONE_CONNECTED' });
  expect(chooseReplyChannel(situation({ contactKinds: [] }), null)).toEqual({ refused: 'NO_CONTACT' });
  expect(chooseReplyChannel(situation({ current: option('x', { ...silent, repliesThrough: undefined } as never) }), null)).toEqual({
    refused: 'CHANNEL_CANNOT_SEND',
  });
});

it('a preferred channel that is gone is as good as none', () => {
  expect(chooseReplyChannel(situation({ preferredKey: 'key-gone' }), null)).toEqual({ channelId: 'a' });
});

it('leaves channels alone in whose place the agent does not work, but for the one the admin prefers [API-6]', () => {
  const foreign = option('b', mail, { workedIn: false });
  expect(chooseReplyChannel(situation({ starters: [foreign] }), null)).toEqual({ refused: 'NONE_CONNECTED' });
  expect(chooseReplyChannel(situation({ starters: [option('a', mail), foreign] }), null)).toEqual({ channelId: 'a' });
  expect(chooseReplyChannel(situation({ starters: [foreign] }), 'b')).toEqual({ refused: 'CHANNEL_UNKNOWN' });
  const preferred = situation({ preferredKey: 'key-b', starters: [option('a', mail), foreign] });
  expect(chooseReplyChannel(preferred, null)).toEqual({ channelId: 'b' });
  expect(replyChannels(preferred)).toEqual([
    { channelId: 'a', isDefault: false },
    { channelId: 'b', isDefault: true },
  ]);
});

it('names no channel that can not reach the contact, or begin a conversation [FORM-3]', () => {
  const current = option('m', mail);
  const starters = [current, option('p', phone)];
  expect(chooseReplyChannel(situation({ current, starters }), 'p')).toEqual({ refused: 'NO_CONTACT' });
  expect(chooseReplyChannel(situation({ current, starters }), 'elsewhere')).toEqual({ refused: 'CHANNEL_CANNOT_START' });
  expect(chooseReplyChannel(situation(), 'page')).toEqual({ refused: 'CHANNEL_CANNOT_SEND' });
  expect(replyChannels(situation({ current, starters, contactKinds: ['email-address', 'phone-number'] })).map((one) => one.channelId)).toEqual(['m', 'p']);
});

it('answers nothing that was disconnected, through no channel [CH-10]', () => {
  const current = option('page', silent, { connected: false });
  expect(chooseReplyChannel(situation({ current }), null)).toEqual({ refused: 'CHANNEL_DISCONNECTED' });
  expect(chooseReplyChannel(situation({ current }), 'a')).toEqual({ refused: 'CHANNEL_DISCONNECTED' });
  expect(replyChannels(situation({ current }))).toEqual([]);
});

const live = { identities: ['visitor'], outbound: 'reply', repliesThrough: 'email-address' } as const;
const left = (more: Partial<ReplySituation> = {}) =>
  situation({ current: option('chat', live), visitorLeft: true, contactKinds: ['visitor', 'email-address'], ...more });

it('answers on the page while the visitor is there, by mail once they have left and gave an address [CHAT-3]', () => {
  expect(chooseReplyChannel(left({ visitorLeft: false }), null)).toEqual({ channelId: 'chat' });
  expect(chooseReplyChannel(left(), null)).toEqual({ channelId: 'a' });
  expect(chooseReplyChannel(left({ preferredKey: 'key-b', starters: [option('a', mail), option('b', mail)] }), null)).toEqual({ channelId: 'b' });
  expect(replyChannels(left())).toEqual([
    { channelId: 'chat', isDefault: false },
    { channelId: 'a', isDefault: true },
  ]);
});

it('what the visitor left still takes the answer where no address is known, or it is not certain which channel to use [CHAT-3]', () => {
  expect(chooseReplyChannel(left({ contactKinds: ['visitor'] }), null)).toEqual({ channelId: 'chat' });
  expect(chooseReplyChannel(left({ starters: [] }), null)).toEqual({ channelId: 'chat' });
  expect(chooseReplyChannel(left({ starters: [option('a', mail), option('b', mail)] }), null)).toEqual({ channelId: 'chat' });
});

it('the agent names either, also the page again once the conversation goes on by mail [MODEL-5]', () => {
  expect(chooseReplyChannel(left(), 'chat')).toEqual({ channelId: 'chat' });
  expect(chooseReplyChannel(left({ visitorLeft: false }), 'a')).toEqual({ channelId: 'a' });
  const byMail = situation({ current: option('a', mail), threads: [option('chat', live), option('page', silent)] });
  expect(chooseReplyChannel(byMail, null)).toEqual({ channelId: 'a' });
  expect(chooseReplyChannel(byMail, 'chat')).toEqual({ channelId: 'chat' });
  expect(chooseReplyChannel(byMail, 'page')).toEqual({ refused: 'CHANNEL_CANNOT_START' });
  expect(replyChannels(byMail).map((one) => one.channelId)).toEqual(['a', 'chat']);
  const foreign = situation({ current: option('a', mail), threads: [option('chat', live, { workedIn: false })] });
  expect(chooseReplyChannel(foreign, 'chat')).toEqual({ refused: 'CHANNEL_UNKNOWN' });
  expect(replyChannels(foreign).map((one) => one.channelId)).toEqual(['a']);
});
