import { afterAll, beforeAll, expect, test } from 'vitest';
import { queueSystemMail } from '#commands/system-mail.ts';
import { setSystemSender } from '#commands/system-sender.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { CHANNEL_CHECK_SCHEDULE, EXPLAIN_QUERY, SYSTEM_MAIL_WORKFLOW } from '#workflows/contract.ts';
import { keepChannelCheckSchedule } from '#worker/schedule.ts';
import { fakeSmtp, refusal, type FakeSmtp } from '../support/smtp-fake.ts';
import { everyString } from './every-string.ts';
import scripted from './scripted-config.ts';
import { openWorld, until, type World } from './world.ts';

let world: World;
let smtp: FakeSmtp;
let refuse = false;
beforeAll(async () => {
  world = await openWorld();
  smtp = await fakeSmtp({ onRcptTo: (_address, _session, callback) => callback(refuse ? refusal(451) : null) });
});
afterAll(async () => {
  await world?.close();
  await smtp?.close();
});

const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => world.commit(await transact(world.db, { actor: 'SYSTEM' }, work));
const queue = (subject: string) =>
  run((unit) =>
    queueSystemMail(unit, [{ kind: 'TRANSCRIPT', to: { userId: world.userId }, recipient: 'admin@test.example', subject, text: 'xmarkedx words' }]),
  );
const state = async (id: string) => (await world.db.selectFrom('system_mail').select('state').where('id', '=', id).executeTakeFirst())?.state;
const handle = () => world.client.workflow.getHandle(SYSTEM_MAIL_WORKFLOW);

test('a mail that is queued wakes its workflow, which sends it, says what it waits for, and ends [CH-12]', async () => {
  await run((unit) =>
    setSystemSender(
      unit,
      { plugins: scripted.plugins, keys: world.keys },
      { smtp: { host: '127.0.0.1', port: smtp.port, security: 'none', fromAddress: 'desk@acme.example' } },
    ),
  );
  const [first = ''] = await queue('first');
  await until('it is sent', async () => (await state(first)) === 'SENT');
  await until('the workflow ends', async () => (await handle().describe()).status.name === 'COMPLETED');

  refuse = true;
  const [second = ''] = await queue('xmarkedx subject');
  const explained = await until('it waits', async () => {
    const found: unknown = await handle().query(EXPLAIN_QUERY);
    return typeof found === 'object' && found !== null && 'heldBy' in found && found.heldBy === 'smtp 451' ? found : undefined;
  });
  expect(explained).toMatchObject({ remaining: 1, nextTry: expect.any(String) });
  // Ids, counts and codes: neither an address nor a word of a mail.
  const said = everyString(await handle().fetchHistory());
  expect(said).toContain('tries again at');
  expect(said).not.toMatch(/test\.example|acme\.example|xmarkedx/);
  refuse = false;
  // By its own timer, five seconds later.
  await until('it is sent', async () => (await state(second)) === 'SENT', 40);
  expect(smtp.mails).toHaveLength(2);
});

test('the schedule of the checks is made when it is missing, unpaused, made anew when it is late, and runs [CH-4]', async () => {
  const now = () => Date.now();
  expect(await keepChannelCheckSchedule(world.client, now)).toBe('made');
  expect(await keepChannelCheckSchedule(world.client, now)).toBeNull();
  const schedule = world.client.schedule.getHandle(CHANNEL_CHECK_SCHEDULE);
  await until('it has run', async () => {
    const { info } = await schedule.describe();
    const last = info.recentActions.at(-1)?.action.workflow.workflowId;
    return last !== undefined && (await world.client.workflow.getHandle(last).describe()).status.name === 'COMPLETED';
  });
  await schedule.pause('somebody');
  expect(await keepChannelCheckSchedule(world.client, now)).toBe('unpaused');
  expect(await keepChannelCheckSchedule(world.client, () => Date.now() + 31 * 60_000)).toBe('made anew');
  await schedule.delete();
});
