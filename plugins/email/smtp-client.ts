import { Readable } from 'node:stream';
import SMTPConnection, { type SMTPConnectionSendInfo } from 'nodemailer/lib/smtp-connection';
import { smtpFailure } from './failures.ts';
import type { RenderedMail } from './render.ts';
import { askSender, type SenderQuestion } from './sender-question.ts';
import type { EmailSettings } from './settings.ts';

/** How long each wait may take, in milliseconds. */
export interface SmtpTimeouts {
  /** Until the connection stands, and again until the server greets. */
  readonly connect: number;
  /** Without a byte from the server, in any later step: a server may well scan a mail before it confirms it. */
  readonly answer: number;
}

export const SMTP_TIMEOUTS: SmtpTimeouts = { connect: 10_000, answer: 60_000 };

/** What a session is for; neither: only to log in. */
export interface SmtpWork {
  readonly mail?: RenderedMail;
  /** Whether the server would let this address send. Nothing is sent. */
  readonly ask?: SenderQuestion;
}

/** One session. Rejects with a `ChannelFailure` and nothing else. */
export function talk(
  settings: EmailSettings,
  { mail, ask }: SmtpWork,
  signal: AbortSignal,
  timeouts: SmtpTimeouts,
): Promise<SMTPConnectionSendInfo | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<SMTPConnectionSendInfo | undefined>();
  const connection = new SMTPConnection(options(settings, timeouts));
  let handedOver = false;
  const fail = (error: unknown) => {
    reject(smtpFailure(error, handedOver));
    connection.close();
  };
  const aborted = () => fail(undefined);
  const finish = (info?: SMTPConnectionSendInfo) => {
    resolve(info);
    connection.quit();
  };
  const asked = () => {
    finish();
    // The client no longer reads: it would wait for an answer to QUIT.
    connection.close();
  };
  const work = () => {
    if (ask !== undefined && connection._socket) return void askSender(connection._socket, ask).then(asked, fail);
    if (mail === undefined) return finish();
    // A stream is first read when the server has said "go ahead" to DATA: from then on an end without a reply is uncertain.
    const body = new Readable({
      read() {
        handedOver = true;
        body.push(mail.mime);
        body.push(null);
      },
    });
    connection.send({ from: mail.from, to: [...mail.recipients], size: mail.mime.length }, body, (error, info) =>
      error === null ? finish(info) : fail(error),
    );
  };
  connection.on('error', fail);
  // A last reply (421) is told after the end of its connection, and it is the better answer.
  connection.on('end', () => setImmediate(() => fail(undefined)));
  signal.addEventListener('abort', aborted, { once: true });
  if (signal.aborted) aborted();
  else {
    connection.connect((error) => {
      if (error) return fail(error);
      const { username } = settings.smtp;
      if (username === undefined) return work();
      connection.login({ user: username, pass: settings.smtpPassword ?? '' }, (refused) => (refused ? fail(refused) : work()));
    });
  }
  return promise.finally(() => signal.removeEventListener('abort', aborted));
}

function options(settings: EmailSettings, timeouts: SmtpTimeouts): SMTPConnection.Options {
  const { host, port, secure } = settings.smtp;
  return {
    host,
    port,
    secure: secure === 'tls',
    requireTLS: secure === 'starttls',
    ignoreTLS: secure === 'none',
    // The machine's own name is nobody's business; the sender's domain is what the mail says anyway.
    name: settings.address.slice(settings.address.lastIndexOf('@') + 1),
    connectionTimeout: timeouts.connect,
    dnsTimeout: timeouts.connect,
    greetingTimeout: timeouts.connect,
    socketTimeout: timeouts.answer,
    logger: false,
  };
}
