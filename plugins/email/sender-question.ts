import type { Socket } from 'node:net';

/** May `from` send? Asked with a recipient who would not mind. */
export interface SenderQuestion {
  readonly from: string;
  readonly to: string;
}

/** Characters of one answer; a server says no more than a few lines. */
const LONGEST_ANSWER = 64 * 1024;

/**
 * Says MAIL FROM and RCPT TO on a session that is logged in, and takes both back: the server's word on whether it would take such a mail, without
 * one. The SMTP client has no such step, so its reader is taken off the socket; time-out and end of the connection stay its business.
 * Rejects with an error of the client's own shape.
 */
export async function askSender(socket: Socket, { from, to }: SenderQuestion): Promise<void> {
  socket.removeAllListeners('data');
  const answer = answersOf(socket);
  const utf8 = /[^\u0000-\u007f]/.test(from + to) ? ' SMTPUTF8' : '';
  for (const [command, line] of [
    ['MAIL FROM', `MAIL FROM:<${from}>${utf8}`],
    ['RCPT TO', `RCPT TO:<${to}>`],
    ['RSET', 'RSET'],
  ] as const) {
    socket.write(`${line}\r\n`);
    const status = Number((await answer()).slice(0, 3));
    if (status < 200 || status > 299) throw Object.assign(new Error(`${command} was refused`), { code: 'EENVELOPE', responseCode: status, command });
  }
}

/** Waits for the next whole answer; of several lines the last has a blank behind its code. */
function answersOf(socket: Socket): () => Promise<string> {
  let heard = '';
  let notify = (): void => undefined;
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString('latin1');
    if (heard.length > LONGEST_ANSWER) socket.destroy();
    notify();
  });
  return async () => {
    for (;;) {
      const last = /^\d{3}(?: [^\n]*)?\r?\n/m.exec(heard);
      if (last !== null) {
        heard = heard.slice(last.index + last[0].length);
        return last[0];
      }
      await new Promise<void>((resolve) => (notify = resolve));
    }
  };
}
