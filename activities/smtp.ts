import { Readable } from 'node:stream';
import MailComposer from 'nodemailer/lib/mail-composer';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { ClaimedMail, MailOutcome } from '#commands/system-mail.ts';
import type { SmtpSender } from '#commands/system-sender.ts';
import { backOffSeconds } from '#domain/outbox.ts';

/** Milliseconds: until the connection stands, and again until the server greets. */
const CONNECT_MS = 10_000;
/** Seconds for which a server is left alone that asks for patience, or refuses the login. */
const PATIENCE_SECONDS = 60;
const LOGIN_AGAIN_SECONDS = 300;

/** Hands one mail to the account's SMTP server. Never rejects: what came of it, in codes and fixed phrases, for the client's own errors hold addresses. */
export async function handOver(smtp: SmtpSender, password: string | undefined, mail: ClaimedMail, signal: AbortSignal, now: number): Promise<MailOutcome> {
  const mime = await compose(smtp, mail, now).catch(() => undefined);
  if (mime === undefined) return { kind: 'failed', reason: 'the mail could not be written' };
  const { promise, resolve } = Promise.withResolvers<MailOutcome>();
  const connection = new SMTPConnection(optionsOf(smtp));
  let handedOver = false;
  const fail = (error: unknown): void => {
    resolve(outcomeOf(error, handedOver, mail.attempt));
    connection.close();
  };
  const aborted = (): void => fail(undefined);
  const send = (): void => {
    // First read when the server has said "go ahead" to DATA: from then on an end without a reply is uncertain.
    const body = new Readable({
      read() {
        handedOver = true;
        body.push(mime);
        body.push(null);
      },
    });
    connection.send({ from: smtp.fromAddress, to: [mail.recipient], size: mime.length }, body, (error) => {
      if (error !== null) return fail(error);
      resolve({ kind: 'sent' });
      connection.quit();
    });
  };
  connection.on('error', fail);
  // A last reply (421) is told after the end of its connection, and it is the better answer.
  connection.on('end', () => setImmediate(() => fail(undefined)));
  signal.addEventListener('abort', aborted, { once: true });
  if (signal.aborted) aborted();
  else {
    connection.connect((error) => {
      if (error) return fail(error);
      if (smtp.username === undefined) return send();
      connection.login({ user: smtp.username, pass: password ?? '' }, (refused) => (refused ? fail(refused) : send()));
    });
  }
  return promise.finally(() => signal.removeEventListener('abort', aborted));
}

async function compose(smtp: SmtpSender, mail: ClaimedMail, now: number): Promise<Buffer> {
  const composer = new MailComposer({
    from: { name: smtp.fromName ?? '', address: smtp.fromAddress },
    to: [{ name: '', address: mail.recipient }],
    subject: mail.subject,
    text: mail.text,
    ...(mail.html === null ? {} : { html: mail.html }),
    date: new Date(now),
    // The same at every try, so that a server that has it already may say so.
    messageId: `<${mail.id}@${domainOf(smtp)}>`,
    // No person wrote it: whoever answers by machine is asked not to, and is filtered where it comes back (EMAIL-6).
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return composer.compile().build();
}

function domainOf({ fromAddress }: SmtpSender): string {
  return fromAddress.slice(fromAddress.lastIndexOf('@') + 1);
}

function optionsOf(smtp: SmtpSender): SMTPConnection.Options {
  return {
    host: smtp.host,
    port: smtp.port,
    secure: smtp.security === 'tls',
    requireTLS: smtp.security === 'starttls',
    ignoreTLS: smtp.security === 'none',
    name: domainOf(smtp),
    connectionTimeout: CONNECT_MS,
    dnsTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    logger: false,
  };
}

/** A temporary no to one of these is no word on other mails. */
const OF_ONE_MAIL = new Set<unknown>(['MAIL FROM', 'RCPT TO', 'DATA']);

function outcomeOf(error: unknown, handedOver: boolean, attempt: number): MailOutcome {
  const code = property(error, 'code');
  const reply = property(error, 'responseCode');
  const status = typeof reply === 'number' && reply >= 400 && reply <= 599 ? reply : undefined;
  if (status === undefined) {
    if (handedOver) return { kind: 'maybe-sent', reason: 'the connection ended before the SMTP server confirmed the mail' };
    if (code === 'EENVELOPE') return { kind: 'failed', reason: 'an address that SMTP can not carry' };
    if (code === 'EMESSAGE') return { kind: 'failed', reason: 'larger than the SMTP server takes' };
    if (code === 'EAUTH') return { kind: 'later', seconds: LOGIN_AGAIN_SECONDS, reason: 'the SMTP server takes no login of this kind', ofSender: true };
    return { kind: 'later', seconds: backOffSeconds(attempt), reason: 'the SMTP server can not be reached', ofSender: true };
  }
  const reason = `smtp ${status}`;
  if (code === 'EAUTH') return { kind: 'later', seconds: status < 500 ? PATIENCE_SECONDS : LOGIN_AGAIN_SECONDS, reason, ofSender: true };
  const ofThisMail = handedOver || OF_ONE_MAIL.has(property(error, 'command')) || code === 'EENVELOPE' || code === 'EMESSAGE';
  // A no to the greeting or to TLS is no judgement on this mail, nor is a 421: it goes when the server or the settings are mended.
  if (status === 421 || !ofThisMail) return { kind: 'later', seconds: Math.max(PATIENCE_SECONDS, backOffSeconds(attempt)), reason, ofSender: true };
  return status < 500 ? { kind: 'later', seconds: backOffSeconds(attempt), reason, ofSender: false } : { kind: 'failed', reason };
}

function property(error: unknown, name: string): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
}
