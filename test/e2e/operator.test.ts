import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import chat from '@trunkline/plugin-chat';
import email from '@trunkline/plugin-email';
import { savePolicy } from '#commands/sla-policies.ts';
import { startReevaluation } from '#commands/sla-reevaluation.ts';
import { transact } from '#commands/unit.ts';
import { tryLockIntake } from '#db/locks.ts';
import { apiClient, nodes, type Edges } from '#scripts/demo/graphql.ts';
import { read } from '../structure/source.ts';
import { eventually } from '../support/wait.ts';
import { hire, openGround, openRefusing, run, type Ground } from './ground.ts';

const PAGE = 'docs/operations.md';
/** The commands of the page's blocks, as they stand there. */
const SHOWN = [...read(PAGE).matchAll(/^```sh\n([\s\S]*?)^```/gm)]
  .flatMap(([, block = '']) => block.split('\n'))
  .filter((line) => /^(temporal|npm) /.test(line));
/** The commands in its tables. */
const TOLD = [
  ...new Set([...read(PAGE).matchAll(/^\|.*\|$/gm)].flatMap(([row]) => [...row.matchAll(/`(temporal [^`]*)`/g)].map(([, command = '']) => command))),
];

let ground: Ground;
let ownerId: string;
/** The support channel's key, its ticket, and a conversation whose reply can not be handed in. */
let key: string;
let number: number;
let stuckConversation: string;
let stuckKey: string;
/** Open tickets were brought up to a policy by it. */
let reevaluationId: string;
/** A conversation whose bot waits for an answer. */
let askedConversation: string;
/** A channel whose move can not end: somebody holds one of its conversations. */
let movingKey: string;
let letGo: () => Promise<void>;
/** A provider that takes nothing for now. */
let later: Awaited<ReturnType<typeof openRefusing>>;
const bin = mkdtempSync(join(tmpdir(), 'trunkline-bin-'));

beforeAll(async () => {
  ground = await openGround();
  later = await openRefusing(451);
  symlinkSync(ground.stack.temporalProgram ?? '', join(bin, 'temporal'));
  await promiseTooMuch(ground);
  const owner = await hire(ground, 'Ada');
  ownerId = owner.rowId;
  ({ key } = await ground.connect({ name: 'Support', address: 'support@acme.example', userIds: [owner.id] }));
  const nowhere = await ground.connect({ name: 'Nowhere', address: 'nowhere@acme.example', userIds: [owner.id], smtpPort: later.port });
  stuckKey = nowhere.key;
  for (const to of ['support', 'nowhere'])
    await ground.outside.send({ from: 'carla@home.example', name: 'Carla', to: `${to}@acme.example`, subject: to, text: 'Hello' });
  const found = await eventually(async () => {
    const { conversations } = await apiClient(ground.stack.addresses.graphql, owner.token).run<{ conversations: { edges: { node: Conversation }[] } }>(
      '{ conversations(first: 10) { edges { node { id subject owner { id } ticket { number } } } } }',
    );
    const all = conversations.edges.map((edge) => edge.node);
    return all.length === 2 && all.every((one) => one.owner !== null) && all;
  });
  for (const { id } of found) await ground.admin.do('reply', '... on Message { id }', { conversationId: id, text: 'Which one?' });
  number = found.find((one) => one.subject === 'support')?.ticket.number ?? 0;
  // So that its workflow waits for a moment.
  const [from, to] = [1, 2].map((days) => new Date(Date.now() + days * 86_400_000).toISOString());
  await ground.admin.do('addOutOfOffice', '... on User { id }', { from, to });
  const stuck = await eventually(() =>
    ground.db
      .selectFrom('outbound')
      .innerJoin('channel', 'channel.id', 'outbound.channel_id')
      .select('conversation_id')
      .where('channel.key', '=', stuckKey)
      .where('attempt', '>', 0)
      .executeTakeFirstOrThrow(),
  );
  stuckConversation = stuck.conversation_id;
  await eventually(() => ground.outside.received('carla@home.example').length === 1);
  askedConversation = await askVisitor(ground);
  reevaluationId = await reevaluate(ground);
  ({ key: movingKey, letGo } = await moveHeld(ground));
});
afterAll(async () => {
  await letGo?.();
  await ground?.close();
  await later?.close();
  rmSync(bin, { recursive: true, force: true });
});

/** A policy whose goal nobody can keep: every ticket is overdue at once. */
async function promiseTooMuch({ db }: Ground): Promise<void> {
  const targets = [{ kind: 'CLOSE', priority: null, durationMs: 1, dueSoonMs: 0 }] as const;
  const policy = { name: 'All', conditions: [], targets, pauseStatusIds: [], actions: [] };
  await transact(db, { actor: 'SYSTEM' }, (unit) => savePolicy(unit, policy, 'NEW_TICKETS'));
}

/** Open tickets that are brought up to the policies; its wake is lost, so the guardian begins it. */
async function reevaluate({ db }: Ground): Promise<string> {
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) => startReevaluation(unit, 'BY_HAND'));
  const { reevaluationId: id } = value;
  await eventually(async () => (await db.selectFrom('sla_reevaluation').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state === 'DONE', {
    timeoutMs: 90_000,
  });
  return id;
}

/** Connects a chat whose bot asks for an address; the conversation of a visitor who has not answered yet. */
async function askVisitor({ admin, db, stack }: Ground): Promise<string> {
  const { places } = await admin.run<{ places: Edges<{ id: string; kind: string }> }>('{ places(first: 10) { edges { node { kind ... on Node { id } } } } }');
  const { id, primaryChatflow } = await admin.do<{ id: string; primaryChatflow: { id: string } }>(
    'connectChannel',
    '... on Channel { id primaryChatflow { id } }',
    {
      plugin: chat.key,
      name: 'Chat',
      placeId: nodes(places).find((one) => one.kind === 'HELP_DESK')?.id,
      settings: { title: 'Acme' },
    },
  );
  const steps = [
    { id: 'email', type: 'ask', text: 'Your address?', of: 'contact', property: 'email', answer: { type: 'email' }, next: 'end' },
    { id: 'end', type: 'end' },
  ];
  const input = { channelId: id, chatflowId: primaryChatflow.id, kind: 'BOT', definition: { start: 'email', steps } };
  await admin.do('saveChatflow', '... on Chatflow { id }', input);
  const channel = await db.selectFrom('channel').select(['id', 'key']).where('name', '=', 'Chat').executeTakeFirstOrThrow();
  const page = `${stack.addresses.web}/pages/${chat.key}/${channel.key}/`;
  const { token } = (await (await fetch(`${page}visitor`, { method: 'POST' })).json()) as { readonly token: string };
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  await fetch(`${page}messages`, { method: 'POST', headers, body: JSON.stringify({ id: randomUUID(), text: 'Hello' }) });
  const { conversation_id: conversationId } = await eventually(() =>
    db
      .selectFrom('chatflow_run')
      .innerJoin('conversation', 'conversation.id', 'chatflow_run.conversation_id')
      .select('conversation_id')
      .where('channel_id', '=', channel.id)
      .where('state', '=', 'WAITING')
      .executeTakeFirstOrThrow(),
  );
  return conversationId;
}

/** Connects a channel to an inbox and starts its move, while somebody holds its one conversation. */
async function moveHeld({ admin, db, outside }: Ground): Promise<{ readonly key: string; letGo(): Promise<void> }> {
  const inbox = await admin.do<{ id: string }>('createInbox', '... on Inbox { id }', { name: 'Moving' });
  const { id } = await admin.do<{ id: string }>('connectChannel', '... on Channel { id }', {
    plugin: email.key,
    name: 'Moving',
    placeId: inbox.id,
    settings: { kind: 'other', address: 'moving@acme.example', companyName: 'Acme', smtp: { host: '127.0.0.1', port: outside.smtpPort, secure: 'none' } },
  });
  await outside.send({ from: 'dora@home.example', name: 'Dora', to: 'moving@acme.example', subject: 'moving', text: 'Hello' });
  const channel = await db.selectFrom('channel').select(['id', 'key']).where('name', '=', 'Moving').executeTakeFirstOrThrow();
  const conversation = await eventually(() => db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).executeTakeFirstOrThrow());
  const holding = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const transaction = db.transaction().execute(async (tx) => {
    await sql`set local transaction_timeout = 0`.execute(tx);
    await tx.selectFrom('conversation').select('id').where('id', '=', conversation.id).forUpdate().execute();
    held.resolve();
    await holding.promise;
  });
  await held.promise;
  const { pipelines } = await admin.run<{ pipelines: Edges<{ statuses: readonly { id: string; category: string }[] }> }>(
    '{ pipelines(first: 1) { edges { node { statuses { id category } } } } }',
  );
  const status = (category: string): string | undefined => nodes(pipelines)[0]?.statuses.find((one) => one.category === category)?.id;
  const mapping = { openStatusId: status('OPEN'), closedStatusId: status('CLOSED') };
  await admin.do('startChannelMigration', '... on ChannelMigration { id }', { channelId: id, history: 'ALL', ...mapping });
  return {
    key: channel.key,
    async letGo() {
      holding.resolve();
      await transaction;
    },
  };
}

interface Conversation {
  readonly id: string;
  readonly subject: string;
  readonly owner: { readonly id: string } | null;
  readonly ticket: { readonly number: number };
}

/** What each command that is shown must print; the first that fits its text counts. */
const PRINTS: readonly (readonly [RegExp, () => readonly (string | RegExp)[]])[] = [
  [/^temporal workflow list$/, () => [`ticket/${number}`, 'guardian']],
  [/WorkflowType = "ticket" AND/, () => [`ticket/${number}`]],
  [/TrunklineChannel = /, () => [`ticket/${number}`, `channel-intake/${key}`]],
  [/TrunklineTicket = /, () => [`ticket/${number}`]],
  [/TrunklineOwner = .*TrunklineTicketStatus = /, () => [`ticket/${number}`]],
  [/TrunklinePlugin = "email" AND WorkflowType = "outbox"/, () => [`outbox/${stuckConversation}`]],
  [/TrunklineMigrationState = "RUNNING"/, () => [`channel-migration/${movingKey}`]],
  [/workflow query .*channel-migration.*--type status/, () => ['moves conversations']],
  [/workflow query .*channel-migration.*--type explain/, () => ['SWEEPING', movingKey]],
  [/workflow describe --workflow-id channel-migration/, () => [`moves channel ${movingKey} to the help desk`]],
  [/workflow query .*--type status/, () => ['waits until something changes']],
  [/workflow query .*--type explain/, () => [`"owner":\\s*"${ownerId}"`, key, 'OPEN'].map((text) => new RegExp(text))],
  [/workflow describe --workflow-id ticket/, () => [`ticket ${number} from channel ${key}`, ownerId]],
  [/workflow show --workflow-id ticket/, () => ['ActivityTaskCompleted']],
  [/schedule describe --schedule-id guardian/, () => ['guardian']],
  [/schedule trigger --schedule-id guardian/, () => []],
  [/TrunklineSlaState = "OVERDUE"/, () => [`ticket/${number}`]],
  [/schedule describe --schedule-id sla-horizon/, () => ['sla-horizon']],
  [/schedule trigger --schedule-id sla-horizon/, () => []],
  [/schedule describe --schedule-id channel-check/, () => ['channel-check']],
  [/schedule trigger --schedule-id channel-check/, () => []],
  [/schedule describe --schedule-id channel-renewals/, () => ['channel-renewals']],
  [/schedule trigger --schedule-id channel-renewals/, () => []],
  [/npm run doctor/, () => [/all \d+ invariants hold/]],
];

it('the page shows how to list by each attribute, describe, query, read a history, and look at the guardian [OPS-5]', () => {
  for (const [pattern] of PRINTS)
    expect(
      SHOWN.filter((command) => pattern.test(command)),
      String(pattern),
    ).not.toEqual([]);
  expect(TOLD.length).toBeGreaterThan(4);
});

it.each(SHOWN)('%s [OPS-4] [OPS-5]', async (command) => {
  const expected = PRINTS.find(([pattern]) => pattern.test(command))?.[1];
  expect(expected, 'a command of the page has no expectation here').toBeDefined();
  // What is listed follows what happens by a moment.
  await eventually(async () => {
    const printed = await shell(fill(command, { workflow: `ticket/${number}`, key }));
    for (const text of expected?.() ?? []) expect(printed).toMatch(text instanceof RegExp ? text : new RegExp(text.replaceAll(/[/.]/g, '\\$&')));
  });
});

it('every command in the tables does what it says, while its workflow runs [OPS-5] [OPS-12]', async () => {
  const workflow = `channel-intake/${stuckKey}`;
  const { id } = await ground.db.selectFrom('channel').select('id').where('key', '=', stuckKey).executeTakeFirstOrThrow();
  await ground.db.transaction().execute(async (tx) => {
    // A busy intake: somebody else is writing this channel's deliveries.
    expect(await tryLockIntake(tx, id)).toBe(true);
    await ground.outside.send({ from: 'carla@home.example', name: 'Carla', to: 'nowhere@acme.example', subject: 'again', text: 'Hello?' });
    const activityId = await eventually(async () => {
      const pending = JSON.parse(await ground.temporal('workflow', 'describe', '--workflow-id', workflow, '--output', 'json')) as {
        readonly pendingActivities?: readonly { readonly activityId: string }[];
      };
      return pending.pendingActivities?.[0]?.activityId ?? false;
    });
    await ground.temporal('activity', 'pause', '--workflow-id', workflow, '--activity-id', activityId);
    const gentleFirst = TOLD.toSorted((a, b) => Number(a.includes('terminate')) - Number(b.includes('terminate')));
    for (const command of gentleFirst) await shell(fill(command, { workflow, key: stuckKey, activityId }));
  });
  // What the terminated one had not taken in comes all the same.
  await eventually(async () => (await ground.db.selectFrom('message').select('id').where('text', 'like', 'Hello?%').execute()).length === 1);
  expect(await ground.broken()).toEqual([]);
});

it('every attribute the page names is one the workflows set, and every one they set is named [OPS-4]', () => {
  const registered = [...read('workflows/contract.ts').matchAll(/'(Trunkline\w+)'/g)].map(([, name = '']) => name);
  const named = new Set([...read(PAGE).matchAll(/Trunkline[A-Z]\w+/g)].map(([name]) => name));
  expect([...named].filter((name) => !registered.includes(name))).toEqual([]);
  expect(registered.filter((name) => !named.has(name))).toEqual([]);
});

/** A command of the page with its examples and placeholders filled in. */
function fill(
  command: string,
  { workflow, key: channelKey, activityId = '' }: { readonly workflow: string; readonly key: string; readonly activityId?: string },
): string {
  const filled = command
    .replaceAll(/ticket\/(1042|<number>)/g, `ticket/${number}`)
    .replaceAll(/= (1042|<number>)/g, `= ${number}`)
    .replaceAll(/"(support|<channel key>)"/g, `"${channelKey}"`)
    .replaceAll('<user id>', ownerId)
    .replaceAll('<activity id>', activityId)
    .replaceAll('channel-migration/<channel key>', `channel-migration/${movingKey}`)
    .replaceAll('sla-reevaluation/<id>', `sla-reevaluation/${reevaluationId}`)
    .replaceAll('chatflow/<conversation id>', `chatflow/${askedConversation}`)
    .replaceAll('<conversation id>', stuckConversation)
    .replaceAll(/<(channel )?key>/g, channelKey)
    .replaceAll('<id>', workflow);
  expect(filled, 'a placeholder nobody fills in').not.toMatch(/<[a-z ]+>/);
  return filled;
}

/** Runs it as an operator would type it. */
function shell(command: string): Promise<string> {
  const { PATH, HOME } = process.env;
  const { databaseUrl, temporal, environment } = ground.stack;
  const root = fileURLToPath(new URL('../..', import.meta.url));
  return run('sh', ['-c', `cd '${root}' && ${command}`], {
    ...(command.startsWith('npm') ? environment : {}),
    PATH: `${bin}:${PATH}`,
    HOME,
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: temporal.address,
    // Without a terminal, as a script sees it.
    NO_COLOR: '1',
  });
}
