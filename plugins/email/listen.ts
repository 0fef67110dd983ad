import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import { describeFailure, ChannelFailure, type ListenContext, type Listener } from '@trunkline/channel-sdk';
import { canonicalAddress, localPart } from './address.ts';
import type { EmailSettings } from './settings.ts';

/** Bytes of one mail: what the large providers let out, with the growth of Base64. */
export const MAX_MAIL_BYTES = 36 * 1024 * 1024;

/** What a server may differ in; for tests. */
export interface ListenOptions {
  readonly maxBytes?: number;
  /** Milliseconds that `close` waits for mails under way. */
  readonly closeTimeout?: number;
}

/**
 * The receiver of forwarded mail. Takes in mail for a channel's forwarding address (`<channel key>@` any domain, a `+tag`
 * allowed) and for its connected address. A mail is confirmed only once it is stored; until then its sending server keeps it.
 */
export async function listen(context: ListenContext<EmailSettings>, options: ListenOptions = {}): Promise<Listener> {
  const maxBytes = options.maxBytes ?? MAX_MAIL_BYTES;
  /** Which channel each recipient of a session belongs to. */
  const channels = new WeakMap<SMTPServerSession, Map<string, string>>();
  const server = new SMTPServer({
    // Nobody logs in here: the recipient decides. TLS is the operator's proxy's, which has the certificate.
    disabledCommands: ['AUTH', 'STARTTLS'],
    authOptional: true,
    disableReverseLookup: true,
    banner: 'Trunkline',
    size: maxBytes,
    rejectOversized: true,
    maxClients: 200,
    socketTimeout: 60_000,
    closeTimeout: options.closeTimeout ?? 10_000,
    logger: false,
    onRcptTo(recipient, session, callback) {
      void answer(callback, async () => {
        const known = channels.get(session) ?? new Map<string, string>();
        channels.set(session, known);
        known.set(recipient.address, await channelFor(recipient.address));
      });
    },
    onData(stream, session, callback) {
      void answer(callback, async () => {
        const body = await read(stream, maxBytes);
        await deliver(body, session);
      });
    },
  });

  async function channelFor(recipient: string): Promise<string> {
    const address = canonicalAddress(recipient);
    if (address === undefined) throw reply(550, 'No such recipient here');
    const channel = (await context.findChannel({ address })) ?? (await context.findChannel({ key: localPart(address) }));
    if (channel === undefined) throw reply(550, 'No such recipient here');
    return channel.key;
  }

  /** Once for each channel. If one can not be stored the whole mail comes again: those that have it know it by its key. */
  async function deliver(body: Uint8Array, session: SMTPServerSession): Promise<void> {
    const byChannel = Map.groupBy(session.envelope.rcptTo, ({ address }) => channels.get(session)?.get(address) ?? '');
    const sender = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
    for (const [key, recipients] of byChannel) {
      const headers = { 'mail-from': sender, 'rcpt-to': recipients.map(({ address }) => address).join(' ') };
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

  server.on('error', () => context.log('a mail connection failed'));
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject);
    server.listen(context.port, context.host, () => resolve());
  });
  const bound = server.server.address();
  return { port: typeof bound === 'object' && bound !== null ? bound.port : context.port, close: () => close(server) };
}

/** All of it, unless it is too large: then the rest is let through unkept, for the sender listens only when it has said everything. */
async function read(stream: SMTPServerDataStream, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > maxBytes) chunks.length = 0;
    else chunks.push(chunk);
  }
  if (bytes > maxBytes || stream.sizeExceeded) throw reply(552, 'Larger than we take');
  return Buffer.concat(chunks);
}

/** Ends idle connections at once and waits for mails under way. */
function close(server: SMTPServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const connection of server.connections) if (connection.session.envelope.rcptTo.length === 0) connection.close();
  });
}

class SmtpReply extends Error {
  readonly responseCode: number;
  constructor(responseCode: number, message: string) {
    super(message);
    this.responseCode = responseCode;
  }
}

function reply(code: number, message: string): SmtpReply {
  return new SmtpReply(code, message);
}
