import { connect as connectSocket, type Socket } from 'node:net';
import nodemailer from 'nodemailer';
import { afterEach, describe, expect, it } from 'vitest';
import { ChannelFailure, type Listener, type RawDelivery } from '@trunkline/channel-sdk';
import { listen, type ListenOptions } from '../listen.ts';
import { channel } from './support.ts';

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close()));
});

interface Stored {
  readonly key: string;
  readonly raw: RawDelivery;
}

async function receiver(store: (stored: Stored) => Promise<void>, options: ListenOptions = {}) {
  const lines: string[] = [];
  const channels = [channel(), { ...channel({ address: 'sales@acme.example' }), key: 'sales-2' }];
  const listener = await listen(
    {
      host: '127.0.0.1',
      port: 0,
      findChannel: async (by) => channels.find((one) => ('key' in by ? one.key === by.key : one.address === by.address)),
      deliver: (key, raw) => store({ key, raw }),
      resolveDns: () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
      now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
      log: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
    },
    options,
  );
  open.push(listener);
  const client = nodemailer.createTransport({ host: '127.0.0.1', port: listener.port, ignoreTLS: true });
  const post = (to: string | string[], raw = 'Subject: hi\r\n\r\nhello\r\n', from = 'ben@customer.example') => client.sendMail({ envelope: { from, to }, raw });
  return { listener, post, lines };
}

describe('the SMTP receiver', () => {
  it('takes mail for the forwarding address of any domain and for the connected address, byte for byte [EMAIL-1, PLUG-4]', async () => {
    const stored: Stored[] = [];
    const { post } = await receiver(async (one) => void stored.push(one));
    await post('Support-1@in.trunkline.example');
    await post('support-1+token@anything.example');
    await post('SUPPORT@acme.example');
    expect(stored.map(({ key }) => key)).toEqual(['support-1', 'support-1', 'support-1']);
    expect(stored[0]?.raw).toMatchObject({
      method: 'SMTP',
      headers: { 'mail-from': 'ben@customer.example', 'rcpt-to': 'Support-1@in.trunkline.example' },
      receivedAt: '2026-01-02T03:04:05.000Z',
    });
    expect(new TextDecoder().decode(stored[0]?.raw.body)).toBe('Subject: hi\r\n\r\nhello\r\n');
  });

  it('refuses an unknown recipient by 550 and still takes the known one beside it', async () => {
    const stored: Stored[] = [];
    const { post } = await receiver(async (one) => void stored.push(one));
    await expect(post('nobody@acme.example')).rejects.toMatchObject({ responseCode: 550 });
    const sent = await post(['nobody@acme.example', 'support@acme.example']);
    expect(sent.rejected).toEqual(['nobody@acme.example']);
    expect(stored).toHaveLength(1);
  });

  it('gives a mail to several channels to each of them once [EMAIL-5]', async () => {
    const stored: Stored[] = [];
    const { post } = await receiver(async (one) => void stored.push(one));
    await post(['support@acme.example', 'sales@acme.example', 'support-1@in.trunkline.example']);
    expect(stored.map(({ key, raw }) => [key, raw.headers['rcpt-to']])).toEqual([
      ['support-1', 'support@acme.example support-1@in.trunkline.example'],
      ['sales-2', 'sales@acme.example'],
    ]);
  });

  it('accepts the null sender of a bounce [EMAIL-6]', async () => {
    const stored: Stored[] = [];
    const { post } = await receiver(async (one) => void stored.push(one));
    await post('support@acme.example', undefined, '');
    expect(stored[0]?.raw.headers['mail-from']).toBe('');
  });

  it('confirms only after the mail is stored [PLUG-4]', async () => {
    const stored = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const { post } = await receiver(() => {
      arrived.resolve();
      return stored.promise;
    });
    let confirmed = false;
    const sending = post('support@acme.example').then(() => (confirmed = true));
    await arrived.promise;
    expect(confirmed).toBe(false);
    stored.resolve();
    await sending;
    expect(confirmed).toBe(true);
  });

  it('answers 451 when it can not be stored, so that it comes again, and says so without an address [EMAIL-9, PLUG-6]', async () => {
    const { post, lines } = await receiver(() => Promise.reject(new ChannelFailure({ code: 'Unavailable', reason: 'database' })));
    await expect(post('support@acme.example')).rejects.toMatchObject({ responseCode: 451 });
    expect(lines).toEqual(['mail not stored {"reason":"Unavailable: database"}']);
    const other = await receiver(() => Promise.reject(new Error('duplicate key: support@acme.example')));
    await expect(other.post('support@acme.example')).rejects.toMatchObject({ responseCode: 451 });
    expect(other.lines.join()).not.toContain('acme');
  });

  it('refuses what is over the size limit by 552, both announced and found out [EMAIL-7]', async () => {
    const stored: Stored[] = [];
    const { post, listener } = await receiver(async (one) => void stored.push(one), { maxBytes: 10_000 });
    await expect(post('support@acme.example', `Subject: big\r\n\r\n${'a'.repeat(20_000)}`)).rejects.toMatchObject({ responseCode: 552 });
    const answers = await dialogue(listener.port, ['EHLO x', 'MAIL FROM:<> SIZE=20000']);
    expect(answers.at(-1)).toMatch(/^552/);
    await post('support@acme.example', `Subject: fits\r\n\r\n${'a'.repeat(9_000)}`);
    expect(stored).toHaveLength(1);
  });

  it('takes no bytes for an end: 0 bytes are a mail [EMAIL-7]', async () => {
    const stored: Stored[] = [];
    const { listener } = await receiver(async (one) => void stored.push(one));
    const answers = await dialogue(listener.port, ['EHLO x', 'MAIL FROM:<>', 'RCPT TO:<support@acme.example>', 'DATA', '.']);
    expect(answers.at(-1)).toMatch(/^250/);
    expect(stored[0]?.raw.body.length).toBe(0);
  });

  it('closes idle connections at once and lets a mail under way end', async () => {
    const stored = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const { post, listener } = await receiver(() => {
      arrived.resolve();
      return stored.promise;
    });
    const idle = connectSocket(listener.port, '127.0.0.1');
    await new Promise((resolve) => idle.once('data', resolve));
    const sending = post('support@acme.example');
    await arrived.promise;
    const ended = new Promise((resolve) => idle.once('close', resolve));
    const closing = listener.close();
    await ended;
    stored.resolve();
    expect((await sending).response).toMatch(/^250/);
    await closing;
    await expect(post('support@acme.example')).rejects.toMatchObject({ code: 'ESOCKET' });
  });
});

/** Speaks SMTP by hand; the answers' last lines. */
async function dialogue(port: number, commands: readonly string[]): Promise<string[]> {
  const socket: Socket = connectSocket(port, '127.0.0.1');
  let buffer = '';
  let notify = () => {};
  socket.on('data', (data) => {
    buffer += data.toString();
    notify();
  });
  const answer = async (): Promise<string> => {
    for (;;) {
      const match = /^(\d{3} [^\r]*)\r\n/m.exec(buffer);
      if (match !== null) {
        buffer = buffer.slice(match.index + match[0].length);
        return match[1] ?? '';
      }
      await new Promise<void>((resolve) => (notify = resolve));
    }
  };
  const answers = [await answer()];
  for (const command of commands) {
    socket.write(`${command}\r\n`);
    answers.push(await answer());
  }
  socket.destroy();
  return answers;
}
