import { describe, expect, it } from 'vitest';
import { replyAddress, replyToken, tokenKey, tokensIn } from '../token.ts';
import { channel, pluginContext } from './support.ts';

const { sign } = pluginContext();
const token = replyToken('0198c0de-0000-7000-8000-000000000001', sign);

describe('the token of a reply', () => {
  it('is 16 letters and digits, the same at every try and another for every message [EMAIL-5]', () => {
    expect(token).toMatch(/^[a-z0-9]{16}$/);
    expect(replyToken('0198c0de-0000-7000-8000-000000000001', sign)).toBe(token);
    expect(replyToken('0198c0de-0000-7000-8000-000000000002', sign)).not.toBe(token);
    expect(tokenKey(token)).toBe(`token:${token}`);
  });

  it('stands in our forwarding address, in the connected one, or nowhere, as the settings say [EMAIL-5]', () => {
    expect(replyAddress(channel(), token)).toBe(`support-1+${token}@in.trunkline.example`);
    expect(replyAddress(channel({ inboundDomain: undefined }), token)).toBe(`support+${token}@acme.example`);
    expect(replyAddress(channel({ replyTo: 'subaddress' }), token)).toBe(`support+${token}@acme.example`);
    expect(replyAddress(channel({ replyTo: 'plain' }), token)).toBe('support@acme.example');
  });

  it('goes the next way where it would not fit into the 64 characters before the @ [EMAIL-5]', () => {
    const long = { ...channel(), key: 'k'.repeat(60) };
    expect(replyAddress(long, token)).toBe(`support+${token}@acme.example`);
    const both = channel({ address: `${'s'.repeat(50)}@acme.example` });
    expect(replyAddress({ ...both, key: long.key }, token)).toBe(`${'s'.repeat(50)}@acme.example`);
    expect(replyAddress({ ...channel(), key: 'k'.repeat(47) }, token)).toBe(`${'k'.repeat(47)}+${token}@in.trunkline.example`);
    // Its mailbox may let nothing else through.
    expect(replyAddress(channel({ address: 'support+eu@acme.example', replyTo: 'subaddress' }), token)).toBe('support+eu@acme.example');
  });

  it('is found again in whatever address of ours a mail came to, upper-cased or under an older domain too [EMAIL-5]', () => {
    for (const settings of [{}, { replyTo: 'subaddress' }]) {
      const address = replyAddress(channel(settings), token);
      expect(tokensIn(['cleo@partner.example', address, address.toUpperCase()], channel(settings))).toEqual([token]);
    }
    expect(tokensIn([`Support-1+${token}@old.example`], channel())).toEqual([token]);
  });

  it('is not seen in addresses that are not ours, nor in other tags', () => {
    const others = ['support-1@in.trunkline.example', 'support-1+news@in.trunkline.example', `support+${token}@other.example`, `+${token}@acme.example`, token];
    expect(tokensIn([...others, `sales-2+${token}@in.trunkline.example`, '', '@', `support-1-${token}@in.trunkline.example`], channel())).toEqual([]);
  });
});
