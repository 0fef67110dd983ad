import { createTransport } from 'nodemailer';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { disconnectChannel } from '#commands/channels.ts';
import { transact } from '#commands/unit.ts';
import { openDatabase } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { connectEmailChannel } from '../support/email-channel.ts';
import { eventually } from '../support/wait.ts';
import { deliveries, fakeTemporal, keys, testDoors, type TestDoors } from './support.ts';

let database: TestDatabase;
let doors: TestDoors | undefined;
beforeAll(async () => void (database = await testDatabase()));
afterEach(() => doors?.close());
afterAll(() => database.drop());

const PORTS = new Map([['email', 0]]);

async function sendMail(port: number, to: string): Promise<{ readonly rejected: readonly string[] } | { readonly code: number | undefined }> {
  const transport = createTransport({ host: '127.0.0.1', port, secure: false, ignoreTLS: true });
  try {
    await transport.sendMail({ from: 'ben@customer.example', to, subject: 'Hello', text: 'Words' });
    return { rejected: [] };
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'responseCode') : undefined;
    return { code: typeof code === 'number' ? code : undefined };
  } finally {
    transport.close();
  }
}

it('takes mail in for a connected address and for the channel’s own forwarding address, and refuses others at once [EMAIL-1, CH-10]', async () => {
  const temporal = fakeTemporal();
  doors = testDoors(database.db, temporal, PORTS);
  const { channelId, key } = await connectEmailChannel(database.db, keys, { address: 'help@acme.example' });
  const [listener] = await doors.listen();
  expect(listener?.plugin).toBe('email');
  const port = listener?.port ?? 0;
  expect(await sendMail(port, 'help@acme.example')).toEqual({ rejected: [] });
  expect(await sendMail(port, `${key}@in.desk.example`)).toEqual({ rejected: [] });
  expect(await sendMail(port, 'nobody@acme.example')).toEqual({ code: 550 });
  expect(await deliveries(database.db, channelId)).toHaveLength(2);
  await eventually(() => expect(new Set(temporal.woken)).toEqual(new Set([`channel-intake/${key}`])));
  await transact(database.db, { actor: 'SYSTEM' }, (unit) => disconnectChannel(unit, { channelId }));
  expect(await sendMail(port, 'help@acme.example')).toEqual({ code: 550 });
});

it('tells the sending server to come again while the database is away [OPS-10]', async () => {
  const lost = openDatabase(database.url);
  doors = testDoors(lost, fakeTemporal(), PORTS);
  await connectEmailChannel(database.db, keys, { address: 'away@acme.example' });
  const [listener] = await doors.listen();
  expect(await sendMail(listener?.port ?? 0, 'away@acme.example')).toEqual({ rejected: [] });
  await lost.destroy();
  expect(await sendMail(listener?.port ?? 0, 'away@acme.example')).toEqual({ code: 451 });
});
