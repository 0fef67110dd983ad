import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lockRouting, tryLockIntake } from '#db/locks.ts';
import { eventually } from '../support/wait.ts';
import { hire, openGround, type Ground } from './ground.ts';

/** What somebody can do to a workflow by hand. */
const HARMS = {
  terminate: (id: string) => ['workflow', 'terminate', '--workflow-id', id, '--reason', 'by mistake'],
  reset: (id: string) => ['workflow', 'reset', '--workflow-id', id, '--type', 'FirstWorkflowTask', '--reason', 'by mistake'],
  delete: (id: string) => ['workflow', 'delete', '--workflow-id', id],
  cancel: (id: string) => ['workflow', 'cancel', '--workflow-id', id],
  'pause the activity of': (id: string) => [
    'activity',
    'pause',
    '--workflow-id',
    id,
    '--activity-type',
    id.startsWith('ticket/') ? 'decideOwner' : 'drainChannel',
  ],
} as const;
const NAMES = Object.keys(HARMS) as readonly (keyof typeof HARMS)[];
const MAILS = 3;

let ground: Ground;
let ownerId: string;
const numbers = new Map<string, number>();
const channels = new Map<string, { readonly id: string; readonly key: string }>();

/** Every intake is busy and every decision open when its workflow is harmed; then the worker is killed, so that no activity can end what it was at. */
beforeAll(async () => {
  ground = await openGround();
  const owner = await hire(ground, 'Ada');
  ownerId = owner.rowId;
  const support = await ground.connect({ name: 'Support', address: 'support@acme.example', userIds: [owner.id] });
  for (const [index, name] of NAMES.entries()) channels.set(name, await ground.connect({ name, address: `channel${index}@acme.example` }));
  await whileNobodyDecidesOrTakesIn(
    [...channels.values()].map((one) => one.id),
    async () => {
      await Promise.all([
        ...NAMES.map((name, index) =>
          ground.outside.send({ from: `owner${index}@home.example`, name: 'Carla', to: 'support@acme.example', subject: name, text: 'Hello' }),
        ),
        ...NAMES.map((_name, index) => writeInOrder(index)),
      ]);
      await eventually(async () => {
        const { rows } = await sql<{
          number: number;
          subject: string;
        }>`select t.number, c.subject from ticket t join conversation c on c.id = t.conversation_id where c.channel_id = ${support.id}`.execute(ground.db);
        for (const { number, subject } of rows) numbers.set(subject, number);
        const { rows: waiting } = await sql<{ deciding: number; busy: number }>`select
        (select count(*)::int from pg_locks where locktype = 'advisory' and not granted) as deciding,
        (select count(distinct channel_id)::int from raw_delivery where state = 'WAITING' and tries > 0) as busy`.execute(ground.db);
        expect(waiting[0]).toEqual({ deciding: NAMES.length, busy: NAMES.length });
      });
      await Promise.all(
        NAMES.flatMap((name) => [
          ground.temporal(...HARMS[name](`ticket/${numbers.get(name)}`)),
          ground.temporal(...HARMS[name](`channel-intake/${channels.get(name)?.key}`)),
        ]),
      );
      await ground.stack.killHard('worker');
    },
  );
  await ground.stack.startWorker();
});
afterAll(() => ground?.close(), 60_000);

it.each(NAMES)(
  'to %s a ticket while its decision is open delays the decision and does not lose it [OPS-12]',
  async (name) => {
    const { rows } = await eventually(
      async () => {
        const found = await sql<{
          owner_id: string | null;
          decisions: number;
        }>`select owner_id, (select count(*)::int from routing_decision d where d.ticket_id = t.id) as decisions
        from ticket t where number = ${numbers.get(name)} and route_pending_since is null`.execute(ground.db);
        return found.rows.length > 0 && found;
      },
      { timeoutMs: 90_000, intervalMs: 200 },
    );
    expect(rows).toEqual([{ owner_id: ownerId, decisions: 1 }]);
  },
  100_000,
);

it.each(NAMES)(
  'to %s a channel’s intake while it is busy loses no mail, doubles none and keeps their order [OPS-10] [OPS-12]',
  async (name) => {
    const channelId = channels.get(name)?.id ?? '';
    const texts = await eventually(
      async () => {
        const found = await ground.db
          .selectFrom('message')
          .select('text')
          .where('channel_id', '=', channelId)
          .where('direction', '=', 'INBOUND')
          .orderBy('arrival')
          .execute();
        return found.length >= MAILS && found.map((one) => one.text.trim());
      },
      { timeoutMs: 90_000, intervalMs: 200 },
    );
    expect(texts).toEqual(Array.from({ length: MAILS }, (_, index) => `number ${index}`));
  },
  100_000,
);

it('after all of it every rule holds, and the next change of a cancelled ticket starts its workflow again [OPS-11]', async () => {
  await eventually(async () => {
    const { rows } = await sql<{
      waiting: number;
    }>`select (select count(*) from raw_delivery where state = 'WAITING')::int + (select count(*) from ticket where route_pending_since is not null)::int as waiting`.execute(
      ground.db,
    );
    return rows[0]?.waiting === 0;
  });
  expect(await ground.broken()).toEqual([]);
  const id = `ticket/${numbers.get('cancel')}`;
  const status = (): Promise<string> => ground.temporal('workflow', 'describe', '--workflow-id', id, '--output', 'json');
  await eventually(async () => (await status()).includes('_RUNNING'));
  await ground.temporal('workflow', 'cancel', '--workflow-id', id);
  await eventually(async () => (await status()).includes('_CANCELED'));
  const { id: ticketId } = await ground.db
    .selectFrom('ticket')
    .select('id')
    .where('number', '=', numbers.get('cancel') ?? 0)
    .executeTakeFirstOrThrow();
  const found = await ground.admin.run<{ ticketByNumber: { id: string } }>(`{ ticketByNumber(number: ${numbers.get('cancel')}) { id } }`);
  await ground.admin.do('assign', '... on Assignment { ticket { id } }', { subjectId: found.ticketByNumber.id });
  await eventually(async () => (await status()).includes('_RUNNING'));
  expect((await ground.db.selectFrom('ticket').select('owner_id').where('id', '=', ticketId).executeTakeFirstOrThrow()).owner_id).toBeNull();
});

async function writeInOrder(index: number): Promise<void> {
  for (let mail = 0; mail < MAILS; mail += 1) {
    await ground.outside.send({
      from: `customer${index}@home.example`,
      name: 'Bert',
      to: `channel${index}@acme.example`,
      subject: `mail ${mail}`,
      text: `number ${mail}`,
    });
  }
}

/** Holds what every decision and every intake of these channels needs, as long as `work` lasts. */
async function whileNobodyDecidesOrTakesIn(channelIds: readonly string[], work: () => Promise<void>): Promise<void> {
  await ground.db.transaction().execute(async (tx) => {
    await lockRouting(tx);
    for (const id of channelIds) expect(await tryLockIntake(tx, id)).toBe(true);
    await work();
  });
}
