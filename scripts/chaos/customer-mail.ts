import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';

/** A mail as its author's server hands it over. */
export interface CustomerMail {
  readonly from: { readonly name: string; readonly address: string };
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly messageId: string;
  /** The Message-ID it answers. */
  readonly answers?: string | undefined;
}

const TRIES = 300;
const AGAIN_MS = 200;

/** Sends it to `host:port` until it is acknowledged, as a mail server does; resolves with the number of tries, and throws after three hundred. */
export async function sendUntilTaken(smtp: string, mail: CustomerMail): Promise<number> {
  const [host = '', port] = smtp.split(':');
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const transport = createTransport({ host, port: Number(port), ignoreTLS: true, connectionTimeout: 3_000, greetingTimeout: 3_000, socketTimeout: 8_000 });
    try {
      const { answers, ...rest } = mail;
      await transport.sendMail({ ...rest, ...(answers === undefined ? {} : { inReplyTo: answers, references: answers }) });
      return attempt;
    } catch {
      await sleep(AGAIN_MS);
    } finally {
      transport.close();
    }
  }
  throw new Error(`a mail was not taken in ${TRIES} tries`);
}
