import { connect, type Socket } from 'node:net';

/** A client that says what it likes. */
export interface RawClient {
  readonly socket: Socket;
  /** The last line of the next answer; 'closed' where the server has hung up. */
  answer(): Promise<string>;
  /** Says one command and waits for its answer. */
  say(command: string): Promise<string>;
  /** Greeting, EHLO, and the envelope of a mail up to "354". */
  begin(recipient?: string): Promise<void>;
}

export function rawClient(port: number, from = '127.0.0.1'): RawClient {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from });
  let heard = '';
  let closed = false;
  let notify = (): void => undefined;
  socket.on('data', (data) => {
    heard += data.toString('latin1');
    notify();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    closed = true;
    notify();
  });
  const answer = async (): Promise<string> => {
    for (;;) {
      const match = /^(\d{3} [^\r]*)\r\n/m.exec(heard);
      if (match !== null) {
        heard = heard.slice(match.index + match[0].length);
        return match[1] ?? '';
      }
      if (closed) return 'closed';
      await new Promise<void>((resolve) => (notify = resolve));
    }
  };
  const say = (command: string): Promise<string> => {
    socket.write(`${command}\r\n`);
    return answer();
  };
  return {
    socket,
    answer,
    say,
    async begin(recipient = 'support@acme.example') {
      await answer();
      for (const command of ['EHLO mail.customer.example', 'MAIL FROM:<ben@customer.example>', `RCPT TO:<${recipient}>`]) await say(command);
      const ready = await say('DATA');
      if (!ready.startsWith('354')) throw new Error(`no mail can be sent: ${ready}`);
    },
  };
}
