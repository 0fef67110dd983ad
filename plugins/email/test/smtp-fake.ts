import { createServer, type Socket } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** An account's SMTP server on this machine. */
export interface FakeSmtp {
  readonly port: number;
  readonly mails: { readonly from: string; readonly to: readonly string[]; readonly mime: string }[];
  close(): Promise<void>;
}

/** A real server that behaves as its hooks say; by default it takes everything. */
export async function fakeSmtp(hooks: SMTPServerOptions = {}): Promise<FakeSmtp> {
  const mails: FakeSmtp['mails'] = [];
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authOptional: true,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    closeTimeout: 20,
    logger: false,
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({ from: mailFrom === false ? '' : mailFrom.address, to: rcptTo.map(({ address }) => address), mime: Buffer.concat(chunks).toString() });
        callback();
      });
    },
    ...hooks,
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const bound = server.server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return { port, mails, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** An SMTP refusal for a hook's callback. Its words hold what must not get out. */
export function refusal(responseCode: number): Error {
  return Object.assign(new Error('no, ben@customer.example, "The lamp is broken" is not wanted'), { responseCode });
}

/** A bare socket server, for what no proper server does. */
export async function rawServer(talk: (socket: Socket) => void): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Plays a server up to and including the mail's last line, then does `end`. */
export function upToTheDot(end: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    let body = false;
    socket.write('220 ready\r\n');
    socket.on('data', (data) => {
      const said = data.toString();
      if (body) {
        if (said.endsWith('\r\n.\r\n')) end(socket);
      } else if (said.startsWith('DATA')) {
        body = true;
        socket.write('354 go ahead\r\n');
      } else socket.write('250 ok\r\n');
    });
  };
}
