import { sql } from 'kysely';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import email from '@trunkline/plugin-email';
import { openDatabase, type Db } from '#db/database.ts';
import { apiClient, eventually, nodes, type Api, type Edges } from '../demo/graphql.ts';
import { openOutside, type Outside } from '../demo/mailbox.ts';
import { createProgress } from '../servers/progress.ts';
import { startStack, type Stack } from '../servers/stack.ts';
import { commandLine } from './command-line.ts';
import { sendUntilTaken } from './customer-mail.ts';
import { pick, seeded } from './random.ts';
import { openSummary, sayDoctor } from './summary.ts';

const KILLS = 20;
const CUSTOMERS = 25;
/** Mails while Temporal is down. */
const MAILS_WITHOUT_TEMPORAL = 500;
const ADDRESS = 'chaos@acme.example';

/** What the world outside knows: what was acknowledged to it. */
interface Ledger {
  /** Message-IDs our SMTP door answered 250 for. */
  readonly mails: Set<string>;
  /** Marks in the texts of replies whose mutation was answered. */
  readonly replies: Set<string>;
  tries: number;
}

/** Kills, stops and restarts under load, then compares what was acknowledged with what is there. Ends only processes it started. */
export async function run(seed: number): Promise<boolean> {
  const random = seeded(seed);
  const directory = join(process.cwd(), '.trunkline', 'chaos');
  rmSync(directory, { recursive: true, force: true });
  const progress = createProgress();
  const stack = await startStack({ dataDirectory: directory, mode: 'development', progress });
  const outside = await openOutside(stack.addresses.smtp);
  const db = openDatabase(stack.databaseUrl, { max: 3, name: 'trunkline-chaos' });
  try {
    const agent = apiClient(stack.addresses.graphql, stack.token ?? '');
    await connect(agent, outside);
    const ledger: Ledger = { mails: new Set(), replies: new Set(), tries: 0 };
    const load = startLoad(stack, outside, agent, ledger, random);

    await progress.during('kill -9 of worker and api under load', async (step) => {
      for (let kill = 1; kill <= KILLS; kill += 1) {
        await sleep(500 + random() * 2_000);
        const victim = pick(random, ['api', 'worker'] as const);
        step.update(`${kill} of ${KILLS}: ${victim}`);
        await stack.killHard(victim);
        await sleep(random() * 1_000);
        await (victim === 'api' ? stack.startApi() : stack.startWorker());
      }
    });
    await progress.during('PostgreSQL restarted in the middle', async () => {
      await stack.killHard('postgres');
      await sleep(1_500);
      await stack.startPostgres();
      await sleep(3_000);
    });
    await progress.during(`Temporal stopped while ${MAILS_WITHOUT_TEMPORAL} mails come in and agents go on answering`, async (step) => {
      await stack.stopTemporal();
      const from = ledger.mails.size;
      const repliesFrom = ledger.replies.size;
      while (ledger.mails.size - from < MAILS_WITHOUT_TEMPORAL) {
        step.update(`${ledger.mails.size - from} mails, ${ledger.replies.size - repliesFrom} replies`);
        await sleep(200);
      }
      await stack.startTemporal();
    });
    await load.stop();
    await progress.during('Waiting until all is taken in and sent', () => settled(db));
    const tookHold = await progress.during('The intake terminated, reset, deleted and paused by hand', () => harm(stack, db, ledger));
    return await report(db, outside, ledger, tookHold);
  } finally {
    await db.destroy().catch(() => undefined);
    await outside.close();
    await stack.stop();
  }
}

async function connect(api: Api, outside: Outside): Promise<void> {
  const { places } = await api.run<{ places: Edges<{ id: string; kind: string }> }>('{ places(first: 10) { edges { node { id kind } } } }');
  await api.do('connectChannel', '... on Channel { id }', {
    plugin: email.key,
    name: 'Chaos',
    placeId: nodes(places).find((one) => one.kind === 'HELP_DESK')?.id,
    settings: { kind: 'other', address: ADDRESS, companyName: 'Acme', smtp: { host: '127.0.0.1', port: outside.smtpPort, secure: 'none' } },
  });
}

/** Customers who write and answer, an agent who replies; each as they would: what was not acknowledged is tried again with the same id. */
function startLoad(stack: Stack, outside: Outside, agent: Api, ledger: Ledger, random: () => number): { stop(): Promise<void> } {
  let stopped = false;
  const customer = async (index: number): Promise<void> => {
    while (!stopped) {
      const id = `<${randomBytes(8).toString('hex')}@home.example>`;
      // Some answer the newest reply they got, where its Reply-To says; some begin a new thread.
      const got = random() < 0.7 ? outside.received(`customer${index}@home.example`).at(-1) : undefined;
      await send(stack, index, id, { to: got?.replyTo?.[0]?.address ?? ADDRESS, previous: got?.messageId }, ledger);
      await sleep(200 + random() * 600);
    }
  };
  const replier = async (): Promise<void> => {
    while (!stopped) {
      await replyOnce(agent, ledger, random).catch(() => undefined);
      await sleep(100 + random() * 200);
    }
  };
  const everybody = [...Array.from({ length: CUSTOMERS }, (_, index) => customer(index)), replier(), replier()];
  return {
    async stop() {
      stopped = true;
      await Promise.all(everybody);
    },
  };
}

async function send(
  stack: Stack,
  index: number,
  id: string,
  { to, previous }: { readonly to: string; readonly previous: string | undefined },
  ledger: Ledger,
): Promise<void> {
  const from = { name: `Customer ${index}`, address: `customer${index}@home.example` };
  const mail = { from, to, subject: `About ${id}`, text: `This is ${id}`, messageId: id, answers: previous };
  ledger.tries += await sendUntilTaken(stack.addresses.smtp, mail);
  ledger.mails.add(id);
}

/** One reply with one idempotency key, tried until it is answered. */
async function replyOnce(agent: Api, ledger: Ledger, random: () => number): Promise<void> {
  const { conversations } = await agent.run<{ conversations: Edges<{ id: string }> }>(
    '{ conversations(first: 50, order: NEWEST_FIRST, filter: { status: OPEN }) { edges { node { id } } } }',
  );
  const conversation = pick(random, nodes(conversations));
  const mark = `mark-${randomBytes(8).toString('hex')}`;
  const input = { conversationId: conversation.id, text: mark, idempotencyKey: mark };
  for (let attempt = 0; attempt < 300; attempt += 1) {
    try {
      await agent.do('reply', '... on Message { id }', input);
      ledger.replies.add(mark);
      return;
    } catch (error) {
      if (error instanceof Error && error.message.includes('refused')) throw error;
      await sleep(200);
    }
  }
}

/** Until nothing waits any more. */
async function settled(db: Db): Promise<void> {
  await eventually(
    'everything to be taken in and sent',
    async () => {
      const { rows } = await sql<{ waiting: number }>`select (select count(*) from raw_delivery where state = 'WAITING')
        + (select count(*) from ticket where route_pending_since is not null)
        + (select count(*) from outbound where state in ('QUEUED', 'SENDING')) as waiting`.execute(db);
      return rows[0]?.waiting === 0 ? true : undefined;
    },
    240_000,
  );
}

/** What an operator could do by mistake, with the real command line; each time the guardian has to bring it to its end. Returns how many took hold. */
async function harm(stack: Stack, db: Db, ledger: Ledger): Promise<number> {
  const temporal = commandLine(stack);
  const { key } = await db.selectFrom('channel').select('key').executeTakeFirstOrThrow();
  const id = `channel-intake/${key}`;
  const harms: readonly (readonly string[])[] = [
    ['workflow', 'terminate', '--workflow-id', id, '--reason', 'chaos'],
    ['workflow', 'reset', '--workflow-id', id, '--type', 'FirstWorkflowTask', '--reason', 'chaos'],
    ['workflow', 'delete', '--workflow-id', id],
    ['activity', 'pause', '--workflow-id', id, '--activity-type', 'drainChannel'],
  ];
  let tookHold = 0;
  const missed: string[] = [];
  for (const one of harms) {
    // Something for the workflow to be busy with, and the harm while it is.
    const busy = new AbortController();
    const sending = (async () => {
      for (let index = 0; !busy.signal.aborted; index += 1)
        await send(stack, index % CUSTOMERS, `<${randomBytes(8).toString('hex')}@home.example>`, { to: ADDRESS, previous: undefined }, ledger);
    })();
    await sleep(800);
    // The moment may fall between two runs of the intake, most of all after a delete; then the next one is as good.
    let held = false;
    for (let attempt = 0; attempt < 60 && !held; attempt += 1) held = (await temporal(...one)) || (await sleep(200, false));
    if (held) tookHold += 1;
    else missed.push(one.slice(0, 2).join(' '));
    await sleep(500);
    busy.abort();
    await sending;
    await settled(db);
  }
  if (missed.length > 0) console.log(`  did not take hold: ${missed.join(', ')}`);
  return tookHold;
}

/** What is known of a mail that is no message: its delivery, or what it was filtered as. */
async function whereabouts(db: Db, id: string): Promise<string> {
  const { rows } = await sql<{ what: string }>`
    select concat_ws(' ', 'delivery', id, state, 'after', tries, 'tries', failure_code, failure_reason) as what from raw_delivery
      where position(convert_to(${id}, 'UTF8') in body) > 0
    union all select concat_ws(' ', 'filtered:', kind, reason) from filtered_message where position(${id} in provider_message_id) > 0`.execute(db);
  return rows.length === 0 ? 'nowhere' : rows.map(({ what }) => what).join('; ');
}

async function report(db: Db, outside: Outside, ledger: Ledger, tookHold: number): Promise<boolean> {
  const summary = openSummary();
  const { say } = summary;
  const { rows } = await sql<{
    id: string;
    times: number;
  }>`select provider_message_id as id, count(*) as times from message where direction = 'INBOUND' group by 1`.execute(db);
  const there = new Map(rows.map((row) => [row.id, row.times]));
  const norm = (id: string): string => id.replace(/^<|>$/g, '');
  const times = (id: string): number => there.get(id) ?? there.get(norm(id)) ?? 0;
  const missed = [...ledger.mails].filter((id) => times(id) === 0);
  for (const id of missed) console.log(`  not there: ${id}: ${await whereabouts(db, norm(id))}`);
  const lost = missed.length;
  const doubled = [...ledger.mails].filter((id) => times(id) > 1).length;
  say(
    'every acknowledged mail is there once',
    lost === 0 && doubled === 0,
    `${ledger.mails.size} acknowledged in ${ledger.tries} tries, ${lost} lost, ${doubled} twice`,
  );
  const unlike = await sql<{
    count: number;
  }>`select count(*) as count from message where direction = 'INBOUND' and position(trim(both '<>' from provider_message_id) in text) = 0`.execute(db);
  say('no text is another mail’s', unlike.rows[0]?.count === 0, `${unlike.rows[0]?.count} differ`);
  const written = await db.selectFrom('message').innerJoin('outbound', 'outbound.message_id', 'message.id').select(['text', 'state']).execute();
  const stored = new Map<string, number>();
  for (const { text } of written) stored.set(text, (stored.get(text) ?? 0) + 1);
  const missing = [...ledger.replies].filter((mark) => stored.get(mark) !== 1).length;
  say('every acknowledged reply is there once', missing === 0, `${ledger.replies.size} acknowledged, ${missing} not there once`);
  const got = new Map<string, number>();
  for (let index = 0; index < CUSTOMERS; index += 1) {
    for (const mail of outside.received(`customer${index}@home.example`)) {
      const mark = /mark-[0-9a-f]{16}/.exec(mail.text ?? '')?.[0] ?? '';
      got.set(mark, (got.get(mark) ?? 0) + 1);
    }
  }
  const twice = [...got.values()].filter((count) => count > 1).length;
  say('no reply was sent twice', twice === 0, `${got.size} came, ${twice} twice`);
  const states = new Map<string, number>();
  for (const { state } of written) states.set(state, (states.get(state) ?? 0) + 1);
  const unsent = written.filter(({ text, state }) => state === 'SENT' && !got.has(text)).length;
  say('every reply called sent has come', unsent === 0, [...states].map(([state, count]) => `${count} ${state}`).join(', '));
  // A kill between the provider's word and ours leaves a doubt; more doubts than kills would be a fault.
  const doubts = (states.get('MAYBE_SENT') ?? 0) + (states.get('FAILED') ?? 0);
  say('few replies are in doubt', doubts <= KILLS, `${doubts} after ${KILLS} kills`);
  say('the harm done by hand took hold', tookHold === 4, `${tookHold} of 4`);
  await sayDoctor(summary, db);
  return summary.print();
}
