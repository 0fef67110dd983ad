import { createServer, type Server, type Socket } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** An account's SMTP server on this machine, with what it took. */
export interface FakeSmtp {
  readonly port: number;
  readonly mails: { readonly from: string; readonly to: readonly string[]; readonly mime: string }[];
  close(): Promise<void>;
}

/** A real server that takes everything, but for what its hooks refuse. */
export async function fakeSmtp(hooks: SMTPServerOptions = {}): Promise<FakeSmtp> {
  const mails: FakeSmtp['mails'] = [];
  const smtp = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authOptional: true,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    closeTimeout: 20,
    logger: false,
    async onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
      const { mailFrom, rcptTo } = session.envelope;
      mails.push({ from: mailFrom === false ? '' : mailFrom.address, to: rcptTo.map(({ address }) => address), mime: Buffer.concat(chunks).toString() });
      callback();
    },
    ...hooks,
  });
  smtp.on('error', () => undefined);
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', () => resolve()));
  return { port: portOf(smtp.server), mails, close: () => new Promise((resolve) => smtp.close(() => resolve())) };
}

/** A refusal for a hook's callback, in words that must not get out. */
export function refusal(responseCode: number): Error {
  return Object.assign(new Error('marked words for ada@users.example'), { responseCode });
}

/** A bare server, for what no proper one does. */
export async function rawServer(talk: (socket: Socket) => void): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: portOf(server),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}

/** Plays a server up to and including a mail's last line, then does `end`. */
export function upToTheDot(end: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    let inBody = false;
    socket.write('220 ready\r\n');
    socket.on('data', (data) => {
      const said = data.toString();
      if (inBody) {
        if (said.endsWith('\r\n.\r\n')) end(socket);
        return;
      }
      inBody = said.startsWith('DATA');
      socket.write(inBody ? '354 go ahead\r\n' : '250 ok\r\n');
    });
  };
}

function portOf(server: Pick<Server, 'address'>): number {
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}
