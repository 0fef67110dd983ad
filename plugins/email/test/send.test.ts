import PostalMime from 'postal-mime';
import type { SMTPServerOptions } from 'smtp-server';
import { afterEach, describe, expect, it } from 'vitest';
import { ChannelFailure, type OutboundMessage } from '@trunkline/channel-sdk';
import plugin from '../index.ts';
import { check, connect, reserve, send, update } from '../send.ts';
import { fakeSmtp, rawServer, refusal, upToTheDot } from './smtp-fake.ts';
import { channel, pluginContext, person, reply } from './support.ts';

/** Time enough for a server that answers, however busy the machine is. */
const SHORT = { connect: 3_000, answer: 3_000 };
const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((server) => server.close()));
});

function keep<Server extends { close(): Promise<void> }>(server: Server): Server {
  closing.push(server);
  return server;
}

async function failure(port: number, message: OutboundMessage = reply(), more: Record<string, unknown> = {}): Promise<ChannelFailure> {
  const error: unknown = await send(message, pluginContext(channel(more, port)), SHORT).catch((thrown: unknown) => thrown);
  if (!(error instanceof ChannelFailure)) throw new Error('no ChannelFailure');
  return error;
}

describe('sending', () => {
  it('hands over one mail from the connected address, with the reserved Message-ID, the subject once "Re:" and the thread [EMAIL-2, EMAIL-5]', async () => {
    const smtp = keep(await fakeSmtp());
    const context = pluginContext(channel({}, smtp.port));
    const message = reply({
      cc: [person('cleo@partner.example', 'Cléo')],
      subject: 'AW: RE: Die Küche',
      html: '<p>Hi</p>',
      precedingIds: ['<first@customer.example>', 'sha256:abc', '<second@acme.example>'],
    });
    const receipt = await send(message, context);
    expect(receipt).toEqual({ ...reserve(message, context), state: 'sent' });
    expect(smtp.mails).toHaveLength(1);
    expect(smtp.mails[0]).toMatchObject({ from: 'support@acme.example', to: ['ben@customer.example', 'cleo@partner.example'] });
    const mail = await PostalMime.parse(smtp.mails[0]?.mime ?? '');
    expect(mail).toMatchObject({
      from: { name: 'Ada at Acme', address: 'support@acme.example' },
      to: [{ name: 'Ben Carter', address: 'ben@customer.example' }],
      cc: [{ name: 'Cléo', address: 'cleo@partner.example' }],
      subject: 'Re: Die Küche',
      messageId: receipt.providerMessageId,
      inReplyTo: '<first@customer.example>',
      references: '<second@acme.example> <first@customer.example>',
      html: '<p>Hi</p>\n',
    });
    expect(mail.text?.trim()).toBe('We send you a new one.');
  });

  it('reserves the same id and token at every try and takes them as thread keys [CH-5, EMAIL-5]', () => {
    const ids = reserve(reply(), pluginContext());
    expect(ids).toEqual({
      providerMessageId: '<trunkline.0198c0de-0000-7000-8000-000000000001@acme.example>',
      keys: ['<trunkline.0198c0de-0000-7000-8000-000000000001@acme.example>', expect.stringMatching(/^token:[a-z0-9]{16}$/)],
    });
    expect(reserve(reply(), pluginContext())).toEqual(ids);
  });

  it('sends attachments, read only then [CH-6]', async () => {
    const smtp = keep(await fakeSmtp());
    const read = async () => new TextEncoder().encode('%PDF');
    await send(reply({ attachments: [{ fileName: 'bill\r\nX-Bad: 1.pdf', type: 'application/pdf', bytes: 4, read }] }), pluginContext(channel({}, smtp.port)));
    const mail = await PostalMime.parse(smtp.mails[0]?.mime ?? '', { attachmentEncoding: 'utf8' });
    expect(mail.attachments).toMatchObject([{ filename: 'bill X-Bad: 1.pdf', content: '%PDF' }]);
  });

  it('logs in with the password, and counts the refused among several recipients', async () => {
    const smtp = keep(
      await fakeSmtp({
        authOptional: false,
        onAuth: (auth, _session, callback) => callback(auth.password === 'right' ? null : refusal(535), { user: 'ada' }),
        onRcptTo: (to, _session, callback) => callback(to.address.startsWith('cleo') ? refusal(550) : null),
      }),
    );
    const login = { smtp: { host: '127.0.0.1', port: smtp.port, secure: 'none', username: 'ada' } };
    const context = pluginContext(channel({ ...login, smtpPassword: 'right' }));
    await connect(context);
    await send(reply({ cc: [person('cleo@partner.example')] }), context);
    expect(smtp.mails[0]?.to).toEqual(['ben@customer.example']);
    expect(context.lines).toEqual(['some recipients were refused {"message":"0198c0de-0000-7000-8000-000000000001","count":1,"smtp":550}']);
    const wrong = pluginContext(channel({ ...login, smtpPassword: 'wrong' }));
    await expect(check(wrong, SHORT)).rejects.toMatchObject({ failure: { code: 'Disconnected', reason: 'smtp 535' } });
    await expect(connect(wrong, SHORT)).rejects.toMatchObject({ failure: { code: 'Rejected', reason: 'smtp 535' } });
    await expect(send(reply(), wrong, SHORT)).rejects.toMatchObject({ failure: { code: 'Disconnected', reason: 'smtp 535' } });
  });
});

describe('another From address', () => {
  const asking = (said: string[], no: Record<string, number> = {}): SMTPServerOptions => ({
    authOptional: false,
    onAuth: (auth, _session, callback) => callback(auth.password === 'right' ? null : refusal(535), { user: 'ada' }),
    onMailFrom: ({ address }, _session, callback) => {
      said.push(`MAIL ${address}`);
      callback(no['MAIL'] === undefined ? null : refusal(no['MAIL']));
    },
    onRcptTo: ({ address }, _session, callback) => {
      said.push(`RCPT ${address}`);
      callback(no['RCPT'] === undefined ? null : refusal(no['RCPT']));
    },
  });
  const settings = (port: number, more: Record<string, unknown> = {}) =>
    pluginContext(
      channel({ smtp: { host: '127.0.0.1', port, secure: 'none', username: 'ada' }, smtpPassword: 'right', fromAddress: 'help@acme.example', ...more }),
    );

  it('is asked of the server when saved, and nothing is sent [EMAIL-2]', async () => {
    const said: string[] = [];
    const smtp = keep(await fakeSmtp(asking(said)));
    await connect(settings(smtp.port), SHORT);
    await update(settings(smtp.port), SHORT);
    expect(said).toEqual(Array.from({ length: 2 }, () => ['MAIL help@acme.example', 'RCPT support@acme.example']).flat());
    expect(smtp.mails).toEqual([]);
  });

  it.each([
    [{ MAIL: 550 }, { code: 'Rejected', reason: 'smtp 550' }],
    [{ MAIL: 553 }, { code: 'Rejected', reason: 'smtp 553' }],
    [{ RCPT: 554 }, { code: 'Rejected', reason: 'smtp 554' }],
    [{ MAIL: 451 }, { code: 'Unavailable', reason: 'smtp 451' }],
    [{ MAIL: 421 }, { code: 'Unavailable', reason: 'the SMTP server asked for patience' }],
  ])('that the server refuses is refused, by its code alone: %o [EMAIL-2, PLUG-6]', async (no, failed) => {
    const smtp = keep(await fakeSmtp(asking([], no)));
    for (const save of [connect, update]) await expect(save(settings(smtp.port), SHORT)).rejects.toMatchObject({ failure: failed });
    await expect(update(settings(smtp.port, { smtpPassword: 'wrong' }), SHORT)).rejects.toMatchObject({ failure: { code: 'Rejected', reason: 'smtp 535' } });
    expect(smtp.mails).toEqual([]);
  });

  it('can not be saved where the server says nothing, hangs up, or talks without end [EMAIL-2, PLUG-6]', async () => {
    for (const answer of ['', 'hang up', `250-${'x'.repeat(60_000)}\r\n`]) {
      const smtp = keep(
        await rawServer((socket) => {
          socket.write('220 ready\r\n');
          socket.on('data', (data) => {
            if (!data.toString().startsWith('MAIL')) return void socket.write('250 ok\r\n');
            if (answer === 'hang up') socket.destroy();
            else for (let times = 0; times < 3; times += 1) socket.write(answer);
          });
        }),
      );
      const context = settings(smtp.port, { smtp: { host: '127.0.0.1', port: smtp.port, secure: 'none' }, smtpPassword: undefined });
      await expect(connect(context, SHORT), answer.slice(0, 8)).rejects.toMatchObject({ failure: { code: 'Unavailable' } });
    }
  });

  it('is not asked for where there is none, so that a server that is away keeps nobody from an edit', async () => {
    const gone = await rawServer(() => {});
    await gone.close();
    await update(settings(gone.port, { fromAddress: undefined }), SHORT);
    await update(settings(gone.port, { fromAddress: 'Support@acme.example' }), SHORT);
    await expect(update(settings(gone.port), SHORT)).rejects.toMatchObject({ failure: { code: 'Unavailable' } });
  });
});

describe('an SMTP server that says no', () => {
  it.each([
    [421, { code: 'RateLimited', retryAfterSeconds: 60 }],
    [450, { code: 'Unavailable', reason: 'smtp 450' }],
    [451, { code: 'Unavailable', reason: 'smtp 451' }],
    [452, { code: 'Unavailable', reason: 'smtp 452' }],
    [454, { code: 'Unavailable', reason: 'smtp 454' }],
    [503, { code: 'Unavailable', reason: 'smtp 503' }],
    [530, { code: 'Disconnected', reason: 'smtp 530' }],
    [550, { code: 'Rejected', reason: 'smtp 550' }],
    [552, { code: 'Rejected', reason: 'smtp 552' }],
    [554, { code: 'Rejected', reason: 'smtp 554' }],
  ])('with %i, at the sender, the recipient or the mail itself, is told by its code alone [PLUG-6, CH-5]', async (status, expected) => {
    const steps = [
      await fakeSmtp({ onMailFrom: (_address, _session, callback) => callback(refusal(status)) }),
      await fakeSmtp({ onRcptTo: (_address, _session, callback) => callback(refusal(status)) }),
      await fakeSmtp({
        onData: (stream, _session, callback) => {
          stream.resume();
          stream.on('end', () => callback(refusal(status)));
        },
      }),
    ];
    for (const smtp of steps.map(keep)) {
      const error = await failure(smtp.port);
      expect(error.failure).toEqual(expected);
      expect(error.cause).toBeUndefined();
      expect(`${error.message} ${String(error.stack)}`).not.toMatch(/customer\.example|lamp|wanted/);
    }
  });

  it('with a temporary no before a mail is named, in the greeting or to the login, bids the whole channel wait [PLUG-6, CH-5]', async () => {
    for (const status of [421, 450, 451, 454]) {
      const greets = keep(await rawServer((socket) => socket.write(`${status} later\r\n`)));
      expect((await failure(greets.port)).failure).toEqual({ code: 'RateLimited', retryAfterSeconds: 60 });
      const login = keep(await fakeSmtp({ authOptional: false, onAuth: (_auth, _session, callback) => callback(refusal(status)) }));
      const smtp = { host: '127.0.0.1', port: login.port, secure: 'none', username: 'ada' };
      expect((await failure(login.port, reply(), { smtp, smtpPassword: 'x' })).failure).toEqual({ code: 'RateLimited', retryAfterSeconds: 60 });
    }
  });

  it('for size before anything is sent is Rejected', async () => {
    const smtp = keep(await fakeSmtp({ size: 10 }));
    expect((await failure(smtp.port)).failure).toEqual({ code: 'Rejected', reason: 'larger than the SMTP server takes' });
  });
});

describe('an SMTP server that says nothing', () => {
  it('before the mail went out is Unavailable: refused, never greeting, hanging up, talking nonsense, no TLS, no such host [PLUG-6]', async () => {
    const gone = await rawServer(() => {});
    await gone.close();
    const silent = keep(await rawServer(() => {}));
    const rude = keep(await rawServer((socket) => socket.end()));
    const nonsense = keep(await rawServer((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const closed = keep(await rawServer((socket) => socket.write('554 no service here\r\n')));
    const ports = [gone.port, silent.port, rude.port, nonsense.port, closed.port];
    for (const port of ports) expect((await failure(port)).failure.code).toBe('Unavailable');
    const plain = keep(await fakeSmtp());
    const tls = (secure: string, host = '127.0.0.1') => ({ smtp: { host, port: plain.port, secure } });
    expect((await failure(0, reply(), tls('starttls'))).failure.code).toBe('Unavailable');
    expect((await failure(0, reply(), tls('tls'))).failure.code).toBe('Unavailable');
    expect((await failure(0, reply(), tls('none', 'no-such-host.invalid'))).failure.code).toBe('Unavailable');
    expect(plain.mails).toEqual([]);
  });

  it('after the mail went out is MaybeSent: hanging up, never answering, talking nonsense [CH-5, PLUG-6]', async () => {
    const hangsUp = keep(await rawServer(upToTheDot((socket) => socket.destroy())));
    const never = keep(await rawServer(upToTheDot(() => {})));
    const nonsense = keep(await rawServer(upToTheDot((socket) => socket.write('what?\r\n'))));
    for (const { port } of [hangsUp, never, nonsense]) {
      expect((await failure(port)).failure).toEqual({ code: 'MaybeSent', reason: 'the connection ended before the SMTP server confirmed the mail' });
    }
    expect(plugin.findSent).toBeUndefined();
  });

  it('when the engine waits no longer: MaybeSent after the mail went out, Unavailable before [PLUG-6]', async () => {
    const abort = new AbortController();
    const never = keep(await rawServer(upToTheDot(() => abort.abort())));
    const after = send(reply(), { ...pluginContext(channel({}, never.port)), signal: abort.signal });
    await expect(after).rejects.toMatchObject({ failure: { code: 'MaybeSent' } });
    const before = send(reply(), { ...pluginContext(channel({}, never.port)), signal: AbortSignal.abort() });
    await expect(before).rejects.toMatchObject({ failure: { code: 'Unavailable' } });
  });

  it("about an attachment that can not be read is the reader's own failure, before anything is sent", async () => {
    const smtp = keep(await fakeSmtp());
    const attachment = (error: Error) => ({ fileName: 'a', type: 'text/plain', bytes: 1, read: () => Promise.reject(error) });
    const known = attachment(new ChannelFailure({ code: 'Unavailable', reason: 'blob store' }));
    expect((await failure(smtp.port, reply({ attachments: [known] }))).failure).toEqual({ code: 'Unavailable', reason: 'blob store' });
    expect((await failure(smtp.port, reply({ attachments: [attachment(new Error('/secret/path'))] }))).message).not.toContain('secret');
    expect(smtp.mails).toEqual([]);
  });
});
