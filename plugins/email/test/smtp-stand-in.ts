import type { Socket } from 'node:net';
import PostalMime from 'postal-mime';
import type { StandIn, TakenMessage } from '@trunkline/channel-sdk/testing';
import { rawServer } from './smtp-fake.ts';

/** An account's SMTP server that fails as it is told. Its refusals hold what must not get out. */
export async function smtpStandIn(settingsFor: (port: number) => unknown): Promise<StandIn> {
  let how: Parameters<StandIn['behave']>[0] = 'well';
  let taken = 0;
  let last: TakenMessage | undefined;
  const listeners: (() => Promise<void>)[] = [];

  const answers: Readonly<Record<string, () => string>> = {
    EHLO: () => '250-trunkline.example\r\n250 AUTH PLAIN',
    AUTH: () => (how === 'disconnect' ? '535 not with that password' : '235 come in'),
    MAIL: () => (how === 'rate-limit' ? '421 too much from support@acme.example' : '250 ok'),
    RCPT: () => (how === 'reject' ? '550 no contact-0@customer.example here' : how === 'unavailable' ? '451 later' : '250 ok'),
    DATA: () => '354 go ahead',
    QUIT: () => '221 bye',
  };

  async function confirm(socket: Socket, to: string, mail: string): Promise<void> {
    const { text = '' } = await PostalMime.parse(Buffer.from(mail, 'latin1'));
    last = { to, text };
    taken += 1;
    for (const listener of listeners) await listener();
    if (how === 'garbage') socket.end('what a nice mail\r\n');
    else if (how === 'huge') socket.end(`${'a'.repeat(10 * 1024 * 1024)}\r\n`);
    else if (how !== 'silence') socket.write('250 taken\r\n');
  }

  const server = await rawServer((socket) => {
    let rest = '';
    let body = false;
    let to = '';
    let mail = '';
    socket.write('220 ready\r\n');
    socket.on('data', (data) => {
      const lines = (rest + data.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (body) {
          if (line !== '.') mail += `${line}\r\n`;
          else {
            body = false;
            void confirm(socket, to, mail);
          }
          continue;
        }
        const command = line.slice(0, 4).toUpperCase();
        if (command === 'RCPT' && to === '') to = /<(.*)>/.exec(line)?.[1] ?? '';
        body = command === 'DATA';
        socket.write(`${answers[command]?.() ?? '250 ok'}\r\n`);
      }
    });
  });
  return {
    settings: settingsFor(server.port),
    behave(fault) {
      how = fault;
      if (fault === 'refused') void server.close();
    },
    taken: () => taken,
    last: () => last,
    onTaken: (listener) => void listeners.push(listener),
    close: () => server.close(),
  };
}
