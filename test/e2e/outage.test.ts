import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { apiClient, nodes, type Edges } from '#scripts/demo/graphql.ts';
import { portFinder } from '#scripts/servers/ports.ts';
import { startStack } from '#scripts/servers/stack.ts';
import { eventually } from '../support/wait.ts';
import { hire, openGround, openRefusing, type Ground } from './ground.ts';

const MAILS = 20;
/** Planted in every name, address, subject and text, and in what the refusing server says. */
const MARKER = 'xmarkedx';
const CARLA = `carla.${MARKER}@home.example`;

let ground: Ground;
let agent: ReturnType<typeof apiClient>;
let refusing: Awaited<ReturnType<typeof openRefusing>>;

beforeAll(async () => {
  // Not a throwaway one: PostgreSQL keeps what it confirmed also when it is killed.
  const ports = portFinder();
  const [api, worker, smtp, postgres, temporal, temporalUi] = [
    await ports.any(),
    await ports.any(),
    await ports.any(),
    await ports.any(),
    await ports.any(),
    await ports.any(),
  ];
  ground = await openGround({ throwaway: false, ports: { api, worker, smtp, postgres, temporal, temporalUi } });
  const ada = await hire(ground, `Ada${MARKER}`);
  agent = apiClient(ground.stack.addresses.graphql, ada.token);
  refusing = await openRefusing(550, MARKER);
  await ground.connect({ name: `Support ${MARKER}`, address: `support.${MARKER}@acme.example`, userIds: [ada.id] });
  await ground.connect({ name: `Refused ${MARKER}`, address: `refused.${MARKER}@acme.example`, userIds: [ada.id], smtpPort: refusing.port });
});
afterAll(async () => {
  await ground?.close();
  await refusing?.close();
});

it('with Temporal down mails are taken and agents answer; back again all is processed in order, and each reply is sent once [OPS-10]', async () => {
  const before = ours();
  await ground.outside.send({
    from: CARLA,
    name: `Carla ${MARKER}`,
    to: `support.${MARKER}@acme.example`,
    subject: `Lamp ${MARKER}`,
    text: `It flickers ${MARKER}`,
  });
  const conversationId = await owned(`Lamp ${MARKER}`);

  const ids: string[] = [];
  const replies = ['first', 'second', 'third'].map((text) => `The ${text} ${MARKER}`);
  await ground.stack.stopTemporal();
  try {
    // Resolves only with the 250.
    for (let mail = 0; mail < MAILS; mail += 1) {
      ids.push(
        await ground.outside.send({
          from: CARLA,
          name: `Carla ${MARKER}`,
          to: `support.${MARKER}@acme.example`,
          subject: `Number ${mail}`,
          text: `Number ${mail} ${MARKER}`,
        }),
      );
    }
    for (const text of replies) {
      const input = { conversationId, text, idempotencyKey: crypto.randomUUID() };
      await agent.do('reply', '... on Message { id }', input);
      await agent.do('reply', '... on Message { id }', input);
    }
    expect(ground.outside.received(CARLA)).toEqual([]);
  } finally {
    await ground.stack.startTemporal();
  }
  await settled();
  const arrived = await ground.db.selectFrom('message').select('provider_message_id as id').where('direction', '=', 'INBOUND').orderBy('arrival').execute();
  expect(arrived.map(({ id }) => bare(id ?? '')).filter((id) => ids.map(bare).includes(id))).toEqual(ids.map(bare));
  expect(ground.outside.received(CARLA).map((mail) => replies.find((text) => mail.text?.includes(text)))).toEqual(replies);
  expect(await ground.broken()).toEqual([]);
  expect(ours()).toEqual(before);
});

it('with PostgreSQL killed in the middle a mail is put off and not confirmed, what was confirmed is there once, and api and worker live on [OPS-10]', async () => {
  const before = ours();
  const confirmed: string[] = [];
  const codes = new Set<number>();
  let over = false;
  const customers = [0, 1, 2].map(async (customer) => {
    for (let mail = 0; !over; mail += 1) await sendUntilTaken(`<${customer}.${mail}@home.example>`, customer, codes).then((id) => confirmed.push(id));
  });
  await eventually(() => confirmed.length >= 10);
  try {
    await ground.stack.killHard('postgres');
    await eventually(() => codes.size > 0);
    await ground.stack.startPostgres();
    const then = confirmed.length;
    await eventually(() => confirmed.length >= then + 10);
  } finally {
    over = true;
    await ground.stack.startPostgres();
    await Promise.all(customers);
  }

  expect([...codes].filter((code) => code < 400 || code > 499)).toEqual([]);
  await settled();
  const { rows } = await sql<{
    id: string;
  }>`select provider_message_id as id from message where direction = 'INBOUND' and provider_message_id like '%@home.example%'`.execute(ground.db);
  const there = rows.map(({ id }) => bare(id));
  expect(confirmed.map(bare).filter((id) => there.filter((one) => one === id).length !== 1)).toEqual([]);
  expect(await ground.broken()).toEqual([]);
  expect(ours()).toEqual(before);
});

it('a second stack that prefers the same ports takes the next ones [OPS-1]', async () => {
  const taken = [
    ground.stack.addresses.web,
    ground.stack.addresses.smtp,
    ground.stack.addresses.worker,
    ground.stack.addresses.temporal,
    new URL(ground.stack.databaseUrl).host,
  ];
  const port = (address: string): number => Number(address.split(':').at(-1));
  const [api, smtp, worker, temporal, postgres] = taken.map(port) as [number, number, number, number, number];
  const second = await startStack({ throwaway: true, quiet: true, ports: { api, smtp, worker, temporal, postgres } });
  try {
    const { web, smtp: mail, worker: health, temporal: server } = second.addresses;
    const others = [web, mail, health, server, new URL(second.databaseUrl).host].map(port);
    expect(others.filter((one) => taken.map(port).includes(one))).toEqual([]);
    expect(new Set(others).size).toBe(5);
    for (const address of [web, ground.stack.addresses.web]) expect((await fetch(`${address}/readyz`)).ok).toBe(true);
  } finally {
    await second.stop();
  }
});

it('what the start writes down is for its owner alone [OPS-1]', () => {
  expect(statSync(join(ground.stack.dataDirectory, 'dev.json')).mode & 0o777).toBe(0o600);
});

it('on SIGTERM api and worker end what they are at and exit with 0, and their logs hold no name, address or text [OPS-7]', async () => {
  await ground.outside.send({ from: CARLA, name: `Carla ${MARKER}`, to: `refused.${MARKER}@acme.example`, subject: `Refused ${MARKER}`, text: MARKER });
  await agent.do('reply', '... on Message { id }', { conversationId: await owned(`Refused ${MARKER}`), text: `Refused ${MARKER}` });
  await eventually(async () => (await ground.db.selectFrom('outbound').select('message_id').where('state', '=', 'FAILED').execute()).length === 1);
  await expect(ground.outside.send({ from: CARLA, name: 'Carla', to: `nobody.${MARKER}@acme.example`, subject: MARKER, text: MARKER })).rejects.toThrow(/550/);
  await expect(agent.run(`{ ticketByNumber(number: "${MARKER}") { id } }`)).rejects.toThrow();

  const [api, worker] = [ground.stack.child('api'), ground.stack.child('worker')];
  // Something under way for both.
  const last = ground.outside
    .send({ from: CARLA, name: `Carla ${MARKER}`, to: `support.${MARKER}@acme.example`, subject: `Last ${MARKER}`, text: MARKER })
    .catch(() => undefined);
  await Promise.all([ground.stack.stopApi(), ground.stack.stopWorker(), last]);
  expect([await api?.ended, await worker?.ended]).toEqual(['exit code 0', 'exit code 0']);

  for (const name of ['api.log', 'worker.log']) {
    const lines = readFileSync(join(ground.stack.dataDirectory, name), 'utf8').trim().split('\n');
    expect(lines.length, name).toBeGreaterThan(1);
    expect(
      lines.filter((line) => line.toLowerCase().includes(MARKER)),
      name,
    ).toEqual([]);
    for (const line of lines) expect(() => JSON.parse(line) as unknown, `${name}: ${line}`).not.toThrow();
    expect(existsSync(join(ground.stack.dataDirectory, `${name}.1`)), 'it was started once').toBe(false);
  }
});

const bare = (id: string): string => id.replaceAll(/^<|>$/g, '');

/** The process ids of our own two. */
function ours(): readonly (number | undefined)[] {
  const { api, worker } = ground.stack.pids();
  expect([api, worker]).not.toContain(undefined);
  return [api, worker];
}

/** The conversation of a subject once somebody has it. */
async function owned(subject: string): Promise<string> {
  return eventually(async () => {
    const { conversations } = await agent.run<{ conversations: Edges<{ id: string; subject: string; owner: { id: string } | null }> }>(
      '{ conversations(first: 100, order: NEWEST_FIRST) { edges { node { id subject owner { id } } } } }',
    );
    return nodes(conversations).find((one) => one.subject === subject && one.owner !== null)?.id ?? false;
  });
}

async function settled(): Promise<void> {
  await eventually(
    async () => {
      const { rows } = await sql<{
        waiting: number;
      }>`select ((select count(*) from raw_delivery where state = 'WAITING') + (select count(*) from ticket where route_pending_since is not null)
        + (select count(*) from outbound where state in ('QUEUED', 'SENDING')))::int as waiting`.execute(ground.db);
      expect(rows[0]?.waiting).toBe(0);
      return true;
    },
    { timeoutMs: 90_000, intervalMs: 200 },
  );
}

/** As a mail server does: the same mail again until it is taken. Notes what it was answered meanwhile. */
async function sendUntilTaken(messageId: string, customer: number, codes: Set<number>): Promise<string> {
  const [host, port] = ground.stack.addresses.smtp.split(':');
  return eventually(async () => {
    const transport = createTransport({ host: host ?? '', port: Number(port), ignoreTLS: true });
    try {
      await transport.sendMail({
        from: `customer${customer}.${MARKER}@home.example`,
        to: `support.${MARKER}@acme.example`,
        subject: `Mail ${MARKER}`,
        text: MARKER,
        messageId,
      });
      return messageId;
    } catch (error) {
      const code: unknown = error instanceof Error ? Reflect.get(error, 'responseCode') : undefined;
      if (typeof code !== 'number') throw error;
      codes.add(code);
      return false;
    } finally {
      transport.close();
    }
  });
}
