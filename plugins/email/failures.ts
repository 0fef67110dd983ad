import { ChannelFailure, type Failure } from '@trunkline/channel-sdk';

/** Seconds until a server that is not to be bothered now is tried again, by anybody of the channel. */
const PATIENCE_SECONDS = 60;
/** Commands that name one mail: a temporary no to them is no word on the others. */
const OF_ONE_MAIL = new Set<unknown>(['MAIL FROM', 'RCPT TO', 'DATA']);
/** 530, 534, 535, 538: log in first, or better. */
const LOGIN_REFUSED = new Set([530, 534, 535, 538]);

const PHRASES: Readonly<Record<string, string>> = {
  ECONNECTION: 'connection to the SMTP server failed',
  ESOCKET: 'connection to the SMTP server failed',
  ETIMEDOUT: 'the SMTP server did not answer in time',
  EDNS: 'the SMTP server was not found',
  ETLS: 'no TLS with the SMTP server',
  EPROTOCOL: 'the SMTP server gave an answer that is none',
};

/**
 * What an error of the SMTP client means (PLUG-6). `handedOver`: the mail's bytes had begun to go out, so that without
 * a reply nobody can say whether it was taken, and it must not go again by itself.
 * Only codes and fixed phrases are kept: the client's errors hold addresses and the server's words.
 */
export function smtpFailure(error: unknown, handedOver: boolean): ChannelFailure {
  return new ChannelFailure(classify(error, handedOver));
}

function classify(error: unknown, handedOver: boolean): Failure {
  const code = property(error, 'code');
  const reply = property(error, 'responseCode');
  const status = typeof reply === 'number' && reply >= 400 && reply <= 599 ? reply : undefined;
  if (status === undefined) {
    if (handedOver) return { code: 'MaybeSent', reason: 'the connection ended before the SMTP server confirmed the mail' };
    if (code === 'EAUTH') return { code: 'Disconnected', reason: 'the SMTP server takes no login of this kind' };
    if (code === 'EENVELOPE') return { code: 'Rejected', reason: 'an address that SMTP can not carry' };
    if (code === 'EMESSAGE') return { code: 'Rejected', reason: 'larger than the SMTP server takes' };
    const phrase = typeof code === 'string' && Object.hasOwn(PHRASES, code) ? PHRASES[code] : undefined;
    return { code: 'Unavailable', reason: phrase ?? 'the mail could not be handed over' };
  }
  // 421 closes the door on everybody, and so does a "later" before a mail was named. A greylisted recipient, a full mailbox (450, 451, 452) are this mail's alone.
  const toEverybody = !handedOver && !OF_ONE_MAIL.has(property(error, 'command'));
  if (status === 421 || (status < 500 && toEverybody)) return { code: 'RateLimited', retryAfterSeconds: PATIENCE_SECONDS };
  // 503 speaks of the order of commands, not of the mail: a new connection may do.
  if (status < 500 || status === 503) return { code: 'Unavailable', reason: `smtp ${status}` };
  if (code === 'EAUTH') return { code: 'Disconnected', reason: `smtp ${status}` };
  // A no to the greeting or to TLS is no judgement on this mail: it goes when the server or the settings are mended.
  if (!handedOver && code !== 'EENVELOPE' && code !== 'EMESSAGE') return { code: 'Unavailable', reason: `smtp ${status}` };
  if (LOGIN_REFUSED.has(status)) return { code: 'Disconnected', reason: `smtp ${status}` };
  return { code: 'Rejected', reason: `smtp ${status}` };
}

function property(error: unknown, name: string): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
}
