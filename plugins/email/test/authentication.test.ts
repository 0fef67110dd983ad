import PostalMime from 'postal-mime';
import { describe, expect, it } from 'vitest';
import type { Authentication } from '@trunkline/channel-sdk';
import { authenticationOf } from '../authentication.ts';
import { readAuthenticationResults } from '../authentication-results.ts';
import { CHECKED_HEADER, type Checked } from '../checked.ts';
import { channel, delivery } from './support.ts';

const NAME = 'mx.google.com';
const NOTHING: Checked = {
  client: 'mail-sor-f41.google.com',
  local: false,
  spf: { result: 'none', domain: null },
  dkim: [],
  dmarc: { result: 'none', from: null, signed: false },
  arc: { result: 'none', sealer: null, says: '' },
};

async function judged(
  headers: readonly string[],
  more: Partial<Checked> = {},
  settings: Record<string, unknown> = { trustedAuthenticator: NAME },
): Promise<Authentication> {
  const mail = [...headers, ...(headers.some((line) => /^From:/i.test(line)) ? [] : ['From: Ben <ben@customer.example>']), '', 'hi'].join('\r\n');
  const raw = delivery(mail, { [CHECKED_HEADER]: JSON.stringify({ ...NOTHING, ...more }) });
  return authenticationOf(raw, await PostalMime.parse(mail), channel(settings).settings);
}

const says = (results: string, server = NAME) => `Authentication-Results: ${server}; ${results}`;

describe("the forwarding server's verdict", () => {
  it.each([
    ['dmarc=pass header.from=customer.example', 'pass'],
    ['dmarc=fail (p=REJECT) header.from=customer.example', 'fail'],
    ['dkim=fail header.d=customer.example; dmarc=fail header.from=customer.example; spf=pass smtp.mailfrom=ben@customer.example', 'fail'],
    ['dkim=pass header.i=@mail.customer.example; spf=fail', 'pass'],
    ['dkim=pass header.d=customer.example', 'pass'],
    ['spf=pass smtp.mailfrom=ben@customer.example', 'pass'],
    ['dmarc=none header.from=customer.example; spf=pass smtp.mailfrom=customer.example', 'pass'],
    ['spf=pass smtp.mailfrom=ben@other.example; dkim=pass header.d=other.example', 'unknown'],
    ['dmarc=pass header.from=other.example', 'unknown'],
    ['dmarc=temperror', 'unknown'],
    ['none', 'unknown'],
  ])('%s: %s [EMAIL-8]', async (results, verdict) => {
    expect(await judged([says(results)])).toMatchObject({ verdict, by: verdict === 'unknown' ? 'nobody' : 'forwarder' });
  });

  it('counts only under the name given when connecting [EMAIL-8]', async () => {
    expect((await judged([says('dmarc=pass', 'mx.evil.example')])).verdict).toBe('unknown');
    expect((await judged([says('dmarc=pass')], {}, {})).verdict).toBe('unknown');
    expect((await judged([says('dmarc=pass', 'MX.Google.com 1')])).verdict).toBe('pass');
    expect((await judged(['Authentication-Results: dmarc=pass'])).verdict).toBe('unknown');
  });

  it('is its topmost word: what stands below its next Received was there before [EMAIL-8]', async () => {
    expect((await judged([says('dmarc=fail'), 'Received: from x by y', says('dmarc=pass')])).verdict).toBe('fail');
    expect((await judged([says('spf=pass smtp.mailfrom=x@y.example'), says('dmarc=fail'), 'Received: from x by y'])).verdict).toBe('fail');
    expect((await judged(['Received: from its outer server', says('dmarc=pass'), 'Received: from x by y', says('dmarc=fail')])).verdict).toBe('pass');
  });

  it('is believed only of mail that this server handed in: anybody could write its name into a mail that comes past it [EMAIL-8]', async () => {
    const forged = [says('dmarc=pass header.from=customer.example')];
    for (const client of ['mail.evil.example', 'google.com.evil.example', 'notgoogle.com', null]) {
      expect((await judged(forged, { client })).verdict, String(client)).toBe('unknown');
    }
    expect((await judged(forged, { client: null, local: true })).verdict).toBe('pass');
    // A public suffix in common is nothing in common.
    expect((await judged([says('dmarc=pass', 'mx.acme.co.uk')], { client: 'mail.evil.co.uk' }, { trustedAuthenticator: 'mx.acme.co.uk' })).verdict).toBe(
      'unknown',
    );
    const mail = `${forged[0]}\r\nFrom: ben@customer.example\r\n\r\nhi`;
    expect(authenticationOf(delivery(mail), await PostalMime.parse(mail), channel({ trustedAuthenticator: NAME }).settings)).toEqual({
      verdict: 'unknown',
      by: 'nobody',
      checks: {},
    });
  });
});

describe('a sealed mail', () => {
  const arc = (sealer: string, results: string) => ({ arc: { result: 'pass', sealer, says: `i=2; ${NAME}; ${results}` } });

  it("has the verdict of a trusted sealer's own results, whoever handed it in [EMAIL-8]", async () => {
    expect(await judged([], { client: null, ...arc('google.com', 'dmarc=pass header.from=customer.example') }, {})).toMatchObject({
      verdict: 'pass',
      by: 'arc',
    });
    expect((await judged([], arc('microsoft.com', 'dmarc=fail'), {})).verdict).toBe('fail');
    expect((await judged([], arc('lists.acme.example', 'dmarc=pass'), { trustedSealers: ['acme.example'] })).verdict).toBe('pass');
    expect((await judged([], arc('mail.acme.example', 'dmarc=pass'), { trustedAuthenticator: 'mx.acme.example' })).verdict).toBe('pass');
  });

  it('says nothing where anybody sealed it, or the chain is broken: a seal can be had by everybody [EMAIL-8]', async () => {
    expect((await judged([], arc('evil.example', 'dmarc=pass'), {})).verdict).toBe('unknown');
    expect((await judged([], arc('evilgoogle.com', 'dmarc=pass'), {})).verdict).toBe('unknown');
    expect((await judged([], { arc: { result: 'fail', sealer: 'google.com', says: `i=1; ${NAME}; dmarc=pass` } }, {})).verdict).toBe('unknown');
    expect((await judged([], arc('google.com', 'dmarc=pass'), { trustedSealers: [] })).verdict).toBe('unknown');
  });
});

describe('mail that nobody judged before us', () => {
  const from = 'customer.example';

  it("passes by a signature of the author's own domain over all of it, however it came [EMAIL-8]", async () => {
    expect(await judged([], { dmarc: { result: 'pass', from, signed: true } })).toMatchObject({ verdict: 'pass', by: 'direct' });
    const signed = (more: Partial<Checked['dkim'][number]>) =>
      judged([], { dkim: [{ result: 'pass', domain: 'mail.customer.example', whole: true, ...more }] });
    expect((await signed({})).verdict).toBe('pass');
    expect((await signed({ whole: false })).verdict).toBe('unknown');
    expect((await signed({ result: 'fail' })).verdict).toBe('unknown');
    expect((await signed({ domain: 'other.example' })).verdict).toBe('unknown');
  });

  it('does not pass by SPF alone: the last server may be one that both the author and the forger may use [EMAIL-8]', async () => {
    expect(
      (await judged([`To: support-1@in.trunkline.example`], { spf: { result: 'pass', domain: from }, dmarc: { result: 'pass', from, signed: false } })).verdict,
    ).toBe('unknown');
  });

  it('fails where it was written to the address it came to; forwarded, a failure proves nothing [EMAIL-8]', async () => {
    const dmarc = { result: 'fail', from, signed: false };
    expect(await judged(['To: Support-1@in.trunkline.example'], { dmarc })).toMatchObject({ verdict: 'fail', by: 'direct' });
    expect(await judged(['To: support@acme.example'], { dmarc })).toMatchObject({ verdict: 'unknown', by: 'nobody' });
  });

  it('has no author to vouch for where there is no From, or several [EMAIL-8]', async () => {
    const dmarc = { result: 'pass', from, signed: true };
    for (const line of ['From:', 'From: ben@customer.example, eve@evil.example', 'From: undisclosed:;'])
      expect((await judged([line], { dmarc })).verdict, line).toBe('unknown');
    expect((await judged(['From: ben@customer.example', 'From: eve@evil.example'], { dmarc })).verdict).toBe('unknown');
    expect((await judged(['From: ben@other.example'], { dmarc })).verdict).toBe('unknown');
  });
});

describe('what is kept of it', () => {
  it('is every check by its name, of the door, of the forwarder and of the sealer [EMAIL-8]', async () => {
    const { checks } = await judged([says('spf=pass smtp.mailfrom=x@customer.example; dkim=none; dmarc=fail; iprev=pass')], {
      spf: { result: 'softfail', domain: 'acme.example' },
      dkim: [
        { result: 'neutral', domain: 'a.example', whole: true },
        { result: 'pass', domain: 'b.example', whole: true },
      ],
      dmarc: { result: 'fail', from: 'customer.example', signed: false },
      arc: { result: 'pass', sealer: 'google.com', says: 'i=1; mx.google.com; dmarc=pass' },
    });
    expect(checks).toEqual({
      spf: 'softfail',
      dkim: 'pass',
      dmarc: 'fail',
      arc: 'pass',
      'forwarder-spf': 'pass',
      'forwarder-dkim': 'none',
      'forwarder-dmarc': 'fail',
      'sealer-dmarc': 'pass',
    });
  });

  it('is nothing where the door left nothing, or nonsense', async () => {
    const mail = 'From: ben@customer.example\r\n\r\nhi';
    for (const found of ['', '{', '[]', '{"spf":1}', JSON.stringify({ ...NOTHING, spf: { result: 'PASS; drop', domain: null } })]) {
      const raw = delivery(mail, { [CHECKED_HEADER]: found });
      expect(authenticationOf(raw, await PostalMime.parse(mail), channel().settings)).toEqual({ verdict: 'unknown', by: 'nobody', checks: {} });
    }
  });
});

describe('an Authentication-Results field', () => {
  it('is read with its comments, quotes, versions and blanks', () => {
    expect(
      readAuthenticationResults(
        ' "mx.acme.example" 1 (a (nested; one) x) ; dkim/1 = pass (good; really) reason="x; dmarc=pass" header.b="a+b=" header.i=@Customer.example ;; SPF=Fail smtp.mailfrom="\\"a;b\\"@x.example"',
      ),
    ).toEqual({
      server: 'mx.acme.example',
      results: [
        { method: 'dkim', result: 'pass', properties: { reason: 'x; dmarc=pass', 'header.b': 'a+b=', 'header.i': '@customer.example' } },
        { method: 'spf', result: 'fail', properties: { 'smtp.mailfrom': '"a;b"@x.example' } },
      ],
    });
    expect(readAuthenticationResults('i=3; mx.microsoft.com 1; spf=pass (sender ip is 192.0.2.1) smtp.rcpttodomain=acme.example')).toMatchObject({
      server: 'mx.microsoft.com',
      results: [{ method: 'spf', result: 'pass' }],
    });
    expect(readAuthenticationResults('spf=pass smtp.mailfrom=x')).toMatchObject({ server: undefined, results: [{ method: 'spf' }] });
  });

  it('of any bytes gives something, and soon', () => {
    for (const piece of ['(', '=', ';', '"', '\\', ' ', 'a', 'a=b;', '__proto__=pass ', '\u0000']) {
      expect(() => readAuthenticationResults(piece.repeat(2_000_000)), piece).not.toThrow();
    }
    expect(readAuthenticationResults('')).toEqual({ server: undefined, results: [] });
  });
});
