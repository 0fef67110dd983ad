import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import { describeFailure, ChannelFailure, type ListenContext, type Listener } from '@trunkline/channel-sdk';
import { canonicalAddress, domainOf } from './address.ts';
import { CHECK_MS, createSenderCheck } from './check-sender.ts';
import { CHECKED_HEADER } from './checked.ts';
import { createMailReader } from './mail-bytes.ts';
import type { EmailSettings } from './settings.ts';
import { reply, SmtpReply } from './smtp-reply.ts';

/** Bytes of one mail: what the large providers let out, with the growth of Base64. */
export const MAX_MAIL_BYTES = 36 * 1024 * 1024;
/** Clients at once, and of one address: a single one must not keep everybody else out. */
const MAX_CLIENTS = 250;
const MAX_CLIENTS_OF_ADDRESS = 50;
const MAX_RECIPIENTS = 100;
/** A relay of the operator's own may say whom it speaks for (XCLIENT, XFORWARD), and brings mail of many. */
const OWN_RELAYS = ['127.0.0.1', '::1'];

/** What a server may differ in; for tests. */
export interface ListenOptions {
  readonly maxBytes?: number;
  /** Bytes of all mails that are on their way or being stored. */
  readonly maxHeldBytes?: number;
  /** Milliseconds that `close` waits for mails under way. */
  readonly closeTimeout?: number;
  /** Milliseconds without a byte from a client. */
  readonly idleMs?: number;
  /** Milliseconds of one connection, however busy: who sends a byte a minute must not keep a place for ever. */
  readonly sessionMs?: number;
  readonly checkMs?: number;
}

/**
 * The receiver of forwarded mail. Takes in mail for a channel's forwarding address (`<channel key>@` any domain) and for its connected
 * address, both also with a `+tag`. A mail is confirmed only once it is stored; until then its sending server keeps it.
 */
export async function listen(context: ListenContext<EmailSettings>, options: ListenOptions = {}): Promise<Listener> {
  const { maxBytes = MAX_MAIL_BYTES, maxHeldBytes = 256 * 1024 * 1024, sessionMs = 15 * 60_000 } = options;
  const mails = createMailReader(maxBytes, maxHeldBytes);
  const senders = createSenderCheck((name, type) => context.resolveDns(name, type), options.checkMs ?? CHECK_MS);
  /** Which channel each recipient of a session belongs to. */
  const channels = new WeakMap<SMTPServerSession, Map<string, string>>();
  const server: SMTPServer = new SMTPServer({
    // Nobody logs in here: the recipient decides. TLS is the operator's relay's, which has the certificate.
    disabledCommands: ['AUTH', 'STARTTLS', 'WIZ', 'SHELL', 'KILL'],
    authOptional: true,
    disableReverseLookup: true,
    // Not the machine's own name.
    name: 'trunkline',
    banner: 'ready',
    size: maxBytes,
    rejectOversized: true,
    maxClients: MAX_CLIENTS,
    maxRecipients: MAX_RECIPIENTS,
    useXClient: OWN_RELAYS,
    useXForward: OWN_RELAYS,
    socketTimeout: options.idleMs ?? 60_000,
    closeTimeout: options.closeTimeout ?? 10_000,
    logger: false,
    onConnect({ remoteAddress }, callback) {
      const same = [...server.connections].filter(({ session }) => session.remoteAddress === remoteAddress);
      const tooMany = same.length > MAX_CLIENTS_OF_ADDRESS && !OWN_RELAYS.includes(remoteAddress);
      callback(tooMany ? reply(421, 'Too many connections from there') : null);
    },
    onRcptTo(recipient, session, callback) {
      void answer(callback, async () => {
        const known = channels.get(session) ?? new Map<string, string>();
        channels.set(session, known);
        known.set(recipient.address, await channelFor(recipient.address));
      });
    },
    onData(stream, session, callback) {
      void answer(callback, async () => {
        const mail = await mails.read(stream);
        try {
          await deliver(mail, session);
        } finally {
          mails.release(mail);
        }
      });
    },
  });

  async function channelFor(recipient: string): Promise<string> {
    const address = canonicalAddress(recipient);
    if (address === undefined) throw reply(550, 'No such recipient here');
    // As it is written, then without its last "+tag", then without all of them.
    const local = address.slice(0, address.lastIndexOf('@'));
    const names = new Set([local, local.replace(/(?<=.)\+[^+]*$/, ''), local.replace(/(?<=.)\+.*$/, '')]);
    for (const name of names) {
      const channel = (await context.findChannel({ address: `${name}@${domainOf(address)}` })) ?? (await context.findChannel({ key: name }));
      if (channel !== undefined) return channel.key;
    }
    throw reply(550, 'No such recipient here');
  }

  /** Once for each channel. If one can not be stored the whole mail comes again: those that have it know it by its key. */
  async function deliver(body: Buffer, session: SMTPServerSession): Promise<void> {
    const byChannel = Map.groupBy(session.envelope.rcptTo, ({ address }) => channels.get(session)?.get(address) ?? '');
    const sender = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
    const checked = await senders.check(body, { ip: session.remoteAddress, helo: session.hostNameAppearsAs || '', sender });
    for (const [key, recipients] of byChannel) {
      const headers = {
        'mail-from': sender,
        'rcpt-to': recipients.map(({ address }) => address).join(' '),
        // Only we write it: the mail's own headers are in its body.
        [CHECKED_HEADER]: JSON.stringify(checked),
      };
      await context.deliver(key, { method: 'SMTP', url: `smtp:/${key}`, headers, body, receivedAt: new Date(context.now()).toISOString() });
    }
  }

  async function answer(callback: (error?: Error | null) => void, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      callback();
    } catch (error) {
      if (error instanceof SmtpReply) return callback(error);
      // Whatever it was, "later" is the answer that loses nothing.
      context.log('mail not stored', { reason: error instanceof ChannelFailure ? describeFailure(error.failure) : 'unexpected' });
      callback(reply(451, 'Not now, please try again'));
    }
  }

  const seen = new WeakMap<object, number>();
  const sweep = setInterval(
    () => {
      for (const connection of server.connections) {
        const since = seen.get(connection) ?? performance.now();
        seen.set(connection, since);
        if (performance.now() - since < sessionMs) continue;
        connection.send(421, 'This took too long, please try again');
        connection.close();
      }
    },
    Math.min(sessionMs / 4, 10_000),
  );
  sweep.unref();
  server.on('error', () => context.log('a mail connection failed'));
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject);
    server.listen(context.port, context.host, () => resolve());
  });
  const bound = server.server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : context.port,
    async close() {
      clearInterval(sweep);
      await closeServer(server);
      await senders.close();
    },
  };
}

/** Ends idle connections at once and waits for mails under way. */
function closeServer(server: SMTPServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    // A connection that was not greeted yet has no envelope, whatever the types say.
    for (const connection of server.connections) if ((connection.session.envelope?.rcptTo.length ?? 0) === 0) connection.close();
  });
}
