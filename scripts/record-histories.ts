import { mkdirSync, writeFileSync } from 'node:fs';
import { ChannelFailure } from '@trunkline/channel-sdk';
import { runGuardianOnce } from '#activities/guardian.ts';
import { storeBlob } from '#commands/blobs.ts';
import { saveChatflow } from '#commands/chatflows.ts';
import { startMigration } from '#commands/migrations.ts';
import { assign } from '#commands/owners.ts';
import { savePolicy } from '#commands/sla-policies.ts';
import { testSystemSender } from '#commands/system-mail.ts';
import { connectChannel } from '#commands/channels.ts';
import { setSystemSender } from '#commands/system-sender.ts';
import { close } from '#commands/tickets.ts';
import { startTicketImport } from '#commands/ticket-import.ts';
import { transact } from '#commands/unit.ts';
import { addOutOfOffice, setAvailability } from '#commands/user-availability.ts';
import { saveWebhook, testWebhook } from '#commands/webhooks.ts';
import {
  attachmentsWorkflowId,
  catchUpWorkflowId,
  CHANNEL_CHECK_SCHEDULE,
  CHANNEL_RENEWALS_SCHEDULE,
  channelMigrationWorkflowId,
  chatflowWorkflowId,
  GUARDIAN_SCHEDULE,
  intakeWorkflowId,
  migrationSlaWorkflowId,
  outboxWorkflowId,
  ROUTING_RETRY_WORKFLOW,
  SLA_HORIZON_SCHEDULE,
  slaReevaluationWorkflowId,
  SYSTEM_MAIL_WORKFLOW,
  ticketImportWorkflowId,
  ticketWorkflowId,
  WEBHOOKS_WORKFLOW,
} from '#workflows/contract.ts';
import { keepChannelCheckSchedule, keepChannelRenewalsSchedule, keepGuardianSchedule, keepSlaHorizonSchedule } from '#worker/schedule.ts';
import { writeHistory } from '#test/workflows/histories.ts';
import scripted from '#test/workflows/scripted-config.ts';
import { flowingPlugin, provided } from '#test/workflows/scripted-plugin.ts';
import { openWorld, until, type World } from '#test/workflows/world.ts';
import held, { configUrl } from '#test/support/held-config.ts';
import { heldProvider } from '#test/support/held-provider.ts';
import { fakeSmtp, refusal } from '#test/support/smtp-fake.ts';
import { openReceiver } from '#test/support/webhook-receiver.ts';

/**
 * Records one history of each workflow on a real server into `test/histories`, to be replayed by every later version (OPS-8).
 * Add recordings when a workflow learns something new; those of released code are kept.
 */
const folder = new URL('../test/histories/', import.meta.url);
const version = process.argv[2] ?? '0001';
/** Only these are written; none: all. */
const only = process.argv.slice(3);

mkdirSync(folder, { recursive: true });
const world = await openWorld();
try {
  await record(world);
} finally {
  await world.close();
}
// After it: closing a world ends the servers.
await recordCatchUp();

async function record(world: World): Promise<void> {
  const channel = await world.connect('HELP_DESK');
  const by = { actor: 'USER', userId: world.userId } as const;
  await world.deliver(channel, { do: 'message', id: 'one', from: 'visitor-one', text: 'hello' });
  const ticket = await until('the owner', () =>
    world.db.selectFrom('ticket').select(['id', 'number', 'conversation_id']).where('owner_id', 'is not', null).executeTakeFirst(),
  );
  const conversationId = ticket.conversation_id ?? '';
  for (const text of ['RateLimited first', 'Rejected always', 'an answer']) await world.reply(conversationId, text);
  const ended = (id: string) => until(`${id} completes`, async () => (await world.client.workflow.getHandle(id).describe()).status.name === 'COMPLETED');
  await ended(outboxWorkflowId(conversationId));
  await ended(intakeWorkflowId(channel.key));
  await world.commit(await transact(world.db, by, (unit) => assign(unit, { ticketId: ticket.id }, null)));
  await world.commit(await transact(world.db, by, (unit) => close(unit, { ticketId: ticket.id })));
  await ended(ticketWorkflowId(ticket.number));
  await runGuardianOnce(world.set.engine);
  await keepGuardianSchedule(world.client, () => Date.now());
  const guardian = await completed(world, 'guardian');
  await world.client.schedule.getHandle(GUARDIAN_SCHEDULE).delete();
  await keepChannelCheckSchedule(world.client, () => Date.now());
  const channelCheck = await completed(world, 'channelCheck');
  await world.client.schedule.getHandle(CHANNEL_CHECK_SCHEDULE).delete();

  await keepChannelRenewalsSchedule(world.client, () => Date.now());
  const channelRenewals = await completed(world, 'channelRenewals');
  await world.client.schedule.getHandle(CHANNEL_RENEWALS_SCHEDULE).delete();

  await keepSlaHorizonSchedule(world.client, () => Date.now());
  const slaHorizon = await completed(world, 'slaHorizon');
  await world.client.schedule.getHandle(SLA_HORIZON_SCHEDULE).delete();

  await save('channelAttachments', await recordAttachments(world));
  const sla = await recordSla(world);
  await save('ticket', sla.ticket);
  await save('slaReevaluation', sla.reevaluation);
  await save('slaHorizon', slaHorizon);
  await save('channelIntake', intakeWorkflowId(channel.key));
  await save('outbox', outboxWorkflowId(conversationId));
  await save('guardian', guardian);
  await save('channelCheck', channelCheck);
  await save('channelRenewals', channelRenewals);
  await save('chatflow', await recordChatflow(world));
  await save('systemMail', await recordSystemMail(world));
  await save('webhooks', await recordWebhooks(world));
  await save('ticketImport', await recordImport(world));
  await save('routingRetry', await recordRetry(world));
  const move = await recordMove(world);
  await save('channelMigration', move.channelMigration);
  await save('migrationSla', move.migrationSla);
}

/** The id of a workflow of this type that its schedule has begun and that has ended. */
async function completed(on: World, type: string): Promise<string> {
  return until(
    `${type} has run`,
    async () => {
      for await (const one of on.client.workflow.list({ query: `WorkflowType = '${type}' and ExecutionStatus = 'Completed'` })) return one.workflowId;
      return undefined;
    },
    45,
  );
}

/** A file of more than one batch, with a bad line. */
async function recordImport(on: World): Promise<string> {
  const lines = Array.from({ length: 700 }, (_, index) => JSON.stringify(index === 5 ? {} : { name: `Ticket ${index}` }));
  const { sha256, bytes } = await storeBlob(on.db, Buffer.from(lines.join('\n')));
  const upload = { user_id: on.userId, sha256, file_name: 'tickets.ndjson', type: 'application/x-ndjson', bytes };
  const { id: uploadId } = await on.db.insertInto('upload').values(upload).returning('id').executeTakeFirstOrThrow();
  const { importId } = await on.commit(
    await transact(on.db, { actor: 'USER', userId: on.userId }, (unit) =>
      startTicketImport(unit, { uploadId, userId: on.userId, format: 'NDJSON', source: 'recorded' }),
    ),
  );
  await until('it completes', async () => (await on.client.workflow.getHandle(ticketImportWorkflowId(importId)).describe()).status.name === 'COMPLETED');
  return ticketImportWorkflowId(importId);
}

/** A bot that asks, is answered wrongly and rightly, and hands off. */
async function recordChatflow(on: World): Promise<string> {
  const channel = await on.connect('HELP_DESK', 'flowing');
  const steps = [
    { id: 'hello', type: 'say', text: 'Hello', next: 'size' },
    { id: 'size', type: 'ask', text: 'How many?', of: 'ticket', property: 'properties.size', answer: { type: 'number' }, next: 'many' },
    { id: 'many', type: 'branch', cases: [{ step: 'size', operator: 'greater-than', value: 10, next: 'people' }], otherwise: 'bye' },
    { id: 'bye', type: 'end', text: 'Bye' },
    { id: 'people', type: 'hand-off', rule: { kind: 'NOBODY' } },
  ];
  const { id: chatflowId } = await on.db.selectFrom('chatflow').select('id').where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
  const input = { channelId: channel.id, chatflowId, kind: 'BOT', definition: { start: 'hello', steps } } as const;
  await transact(on.db, { actor: 'SYSTEM' }, (unit) => saveChatflow(unit, { plugins: [flowingPlugin] }, input));
  const says = (id: string, text: string) => on.deliver(channel, { do: 'message', id, from: 'visitor-three', text });
  const run = () => on.db.selectFrom('chatflow_run').select(['conversation_id', 'state', 'tries']).executeTakeFirst();
  await says('flow-1', 'Hi');
  await until('it asks', async () => (await run())?.state === 'WAITING');
  await says('flow-2', 'many');
  await until('it asks again', async () => (await run())?.tries === 1);
  await says('flow-3', '12');
  const { conversation_id: conversationId } = await until('it hands off', async () => {
    const row = await run();
    return row?.state === 'HANDED_OFF' && row;
  });
  const workflowId = chatflowWorkflowId(conversationId);
  await until('it completes', async () => (await on.client.workflow.getHandle(workflowId).describe()).status.name === 'COMPLETED');
  return workflowId;
}

/** A mail that goes out at the second try, after a wait. */
async function recordSystemMail(on: World): Promise<string> {
  let asked = 0;
  const smtp = await fakeSmtp({ onRcptTo: (_address, _session, callback) => callback((asked += 1) === 1 ? refusal(451) : null) });
  try {
    const sender = { smtp: { host: '127.0.0.1', port: smtp.port, security: 'none', fromAddress: 'desk@acme.example' } } as const;
    await transact(on.db, { actor: 'SYSTEM' }, (unit) => setSystemSender(unit, { plugins: [], keys: on.keys }, sender));
    await on.commit(await transact(on.db, { actor: 'SYSTEM' }, (unit) => testSystemSender(unit, { userId: on.userId })));
    await until('the mail is sent', async () =>
      on.db.selectFrom('system_mail').select('id').where('kind', '=', 'TEST').where('state', '=', 'SENT').executeTakeFirst(),
    );
    await until('it completes', async () => (await on.client.workflow.getHandle(SYSTEM_MAIL_WORKFLOW).describe()).status.name === 'COMPLETED');
    return SYSTEM_MAIL_WORKFLOW;
  } finally {
    await smtp.close();
  }
}

/** A call that is taken at the second try, after a wait. */
async function recordWebhooks(on: World): Promise<string> {
  let asked = 0;
  const receiver = await openReceiver(() => ((asked += 1) === 1 ? 503 : 204));
  try {
    const saved = await transact(on.db, { actor: 'SYSTEM' }, (unit) => saveWebhook(unit, { keys: on.keys }, { name: 'recorded', url: receiver.url }));
    const { webhookId } = await on.commit(saved);
    await on.commit(await transact(on.db, { actor: 'SYSTEM' }, (unit) => testWebhook(unit, { webhookId })));
    await until('the call is taken', async () => on.db.selectFrom('webhook_delivery').select('id').where('state', '=', 'SENT').executeTakeFirst());
    await until('it completes', async () => (await on.client.workflow.getHandle(WEBHOOKS_WORKFLOW).describe()).status.name === 'COMPLETED');
    return WEBHOOKS_WORKFLOW;
  } finally {
    await receiver.close();
  }
}

/** Somebody comes back at a moment, and what waited is theirs. */
async function recordRetry(on: World): Promise<string> {
  const channel = await on.connect('HELP_DESK');
  await on.db.updateTable('channel').set({ retry_when_available: true }).where('id', '=', channel.id).execute();
  const by = { actor: 'USER', userId: on.userId } as const;
  await on.commit(await transact(on.db, by, (unit) => setAvailability(unit, { userId: on.userId, availability: 'AWAY' })));
  await on.deliver(channel, { do: 'message', id: 'waiting-one', from: 'visitor-four', text: 'hello' });
  const waiting = () => on.db.selectFrom('ticket').select('owner_id').where('nobody_free_since', 'is not', null).executeTakeFirst();
  await until('it waits', waiting);
  const range = { from: new Date(Date.now() - 1_000), to: new Date(Date.now() + 3_000) };
  await on.commit(await transact(on.db, by, (unit) => addOutOfOffice(unit, { userId: on.userId, ...range })));
  await until('it waits no more', async () => (await waiting()) === undefined);
  await until('it completes', async () => (await on.client.workflow.getHandle(ROUTING_RETRY_WORKFLOW).describe()).status.name === 'COMPLETED');
  return ROUTING_RETRY_WORKFLOW;
}

/** A ticket whose close is due soon, then overdue, then done; and a policy that open tickets are brought up to. */
async function recordSla(on: World): Promise<{ readonly ticket: string; readonly reevaluation: string }> {
  const by = { actor: 'USER', userId: on.userId } as const;
  const channel = await on.connect('HELP_DESK');
  await on.deliver(channel, { do: 'message', id: 'sla-one', from: 'visitor-five', text: 'hello' });
  const ticket = await until('the ticket', () =>
    on.db
      .selectFrom('ticket')
      .innerJoin('conversation', 'conversation.id', 'ticket.conversation_id')
      .select(['ticket.id', 'ticket.number'])
      .where('conversation.channel_id', '=', channel.id)
      .where('ticket.owner_id', 'is not', null)
      .executeTakeFirst(),
  );
  const target = { kind: 'CLOSE', priority: null, durationMs: 6_000, dueSoonMs: 3_000 } as const;
  const policy = { name: 'recorded', conditions: [], targets: [target], pauseStatusIds: [], actions: [] };
  await on.commit(await transact(on.db, by, (unit) => savePolicy(unit, policy, 'OPEN_TICKETS_TOO')));
  await until('it is overdue', () =>
    on.db.selectFrom('sla_goal').select('kind').where('ticket_id', '=', ticket.id).where('overdue_fired_at', 'is not', null).executeTakeFirst(),
  );
  await on.commit(await transact(on.db, by, (unit) => close(unit, { ticketId: ticket.id })));
  const workflowId = ticketWorkflowId(ticket.number);
  await until('it completes', async () => (await on.client.workflow.getHandle(workflowId).describe()).status.name === 'COMPLETED');
  const { id } = await on.db.selectFrom('sla_reevaluation').select('id').executeTakeFirstOrThrow();
  return { ticket: workflowId, reevaluation: slaReevaluationWorkflowId(id) };
}

/** A channel with a few conversations goes to the help desk, and their tickets get the goals of the policy that is there. */
async function recordMove(on: World): Promise<{ readonly channelMigration: string; readonly migrationSla: string }> {
  const channel = await on.connect('INBOX');
  for (let index = 0; index < 5; index += 1) {
    await on.deliver(channel, { do: 'message', id: `moved-${index}`, from: `visitor-moved-${index}`, text: 'hello' });
  }
  const there = () => on.db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).execute();
  await until('all are taken in', async () => (await there()).length === 5);
  const { default_pipeline_id: pipelineId } = await on.db
    .selectFrom('channel')
    .select('default_pipeline_id')
    .where('id', '=', channel.id)
    .executeTakeFirstOrThrow();
  const status = async (category: 'OPEN' | 'CLOSED') =>
    (await on.db.selectFrom('ticket_status').select('id').where('pipeline_id', '=', pipelineId).where('category', '=', category).executeTakeFirstOrThrow()).id;
  const input = { channelId: channel.id, history: 'ALL', openStatusId: await status('OPEN'), closedStatusId: await status('CLOSED') } as const;
  const committed = await transact(on.db, { actor: 'USER', userId: on.userId }, (unit) =>
    startMigration(unit, { plugins: scripted.plugins, keys: on.keys }, input),
  );
  const { migrationId } = await on.commit(committed);
  const ids = { channelMigration: channelMigrationWorkflowId(channel.key), migrationSla: migrationSlaWorkflowId(migrationId) };
  const ended = async (id: string) => (await on.client.workflow.getHandle(id).describe()).status.name === 'COMPLETED';
  await until('the move completes', () => ended(ids.channelMigration), 60);
  await until('the goals are there', () => ended(ids.migrationSla), 60);
  return ids;
}

/** A file that is had at the second try, after a wait. */
async function recordAttachments(on: World): Promise<string> {
  const channel = await on.connect('INBOX', 'askable');
  let asked = 0;
  provided.set('a file', async () => {
    asked += 1;
    if (asked === 1) throw new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: 2 });
    return Buffer.from('what is in it');
  });
  await on.deliver(channel, { do: 'message', id: 'with-file', from: 'visitor-two', text: 'look', files: [{ name: 'file.txt', text: 'a file' }] });
  const workflowId = attachmentsWorkflowId(channel.key);
  await until('the file is stored', async () => on.db.selectFrom('attachment').select('id').where('state', '=', 'STORED').executeTakeFirst());
  await until('it completes', async () => (await on.client.workflow.getHandle(workflowId).describe()).status.name === 'COMPLETED');
  return workflowId;
}

/** Several pages, after a wait; in a world of its own, for its channel has a provider with a history. */
async function recordCatchUp(): Promise<void> {
  const on = await openWorld({ channels: { config: held, configUrl } });
  const provider = await heldProvider();
  try {
    provider.items.push(...Array.from({ length: 7 }, (_, index) => ({ id: `held-${index}`, from: 'visitor', text: 'held' })));
    provider.script('rate-limited');
    const place = await on.db.selectFrom('place').select('id').where('kind', '=', 'INBOX').executeTakeFirstOrThrow();
    const input = { plugin: 'held', name: 'Held', placeId: place.id, settings: { page: 'recorded', provider: provider.url } };
    const { key } = await on.commit(
      await transact(on.db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: held.plugins, keys: on.keys }, input)),
    );
    const workflowId = catchUpWorkflowId(key);
    // The provider asks for a minute's patience.
    await until('it completes', async () => (await on.client.workflow.getHandle(workflowId).describe()).status.name === 'COMPLETED', 150);
    await save('channelCatchUp', workflowId, on);
  } finally {
    await provider.close();
    await on.close();
  }
}

async function save(type: string, workflowId: string, on = world): Promise<void> {
  if (only.length > 0 && !only.includes(type)) return;
  const history = await on.client.workflow.getHandle(workflowId).fetchHistory();
  writeFileSync(new URL(`${type}.${version}.json`, folder), writeHistory(history));
  console.log(`${type}.${version}.json: ${history.events?.length ?? 0} events`);
}
