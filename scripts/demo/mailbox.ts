import { createTransport } from 'nodemailer';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer } from 'smtp-server';

/** The world outside: customers with a mail client, and their provider's SMTP server, which gets our answers. */
export interface Outside {
  /** Where the account's replies are handed in. */
  readonly smtpPort: number;
  /** Sends a mail as its author's mail client would; resolves with its Message-ID once it was taken. */
  send(mail: CustomerMail): Promise<string>;
  /** Answers the newest mail that this customer got. */
  answer(from: string, text: string): Promise<string>;
  /** What has come to an address so far. */
  received(address: string): readonly Email[];
  close(): Promise<void>;
}

export interface CustomerMail {
  readonly from: string;
  readonly name: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html?: string;
}

/** `smtp`: where Trunkline takes mail, `host:port`. */
export async function openOutside(smtp: string): Promise<Outside> {
  const mails: { readonly to: readonly string[]; readonly mail: Email }[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    onData(stream, session, done) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        PostalMime.parse(Buffer.concat(parts)).then((mail) => {
          mails.push({ to: session.envelope.rcptTo.map((one) => one.address), mail });
          done();
        }, done);
      });
    },
  });
  // A sender that is killed in the middle of a mail resets its connection.
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const [host, port] = smtp.split(':');
  const client = createTransport({ host: host ?? '127.0.0.1', port: Number(port), ignoreTLS: true, pool: true });
  const names = new Map<string, string>();
  const received = (address: string): readonly Email[] => mails.filter(({ to }) => to.includes(address)).map(({ mail }) => mail);
  return {
    smtpPort: (server.server.address() as { port: number }).port,
    received,
    async send({ from, name, to, subject, text, html }) {
      names.set(from, name);
      const sent = await client.sendMail({ from: { name, address: from }, to, subject, text, ...(html === undefined ? {} : { html }) });
      return sent.messageId;
    },
    async answer(from, text) {
      const got = received(from).at(-1);
      if (got === undefined) throw new Error('there is no mail to answer');
      const sent = await client.sendMail({
        from: { name: names.get(from) ?? '', address: from },
        // As every mail client does: to the Reply-To, which carries our token, with the mail that is answered below.
        to: got.replyTo?.[0]?.address ?? got.from?.address ?? '',
        subject: `Re: ${got.subject?.replace(/^Re: /, '') ?? ''}`,
        text: `${text}\n\nOn ${got.date ?? 'that day'}, ${got.from?.name ?? ''} <${got.from?.address ?? ''}> wrote:\n${quoted(got.text ?? '')}`,
        inReplyTo: got.messageId ?? '',
        references: [got.references, got.messageId].filter((one) => one !== undefined).join(' '),
      });
      return sent.messageId;
    },
    async close() {
      client.close();
      await new Promise<void>((resolve) => server.close(resolve));
    },
  };
}

function quoted(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `> ${line}`)
    .join('\n');
}
