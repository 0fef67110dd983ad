import { WorkflowNotFoundError } from '@temporalio/client';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { setCapacity } from '#commands/capacity.ts';
import { close } from '#commands/tickets.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { addOutOfOffice, clearAvailability, setAvailability } from '#commands/user-availability.ts';
import { EXPLAIN_QUERY, ROUTING_RETRY_WORKFLOW, STATUS_QUERY } from '#workflows/contract.ts';
import { everyString } from './every-string.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

let world: World;
let channel: Channel;
beforeAll(async () => {
  world = await openWorld({ workers: false });
  channel = await world.connect('HELP_DESK');
  await world.db.updateTable('channel').set({ retry_when_available: true }).execute();
});
afterEach(async () => {
  await world?.db.deleteFrom('out_of_office').execute();
  await world?.commit(await transact(world.db, { actor: 'SYSTEM' }, (unit) => clearAvailability(unit, { userId: world.userId })));
  await world?.stopWorkers();
});
afterAll(() => world?.close());

const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => world.commit(await transact(world.db, { actor: 'SYSTEM' }, work));
const handle = () => world.client.workflow.getHandle(ROUTING_RETRY_WORKFLOW);
const ownerOf = async (key: string) =>
  world.db
    .selectFrom('ticket')
    .innerJoin('thread_key', 'thread_key.conversation_id', 'ticket.conversation_id')
    .select(['ticket.id', 'ticket.owner_id', 'ticket.nobody_free_since'])
    .where('thread_key.key', '=', key)
    .executeTakeFirst();
const waits = (key: string) => until(`${key} waits`, async () => (await ownerOf(key))?.nobody_free_since != null);
/** Reasons to decide again that nobody has looked at. */
const causes = async () => (await world.db.selectFrom('routing_retry_cause').select('id').execute()).length;
const looks = () =>
  handle()
    .describe()
    .then(
      ({ status }) => status.name === 'RUNNING',
      (error: unknown) => {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      },
    );
const flips = async () =>
  (await world.db.selectFrom('event').select('why').where('kind', '=', 'PEOPLE_CHANGED').where('why', 'in', ['AVAILABLE', 'AWAY']).orderBy('id').execute()).map(
    ({ why }) => why,
  );
/** Out of office from now until so many seconds from now, by PostgreSQL's clock. */
async function awayFor(seconds: number): Promise<string> {
  const { rows } = await sql<{ from: Date; to: Date }>`
    select clock_timestamp() - interval '1 s' as from, date_trunc('milliseconds', clock_timestamp() + make_interval(secs => ${seconds})) as to`.execute(
    world.db,
  );
  const [range] = rows;
  if (range === undefined) throw new Error('no clock');
  await run((unit) => addOutOfOffice(unit, { userId: world.userId, ...range }));
  return range.to.toISOString();
}

test('decides what waited when hours bring somebody back, by one timer that says so, and ends when nothing is to come [ROUTE-12, ROUTE-13, OPS-4, OPS-5]', async () => {
  await world.startWorkers();
  await run((unit) => setAvailability(unit, { userId: world.userId, availability: 'AWAY' }));
  await world.deliver(channel, { do: 'message', id: 'hours-1', from: 'hours', text: 'xmarkedx' });
  await waits('hours');
  const to = await awayFor(10);
  await until('the owner', async () => (await ownerOf('hours'))?.owner_id === world.userId);
  await until('it completes', async () => (await handle().describe()).status.name === 'COMPLETED');
  expect(await handle().query(EXPLAIN_QUERY)).toMatchObject({ waiting: 0, next: null, flipped: 1, assigned: 1, nobodyFree: 0 });
  expect(await handle().query(STATUS_QUERY)).toMatch(/^is done/);
  const said = everyString(await handle().fetchHistory());
  expect(said).toContain(`next change of somebody's availability at ${to}`);
  expect(said).toContain('brings the availability of 1 up to date');
  expect(said).toContain('retries 1 that waited');
  expect(said).not.toMatch(/xmarkedx|Test Admin|test\.example/);
});

test('decides what waited when something of theirs is closed [ROUTE-13]', async () => {
  await world.startWorkers();
  await world.deliver(channel, { do: 'message', id: 'full-1', from: 'full', text: 'one' });
  const owned = await until('the owner', async () => {
    const row = await ownerOf('full');
    return row?.owner_id === world.userId && row;
  });
  const { n } = await world.db
    .selectFrom('ticket')
    .select(sql<number>`count(*)`.as('n'))
    .where('owner_id', '=', world.userId)
    .where('closed_at', 'is', null)
    .executeTakeFirstOrThrow();
  await run((unit) => setCapacity(unit, { userId: world.userId, total: Number(n) }));
  await world.deliver(channel, { do: 'message', id: 'room-1', from: 'room', text: 'two' });
  await waits('room');
  await run((unit) => close(unit, { ticketId: owned.id }));
  await until('the owner', async () => (await ownerOf('room'))?.owner_id === world.userId);
  await run((unit) => setCapacity(unit, { userId: world.userId, total: null }));
});

test('with no worker at the moment it is brought up to date once, late [ROUTE-12, OPS-10]', async () => {
  await world.startWorkers();
  await run((unit) => setAvailability(unit, { userId: world.userId, availability: 'AWAY' }));
  await world.deliver(channel, { do: 'message', id: 'late-1', from: 'late', text: 'one' });
  await waits('late');
  await world.stopWorkers();
  const before = (await flips()).length;
  await awayFor(5);
  await until('the moment is past', async () => {
    const { rows } = await sql<{ past: boolean }>`select availability_until <= clock_timestamp() as past from app_user where id = ${world.userId}`.execute(
      world.db,
    );
    return rows[0]?.past === true;
  });
  expect((await ownerOf('late'))?.owner_id).toBeNull();
  await world.startWorkers();
  await until('the owner', async () => (await ownerOf('late'))?.owner_id === world.userId);
  expect((await flips()).slice(before)).toEqual(['AVAILABLE']);
});

test('terminated while it waits, it is started again by the guardian once the moment is past [OPS-12, ROUTE-13]', async () => {
  await world.startWorkers();
  await awayFor(3600);
  await world.deliver(channel, { do: 'message', id: 'ended-1', from: 'ended', text: 'one' });
  await waits('ended');
  // Not while it still has something to decide: that would be found at once.
  await until('it waits', async () => (await causes()) === 0 && (await handle().query<string>(STATUS_QUERY)).startsWith('waits until'));
  await handle().terminate('somebody');
  expect((await runGuardianOnce(world.set.engine)).woken).toEqual([]);
  // As if an hour had passed.
  await sql`update out_of_office set from_at = from_at - interval '2 h', to_at = now() - interval '60 s'`.execute(world.db);
  await sql`update app_user set availability_until = (select to_at from out_of_office) where id = ${world.userId}`.execute(world.db);
  expect((await runGuardianOnce(world.set.engine)).woken.map((one) => one.workflowId)).toEqual([ROUTING_RETRY_WORKFLOW]);
  await until('the owner', async () => (await ownerOf('ended'))?.owner_id === world.userId);
});

test('a wake that was lost is a delay: the guardian finds what waits though somebody became free [OPS-10, ROUTE-13]', async () => {
  await world.startWorkers();
  await run((unit) => setAvailability(unit, { userId: world.userId, availability: 'AWAY' }));
  await world.deliver(channel, { do: 'message', id: 'lost-1', from: 'lost', text: 'one' });
  await waits('lost');
  // Until nobody looks any more: else it would be seen without a wake.
  await until('it is over', async () => (await causes()) === 0 && !(await looks()));
  await transact(world.db, { actor: 'SYSTEM' }, (unit) => setAvailability(unit, { userId: world.userId, availability: 'AVAILABLE' }));
  await sql`update routing_retry_cause set at = at - interval '60 s'`.execute(world.db);
  expect((await runGuardianOnce(world.set.engine)).woken.map((one) => one.workflowId)).toEqual([ROUTING_RETRY_WORKFLOW]);
  await until('the owner', async () => (await ownerOf('lost'))?.owner_id === world.userId);
});
