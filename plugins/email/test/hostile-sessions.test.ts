import { afterEach, describe, expect, it } from 'vitest';
import type { Listener, RawDelivery } from '@trunkline/channel-sdk';
import { listen, type ListenOptions } from '../listen.ts';
import { checkedOf, fakeDns } from './mail-world.ts';
import { rawClient, type RawClient } from './smtp-raw.ts';
import { channel } from './support.ts';

const open: Listener[] = [];
const clients: RawClient[] = [];
afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  await Promise.all(open.splice(0).map((listener) => listener.close()));
});

async function door(options: ListenOptions = {}, deliver: (raw: RawDelivery) => Promise<void> = async () => undefined) {
  const stored: string[] = [];
  const raws: RawDelivery[] = [];
  const lines: string[] = [];
  const listener = await listen(
    {
      host: '127.0.0.1',
      port: 0,
      findChannel: async (by) => (('address' in by ? by.address === 'support@acme.example' : by.key === 'support-1') ? channel() : undefined),
      deliver: async (_key, raw) => {
        await deliver(raw);
        raws.push(raw);
        stored.push(Buffer.from(raw.body).toString('latin1'));
      },
      resolveDns: fakeDns({ 'TXT customer.example': [['v=spf1 ip4:192.0.2.1 -all']] }).resolveDns,
      now: () => 0,
      log: (message) => void lines.push(message),
    },
    { closeTimeout: 1, checkMs: 30_000, ...options },
  );
  open.push(listener);
  const client = (from?: string): RawClient => {
    const one = rawClient(listener.port, from);
    clients.push(one);
    return one;
  };
  return { stored, raws, lines, client, listener };
}

const SMUGGLED = 'MAIL FROM:<eve@evil.example>\r\nRCPT TO:<support@acme.example>\r\nDATA\r\nsmuggled\r\n.\r\n';

describe('a hostile client', () => {
  it.each([
    ['a bare LF on both sides', '\n.\n'],
    ['a bare LF before', '\n.\r\n'],
    ['a bare LF behind', '\r\n.\n'],
    ['a bare CR on both sides', '\r.\r'],
    ['a bare CR before', '\r.\r\n'],
    ['NUL before', '\r\n\0.\r\n'],
  ])('smuggles no second mail past an end that is none: %s [EMAIL-7]', async (_name, end) => {
    const { stored, client } = await door();
    const one = client();
    await one.begin();
    expect(await one.say(`Subject: one\r\n\r\nfirst${end}${SMUGGLED.slice(0, -3)}.`)).toMatch(/^250/);
    expect(stored).toHaveLength(1);
    expect(stored[0]).toContain('smuggled');
    expect(await one.say('NOOP')).toMatch(/^250/);
  });

  it('that cuts its bytes between the dots changes nothing of what they mean [EMAIL-7]', async () => {
    const { stored, client } = await door();
    const one = client();
    one.socket.setNoDelay(true);
    await one.begin();
    for (const piece of ['..', '\r', '\n', '..line\r\n.', '.', '.\r\n', 'x\r', '\n.', '\r']) {
      one.socket.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    one.socket.write('\n');
    expect(await one.answer()).toMatch(/^250/);
    expect(stored).toEqual(['.\r\n.line\r\n..\r\nx\r\n']);
  });

  it('may say all of two mails at once, and is answered in order [EMAIL-7]', async () => {
    const { stored, client } = await door();
    const one = client();
    await one.answer();
    const mail = (text: string) => `MAIL FROM:<a@customer.example>\r\nRCPT TO:<support@acme.example>\r\nDATA\r\n${text}\r\n.\r\n`;
    one.socket.write(`EHLO x\r\n${mail('one')}${mail('two')}QUIT\r\n`);
    const answers = [];
    for (let count = 0; count < 10; count += 1) answers.push((await one.answer()).slice(0, 3));
    expect(answers).toEqual(['250', '250', '250', '354', '250', '250', '250', '354', '250', '221']);
    expect(stored).toEqual(['one\r\n', 'two\r\n']);
  });

  it('that speaks before it is greeted, talks nonsense or says a command of a megabyte is shown out; others are served [EMAIL-7]', async () => {
    const { stored, client } = await door();
    const early = client();
    early.socket.write('EHLO x\r\n');
    expect(await early.answer()).toMatch(/^421/);
    const endless = client();
    await endless.answer();
    endless.socket.write('A'.repeat(1_000_000));
    expect(await endless.answer()).toMatch(/^(4|5)\d\d|closed/);
    expect(await endless.answer()).toBe('closed');
    const nonsense = client();
    await nonsense.answer();
    let said = '';
    for (let count = 0; count < 12 && said !== 'closed'; count += 1)
      said = await nonsense.say(['WIZ', 'SHELL id', 'KILL x', '\0\xff', 'STARTTLS'][count % 5] ?? '');
    expect(said).toBe('closed');
    const polite = client();
    await polite.begin();
    expect(await polite.say('hello\r\n.')).toMatch(/^250/);
    expect(stored).toEqual(['hello\r\n']);
  });

  it('that says nothing more is waited for no longer than a minute; the mail it began is not taken [EMAIL-7]', async () => {
    const { stored, client } = await door({ idleMs: 3_000 });
    const silent = client();
    await silent.begin();
    silent.socket.write('Subject: half\r\n\r\nof a');
    expect(await silent.answer()).toMatch(/^421/);
    expect(await silent.answer()).toBe('closed');
    expect(stored).toEqual([]);
  });

  it('that says a byte now and then for ever is shown out too [EMAIL-7]', async () => {
    const { stored, client } = await door({ idleMs: 10_000, sessionMs: 4_000 });
    const slow = client();
    await slow.begin();
    const drip = setInterval(() => slow.socket.write('a'), 20);
    expect(await slow.answer()).toMatch(/^421/);
    expect(await slow.answer()).toBe('closed');
    clearInterval(drip);
    expect(stored).toEqual([]);
  });

  it('that leaves in the middle leaves nothing behind, and its place in memory is free [EMAIL-7]', async () => {
    const { stored, client } = await door({ maxBytes: 100_000, maxHeldBytes: 120_000 });
    for (let count = 0; count < 5; count += 1) {
      const one = client();
      await one.begin();
      await new Promise<void>((resolve) => one.socket.write('x'.repeat(90_000), () => resolve()));
      one.socket.destroy();
    }
    for (let count = 0; count < 3; count += 1) {
      const one = client();
      await one.begin();
      // Until the server has noticed all who left there may be too little room: that is what 452 says.
      const said = await one.say(`${'y'.repeat(90_000)}\r\n.`);
      if (said.startsWith('452')) count -= 1;
      else expect(said).toMatch(/^250/);
    }
    expect(stored.every((mail) => mail === `${'y'.repeat(90_000)}\r\n`)).toBe(true);
  });

  it('sees 452 where more is on its way than fits into memory, and later it fits [EMAIL-7, EMAIL-9]', async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const { stored, client } = await door({ maxBytes: 100_000, maxHeldBytes: 100_000 }, async () => {
      arrived.resolve();
      await gate.promise;
    });
    const first = client();
    await first.begin();
    const taken = first.say(`${'a'.repeat(60_000)}\r\n.`);
    await arrived.promise;
    const second = client();
    await second.begin();
    expect(await second.say(`${'b'.repeat(60_000)}\r\n.`)).toMatch(/^452/);
    gate.resolve();
    expect(await taken).toMatch(/^250/);
    await second.say('MAIL FROM:<>');
    await second.say('RCPT TO:<support@acme.example>');
    await second.say('DATA');
    expect(await second.say(`${'b'.repeat(60_000)}\r\n.`)).toMatch(/^250/);
    expect(stored.map((mail) => mail.slice(0, 1))).toEqual(['a', 'b']);
  });

  it('is one of two hundred at once, and every mail is taken [EMAIL-7]', async () => {
    const { stored, client } = await door();
    const said = await Promise.all(
      Array.from({ length: 200 }, async (_, place) => {
        const one = client();
        await one.begin();
        return one.say(`Subject: ${place}\r\n\r\nhi\r\n.`);
      }),
    );
    expect(said.filter((answer) => !answer.startsWith('250'))).toEqual([]);
    expect(new Set(stored).size).toBe(200);
  });

  it('can not take all places: fifty for one address, but for this machine', async () => {
    const { client } = await door();
    const greeted = (from: string): Promise<string> => client(from).answer();
    const said = await Promise.all(Array.from({ length: 50 }, () => greeted('127.0.0.2')));
    expect(said.every((answer) => answer.startsWith('220'))).toBe(true);
    expect(await greeted('127.0.0.2')).toMatch(/^421/);
    expect(await greeted('127.0.0.3')).toMatch(/^220/);
    const own = await Promise.all(Array.from({ length: 60 }, () => greeted('127.0.0.1')));
    expect(own.every((answer) => answer.startsWith('220'))).toBe(true);
  });
});

describe('mail of any bytes', () => {
  it('is stored byte for byte: NUL, bare LF and CR, lines without end, no header, a hundred parts in each other [EMAIL-7]', async () => {
    const { stored, client } = await door();
    const nested = Array.from({ length: 100 }, (_, depth) => `Content-Type: multipart/mixed; boundary=b${depth}\r\n\r\n--b${depth}\r\n`).join('');
    const mails = [
      '\0\0\r\n',
      'a\nb\rc\r\n',
      `${'x'.repeat(2_000_000)}\r\n`,
      '\r\n\r\n',
      nested,
      `Subject: ${'\xff'.repeat(300)}\r\n\r\n\x1a\r\n`,
      `X: ${'h'.repeat(1_000_000)}\r\n\r\n`,
    ];
    for (const mail of mails) {
      const one = client();
      await one.begin();
      one.socket.write(Buffer.from(mail, 'latin1'));
      expect(await one.say('.')).toMatch(/^250/);
    }
    expect(stored).toEqual(mails);
  });

  it('of the largest size is taken, of one byte more it is not [EMAIL-7]', async () => {
    const { stored, client } = await door({ maxBytes: 2_000_000 });
    for (const [bytes, answer] of [
      [2_000_000, /^250/],
      [2_000_001, /^552/],
    ] as const) {
      const one = client();
      await one.begin();
      one.socket.write('z'.repeat(bytes - 2));
      expect(await one.say('\r\n.')).toMatch(answer);
    }
    const announced = client();
    await announced.answer();
    await announced.say('EHLO x');
    expect(await announced.say('MAIL FROM:<a@b.example> SIZE=2000001')).toMatch(/^552/);
    expect(stored.map(({ length }) => length)).toEqual([2_000_000]);
  });
});

describe('the receiver', () => {
  it('takes mail for the connected address and for the forwarding address, with any tag [EMAIL-5]', async () => {
    const { stored, client } = await door();
    for (const to of ['support+abcdefghijklmnop@acme.example', 'SUPPORT+A+B@acme.example', 'support-1+x@in.trunkline.example']) {
      const one = client();
      await one.begin(to);
      expect(await one.say('hi\r\n.')).toMatch(/^250/);
    }
    const other = client();
    await other.answer();
    for (const command of ['EHLO x', 'MAIL FROM:<>']) await other.say(command);
    for (const to of ['support+x@other.example', '+support@acme.example', 'sup+port@acme.example'])
      expect(await other.say(`RCPT TO:<${to}>`), to).toMatch(/^550/);
    expect(stored).toHaveLength(3);
  });

  it('asks SPF about the client that a relay of ours speaks for, and takes no word of others for it [EMAIL-8]', async () => {
    const { raws, client } = await door();
    const post = async (...commands: string[]) => {
      const one = client();
      await one.answer();
      await one.say('EHLO relay');
      for (const command of commands) await one.say(command);
      for (const command of ['EHLO mail.customer.example', 'MAIL FROM:<ben@customer.example>', 'RCPT TO:<support@acme.example>', 'DATA'])
        await one.say(command);
      expect(await one.say('hi\r\n.')).toMatch(/^250/);
      return checkedOf(raws.at(-1));
    };
    expect(await post()).toMatchObject({ local: true, spf: { result: 'fail' } });
    expect(await post('XCLIENT ADDR=192.0.2.1')).toMatchObject({ local: false, spf: { result: 'pass' } });
    expect(await post('XFORWARD ADDR=192.0.2.7')).toMatchObject({ local: false, spf: { result: 'fail' } });
    // Once it speaks for somebody else it is that somebody, who is no relay of ours.
    expect(await post('XCLIENT ADDR=192.0.2.7', 'EHLO x', 'XCLIENT ADDR=127.0.0.1')).toMatchObject({ local: false });
  });

  it('takes a hundred recipients in one mail and no more', async () => {
    const { client } = await door();
    const one = client();
    await one.answer();
    for (const command of ['EHLO x', 'MAIL FROM:<>']) await one.say(command);
    for (let place = 0; place < 100; place += 1) expect(await one.say(`RCPT TO:<support+${place}@acme.example>`)).toMatch(/^250/);
    expect(await one.say('RCPT TO:<support@acme.example>')).toMatch(/^452/);
  });

  it('can be closed while a client waits for its greeting', async () => {
    const { listener, client } = await door();
    const one = client();
    await new Promise<void>((resolve) => one.socket.once('connect', () => resolve()));
    await listener.close();
    open.length = 0;
  });
});
