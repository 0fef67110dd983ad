import nodemailer from 'nodemailer';
import PostalMime from 'postal-mime';
import { afterEach, describe, expect, it } from 'vitest';
import type { Authentication, Listener, RawDelivery } from '@trunkline/channel-sdk';
import { authenticationOf } from '../authentication.ts';
import { createSenderCheck, type SenderCheck } from '../check-sender.ts';
import { clientName } from '../client-name.ts';
import { listen } from '../listen.ts';
import { checkedOf, dnsFailure, fakeDns, PRIVATE_KEY, sealed, weaklySigned } from './mail-world.ts';
import { channel } from './support.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

const RECORDS = {
  'TXT customer.example': [['v=spf1 ip4:127.0.0.1 -all']],
  'TXT _dmarc.customer.example': [['v=DMARC1; p=reject']],
  'TXT strict.example': [['v=spf1 -all']],
  'TXT _dmarc.strict.example': [['v=DMARC1; p=reject']],
};

/** A receiver on this machine, and what it stored last. */
async function door(records: Record<string, readonly unknown[] | Error> = RECORDS) {
  const stored: RawDelivery[] = [];
  const { resolveDns, asked } = fakeDns(records);
  const listener: Listener = await listen(
    {
      host: '127.0.0.1',
      port: 0,
      findChannel: async () => channel(),
      deliver: async (_key, raw) => void stored.push(raw),
      resolveDns,
      now: () => 0,
      log: () => undefined,
    },
    // Whatever else this machine has to do.
    { checkMs: 30_000 },
  );
  open.push(listener);
  const client = (signer?: string) =>
    nodemailer.createTransport({
      host: '127.0.0.1',
      port: listener.port,
      ignoreTLS: true,
      name: 'mail.customer.example',
      ...(signer === undefined ? {} : { dkim: { domainName: signer, keySelector: 's1', privateKey: PRIVATE_KEY } }),
    });
  const last = () => {
    const raw = stored.at(-1);
    if (raw === undefined) throw new Error('nothing was stored');
    return raw;
  };
  return {
    asked,
    last,
    /** A mail as a mail program writes it, signed or not. */
    write: async (from: string, more: { readonly signer?: string; readonly sender?: string; readonly to?: string } = {}) => {
      const envelope = { from: more.sender ?? from, to: 'support-1@in.trunkline.example' };
      await client(more.signer).sendMail({ from, to: more.to ?? 'support@acme.example', subject: 'The lamp', text: 'It flickers.\n'.repeat(20), envelope });
      return last();
    },
    /** The same bytes as they are. */
    post: async (raw: string | Buffer, sender: string) => {
      await client().sendMail({ envelope: { from: sender, to: 'support-1@in.trunkline.example' }, raw });
      return last();
    },
  };
}

async function verdictOf(raw: RawDelivery, settings: Record<string, unknown> = {}): Promise<Authentication> {
  return authenticationOf(raw, await PostalMime.parse(raw.body), channel(settings).settings);
}

describe('mail at the door', () => {
  it('passes with a signature of its author, and the checks are kept with it [EMAIL-8]', async () => {
    const { write } = await door();
    const raw = await write('ben@customer.example', { signer: 'customer.example' });
    expect(checkedOf(raw)).toEqual({
      client: null,
      local: true,
      spf: { result: 'pass', domain: 'customer.example' },
      dkim: [{ result: 'pass', domain: 'customer.example', whole: true }],
      dmarc: { result: 'pass', from: 'customer.example', signed: true },
      arc: { result: 'none', sealer: null, says: '' },
    });
    expect(await verdictOf(raw)).toEqual({ verdict: 'pass', by: 'direct', checks: { spf: 'pass', dkim: 'pass', dmarc: 'pass', arc: 'none' } });
  });

  it('fails where it was written to us and nothing vouches for it, and is taken in all the same [EMAIL-8]', async () => {
    const { write } = await door();
    const raw = await write('ceo@strict.example', { to: 'support-1@in.trunkline.example' });
    expect(checkedOf(raw)).toMatchObject({ spf: { result: 'fail' }, dkim: [], dmarc: { result: 'fail', from: 'strict.example', signed: false } });
    expect(await verdictOf(raw)).toMatchObject({ verdict: 'fail', by: 'direct' });
    expect(await verdictOf(await write('ceo@strict.example'))).toMatchObject({ verdict: 'unknown', by: 'nobody' });
  });

  it("is not the author's because a stranger signed it, or sent it for himself [EMAIL-8]", async () => {
    const { write } = await door();
    const raw = await write('ceo@strict.example', { signer: 'evil.example', sender: 'eve@customer.example' });
    expect(checkedOf(raw)).toMatchObject({ spf: { result: 'pass' }, dkim: [{ result: 'pass', domain: 'evil.example' }], dmarc: { result: 'fail' } });
    expect((await verdictOf(raw)).verdict).toBe('unknown');
  });

  it('whose text or subject was changed on the way has no valid signature [EMAIL-8]', async () => {
    const { write, post } = await door();
    const signed = Buffer.from((await write('ben@customer.example', { signer: 'customer.example' })).body).toString();
    const intact = await post(signed, 'support+caf_=x@acme.example');
    expect(checkedOf(intact)).toMatchObject({ spf: { result: 'none' }, dmarc: { result: 'pass', signed: true } });
    for (const changed of [signed.replace('flickers', 'is fine'), signed.replace('The lamp', '[list] The lamp')]) {
      const raw = await post(changed, 'support+caf_=x@acme.example');
      expect(checkedOf(raw).dkim[0]?.result).toMatch(/^(fail|neutral)$/);
      expect(checkedOf(raw).dmarc.result).toBe('fail');
    }
  });

  it('that is signed by a broken hash, or only in part, is not vouched for [EMAIL-8]', async () => {
    const { post } = await door();
    const mail = 'From: ceo@strict.example\r\nSubject: x\r\n\r\nsigned, and what somebody else put under it\r\n';
    const broken = await post(await weaklySigned(mail, 'strict.example', 'sha1'), 'x@evil.example');
    expect(checkedOf(broken)).toMatchObject({ dkim: [{ result: 'policy' }], dmarc: { result: 'fail' } });
    const part = await post(await weaklySigned(mail, 'strict.example', 'part'), 'x@evil.example');
    expect(checkedOf(part)).toMatchObject({ dkim: [{ result: 'pass', whole: false }], dmarc: { result: 'pass', signed: false } });
    for (const raw of [broken, part]) expect((await verdictOf(raw)).verdict).toBe('unknown');
  });

  it('with an ARC seal says who sealed it and what they found; a broken chain says nothing [EMAIL-8]', async () => {
    const { write, post } = await door();
    const mail = Buffer.from((await write('ceo@strict.example')).body).toString();
    const google = await sealed(mail, 'google.com', 'mx.google.com; dmarc=pass header.from=strict.example');
    const raw = await post(google, 'support+caf_=x@acme.example');
    expect(checkedOf(raw).arc).toMatchObject({ result: 'pass', sealer: 'google.com', says: expect.stringContaining('mx.google.com; dmarc=pass') });
    expect(await verdictOf(raw)).toMatchObject({ verdict: 'pass', by: 'arc', checks: { arc: 'pass', 'sealer-dmarc': 'pass' } });
    expect((await verdictOf(raw, { trustedSealers: ['acme.example'] })).verdict).toBe('unknown');

    const evil = await post(await sealed(google, 'evil.example', 'mx.google.com; dmarc=pass header.from=strict.example', 2), 'x@evil.example');
    expect(checkedOf(evil).arc).toMatchObject({ result: 'pass', sealer: 'evil.example' });
    expect((await verdictOf(evil)).verdict).toBe('unknown');

    for (const broken of [google.replace('flickers', 'is fine'), google.replace('dmarc=pass', 'dmarc=none'), google.replace(/^ARC-Seal:/m, 'X-Seal:')]) {
      const altered = await post(broken, 'x@evil.example');
      expect(checkedOf(altered).arc).toEqual({ result: 'fail', sealer: null, says: '' });
      expect((await verdictOf(altered)).verdict).toBe('unknown');
    }
  });

  it('that holds what the receiver would have left is not believed [EMAIL-8]', async () => {
    const { post } = await door();
    const raw = await post('X-Checked: {"dmarc":{"result":"pass"}}\r\nFrom: ceo@strict.example\r\n\r\nhi', 'ceo@strict.example');
    expect(checkedOf(raw).dmarc.result).toBe('fail');
  });

  it('comes in with "temperror" where DNS does not answer [EMAIL-7, EMAIL-8]', async () => {
    const { write } = await door({ 'TXT customer.example': dnsFailure('ETIMEOUT'), 'TXT s1._domainkey.customer.example': dnsFailure('ESERVFAIL') });
    const raw = await write('ben@customer.example', { signer: 'customer.example' });
    expect(checkedOf(raw)).toMatchObject({ spf: { result: 'temperror' }, dkim: [{ result: 'temperror' }] });
    expect((await verdictOf(raw)).verdict).toBe('unknown');
  });
});

describe('the check', () => {
  const FROM = { ip: '192.0.2.1', helo: 'mail.customer.example', sender: 'ben@customer.example' };
  // Whatever else this machine has to do.
  const checker = (resolveDns = fakeDns().resolveDns, checkMs = 30_000): SenderCheck => {
    const check = createSenderCheck(resolveDns, checkMs);
    open.push(check);
    return check;
  };
  /** Its thread is loaded, which takes of the time of who comes first. */
  const loaded = async (check: SenderCheck): Promise<void> => {
    while ((await check.check(Buffer.from('From: ben@customer.example\r\n\r\nhi'), FROM)).spf.result === 'temperror');
  };
  const SIGNATURE = 'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=customer.example; s=s1; h=from; bh=x; b=eA==\r\n';

  it('ends in time where DNS never answers, for all who wait, and goes on afterwards [EMAIL-8, PLUG-11]', async () => {
    let silent = true;
    const dns = fakeDns(RECORDS);
    const check = checker((name, type) => (silent ? new Promise<never>(() => undefined) : dns.resolveDns(name, type)), 300);
    const mails = Array.from({ length: 10 }, () => check.check(Buffer.from('From: a@b.example\r\n\r\nhi'), FROM));
    for (const found of await Promise.all(mails)) expect(found).toMatchObject({ client: null, spf: { result: 'temperror' }, dmarc: { result: 'temperror' } });
    silent = false;
    const patient = checker(dns.resolveDns);
    expect((await patient.check(Buffer.from('From: a@b.example\r\n\r\nhi'), { ...FROM, ip: '127.0.0.1' })).spf.result).toBe('pass');
  });

  it('waits for the DNS of many mails at once [EMAIL-8]', async () => {
    const together = Promise.withResolvers<void>();
    let asking = 0;
    const check = checker(async (name, type) => {
      if (`${type} ${name}` === 'TXT customer.example' && (asking += 1) === 50) together.resolve();
      await together.promise;
      return fakeDns(RECORDS).resolveDns(name, type);
    }, 20_000);
    const mails = Array.from({ length: 50 }, () => check.check(Buffer.from('From: ben@customer.example\r\n\r\nhi'), { ...FROM, ip: '127.0.0.1' }));
    expect((await Promise.all(mails)).map(({ dmarc }) => dmarc.result)).toEqual(Array.from({ length: 50 }, () => 'pass'));
  });

  it('keeps what was found without the DNS that did not answer [EMAIL-8]', async () => {
    const { write } = await door();
    const mail = await write('ben@customer.example', { signer: 'customer.example' });
    const dns = fakeDns(RECORDS);
    const check = checker((name, type) => (name === 'customer.example' ? new Promise<never>(() => undefined) : dns.resolveDns(name, type)), 10_000);
    expect(await check.check(mail.body, FROM)).toMatchObject({
      spf: { result: 'temperror' },
      dkim: [{ result: 'pass' }],
      dmarc: { result: 'pass', signed: true },
    });
  });

  it('of more large mails than are looked at together goes on one after the other [EMAIL-8]', async () => {
    const { write } = await door();
    const signed = Buffer.from((await write('ben@customer.example', { signer: 'customer.example' })).body);
    const large = Buffer.concat([signed, Buffer.alloc(300_000, 'more text\r\n')]);
    const check = checker(fakeDns(RECORDS).resolveDns, 20_000);
    const found = await Promise.all(Array.from({ length: 12 }, () => check.check(large, FROM)));
    expect(found.map(({ dkim }) => dkim[0]?.result)).toEqual(Array.from({ length: 12 }, () => 'neutral'));
  });

  it('of a mail made to take long ends in time, while this process goes on and other mail is looked at [EMAIL-7, PLUG-11]', async () => {
    const check = checker(fakeDns(RECORDS).resolveDns, 6_000);
    await loaded(check);
    // One line of 36 MB: the library takes some twenty seconds over it.
    const hostile = Buffer.concat([Buffer.from(`${SIGNATURE}From: a@b.example\r\n\r\n`), Buffer.alloc(36 * 1024 * 1024, 97)]);
    let turns = 0;
    const turning = setInterval(() => (turns += 1), 20);
    const slow = check.check(hostile, FROM);
    const others = await Promise.all(
      Array.from({ length: 5 }, () => check.check(Buffer.from('From: ben@customer.example\r\n\r\nhi'), { ...FROM, ip: '127.0.0.1' })),
    );
    expect(others.map(({ spf }) => spf.result)).toEqual(Array.from({ length: 5 }, () => 'pass'));
    expect(await slow).toMatchObject({ spf: { result: 'temperror' }, dkim: [] });
    clearInterval(turning);
    // Held up for as long as the check took it would have turned a few times only.
    expect(turns).toBeGreaterThan(20);
    expect((await check.check(Buffer.from('From: ben@customer.example\r\n\r\nhi'), { ...FROM, ip: '127.0.0.1' })).spf.result).toBe('pass');
  });

  it('gives up on headers without end and signatures without number, and needs no body where nothing signs it [EMAIL-7, PLUG-11]', async () => {
    const { resolveDns, asked } = fakeDns();
    const check = checker(resolveDns);
    for (const mail of [
      `X: ${'a'.repeat(1_000_000)}\r\nFrom: a@b.example\r\n\r\nhi`,
      `${SIGNATURE.repeat(21)}From: a@b.example\r\n\r\nhi`,
      'a'.repeat(300_000),
    ]) {
      expect(await check.check(Buffer.from(mail), FROM)).toMatchObject({ spf: { result: 'permerror' }, dkim: [], dmarc: { result: 'permerror' } });
    }
    expect(asked.filter((question) => !question.startsWith('PTR'))).toEqual([]);
    const large = Buffer.concat([Buffer.from('From: a@b.example\r\n\r\n'), Buffer.alloc(36 * 1024 * 1024, 97)]);
    expect((await check.check(large, FROM)).dmarc.result).toBe('none');
  });

  it('asks DNS at most a hundred questions for one mail [PLUG-11]', async () => {
    const hosts = (name: string) => Array.from({ length: 10 }, (_, place) => ({ exchange: `m${place}.${name}`, priority: 1 }));
    const names = Array.from({ length: 10 }, (_, place) => `d${place}.example`);
    const { resolveDns, asked } = fakeDns({
      'TXT customer.example': [[`v=spf1 ${names.map((name) => `mx:${name}`).join(' ')} -all`]],
      ...Object.fromEntries(names.map((name) => [`MX ${name}`, hosts(name)])),
    });
    const signatures = Array.from({ length: 20 }, (_, place) => SIGNATURE.replace('d=customer.example', `d=a.b.c.d.e.f.x${place}.example`)).join('');
    const found = await checker(resolveDns).check(Buffer.from(`${signatures}From: a@b.c.d.e.f.example\r\n\r\nhi`), FROM);
    expect(asked.filter((question) => !question.startsWith('PTR')).length).toBeLessThanOrEqual(100);
    expect(found.dkim).toHaveLength(20);
  });

  it('of any bytes finds something and never rejects [EMAIL-7]', async () => {
    const check = checker();
    const arc = Array.from({ length: 50 }, (_, place) => `ARC-Seal: i=${50 - place}; a=rsa-sha256; cv=pass; d=x.example; s=s1; b=AAAA\r\n`).join('');
    const mails = [
      '',
      '\r\n',
      '\0'.repeat(1_000),
      'From: \r\n\r\n',
      `From: ${'a@b.c,'.repeat(30_000)}\r\n\r\n`,
      `${arc}From: a@b.example\r\n\r\n`,
      'DKIM-Signature:\r\n\r\n',
    ];
    for (const mail of mails) {
      const found = await check.check(Buffer.from(mail), { ip: 'nonsense', helo: '\u00e9'.repeat(200), sender: '<>@@' });
      expect(checkedOf({ headers: { 'x-checked': JSON.stringify(found) }, method: '', url: '', body: new Uint8Array(), receivedAt: '' })).toEqual(found);
    }
  });
});

describe("a client's name", () => {
  const { resolveDns } = fakeDns({
    'PTR 1.2.0.192.in-addr.arpa': ['Mail.Google.com'],
    'A mail.google.com': ['192.0.2.1', '192.0.2.9'],
    'PTR 2.2.0.192.in-addr.arpa': ['mail.google.com'],
    'PTR 3.2.0.192.in-addr.arpa': ['one.example', 'mail.google.com.evil.example', 7],
    'PTR 4.3.2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa': ['six.example'],
    'AAAA six.example': ['2001:0db8:0:0:0:0:0:1234'],
  });

  it('counts where DNS confirms it both ways: anybody may write any name for an address of theirs [EMAIL-8]', async () => {
    expect(await clientName('192.0.2.1', resolveDns)).toBe('mail.google.com');
    expect(await clientName('192.0.2.2', resolveDns)).toBeNull();
    expect(await clientName('192.0.2.3', resolveDns)).toBeNull();
    expect(await clientName('2001:db8::1234', resolveDns)).toBe('six.example');
    for (const ip of ['192.0.2.7', '127.0.0.1', '::1', '', 'nonsense', 'fe80::1%eth0']) expect(await clientName(ip, resolveDns), ip).toBeNull();
  });
});
