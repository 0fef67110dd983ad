import type { Wake } from '#domain/wake.ts';

/** Live work; moves, imports and re-evaluations run on the other, so bulk never delays a message. */
export const TASK_QUEUE = 'trunkline';
export const BULK_TASK_QUEUE = 'trunkline-bulk';

/** Sent with nothing in it: the workflow reads the rows. */
export const WAKE_SIGNAL = 'wake';
export const STATUS_QUERY = 'status';
export const EXPLAIN_QUERY = 'explain';

export const GUARDIAN_SCHEDULE = 'guardian';
export const CHANNEL_CHECK_SCHEDULE = 'channel-check';
export const CHANNEL_RENEWALS_SCHEDULE = 'channel-renewals';
export const SLA_HORIZON_SCHEDULE = 'sla-horizon';

export const ticketWorkflowId = (number: number): string => `ticket/${number}`;
export const intakeWorkflowId = (channelKey: string): string => `channel-intake/${channelKey}`;
export const ticketImportWorkflowId = (importId: string): string => `ticket-import/${importId}`;
export const attachmentsWorkflowId = (channelKey: string): string => `attachments/${channelKey}`;
export const renewalWorkflowId = (channelKey: string): string => `channel-renewal/${channelKey}`;
export const catchUpWorkflowId = (channelKey: string): string => `catch-up/${channelKey}`;
export const SYSTEM_MAIL_WORKFLOW = 'system-mail';
export const ROUTING_RETRY_WORKFLOW = 'routing-retry';
export const WEBHOOKS_WORKFLOW = 'webhooks';
export const slaReevaluationWorkflowId = (reevaluationId: string): string => `sla-reevaluation/${reevaluationId}`;
export const channelMigrationWorkflowId = (channelKey: string): string => `channel-migration/${channelKey}`;
export const migrationSlaWorkflowId = (migrationId: string): string => `migration-sla/${migrationId}`;
export const chatflowWorkflowId = (conversationId: string): string => `chatflow/${conversationId}`;
export const outboxWorkflowId = (conversationId: string): string => `outbox/${conversationId}`;

/** Search attributes, registered by `npm run temporal:setup`. Ids and enumerated values only. */
export const SEARCH_ATTRIBUTES = {
  channel: 'TrunklineChannel',
  plugin: 'TrunklinePlugin',
  ticket: 'TrunklineTicket',
  ticketStatus: 'TrunklineTicketStatus',
  owner: 'TrunklineOwner',
  slaState: 'TrunklineSlaState',
  migrationState: 'TrunklineMigrationState',
} as const;

/** What starts (or finds running) the workflow that a wake is for. */
export interface StartRequest {
  readonly workflowType:
    | 'ticket'
    | 'channelIntake'
    | 'channelAttachments'
    | 'channelCatchUp'
    | 'channelRenewals'
    | 'outbox'
    | 'chatflow'
    | 'ticketImport'
    | 'systemMail'
    | 'routingRetry'
    | 'webhooks'
    | 'channelMigration'
    | 'migrationSla'
    | 'slaReevaluation';
  readonly workflowId: string;
  readonly args: readonly [] | readonly [string | number];
  /** Left out: the live one. */
  readonly taskQueue?: typeof BULK_TASK_QUEUE;
  /** Read by people in Temporal UI's list. */
  readonly summary: string;
  readonly searchAttributes: Readonly<Record<string, string | number>>;
}

/** The narrow part of a Temporal client that waking needs, so that no client code enters the workflow bundle. */
export interface Waker {
  signalWithStart(request: StartRequest): Promise<void>;
}

/** Which workflow a wake is for. */
export function startRequest(wake: Wake): StartRequest {
  switch (wake.kind) {
    case 'intake':
      return {
        workflowType: 'channelIntake',
        workflowId: intakeWorkflowId(wake.channelKey),
        args: [wake.channelKey],
        summary: `takes in what arrived on channel ${wake.channelKey}`,
        searchAttributes: { [SEARCH_ATTRIBUTES.channel]: wake.channelKey, [SEARCH_ATTRIBUTES.plugin]: wake.plugin },
      };
    case 'ticket':
      return {
        workflowType: 'ticket',
        workflowId: ticketWorkflowId(wake.number),
        args: [wake.number],
        summary: `ticket ${wake.number}${wake.channelKey === null ? '' : ` from channel ${wake.channelKey}`}`,
        searchAttributes: {
          [SEARCH_ATTRIBUTES.ticket]: wake.number,
          ...(wake.channelKey === null ? {} : { [SEARCH_ATTRIBUTES.channel]: wake.channelKey }),
          ...(wake.plugin === null ? {} : { [SEARCH_ATTRIBUTES.plugin]: wake.plugin }),
        },
      };
    case 'ticket-import':
      return {
        workflowType: 'ticketImport',
        workflowId: ticketImportWorkflowId(wake.importId),
        args: [wake.importId],
        taskQueue: BULK_TASK_QUEUE,
        summary: `takes a file of tickets in, import ${wake.importId}`,
        searchAttributes: {},
      };
    case 'attachments':
      return {
        workflowType: 'channelAttachments',
        workflowId: attachmentsWorkflowId(wake.channelKey),
        args: [wake.channelKey],
        summary: `fetches what is attached to messages of channel ${wake.channelKey}`,
        searchAttributes: { [SEARCH_ATTRIBUTES.channel]: wake.channelKey, [SEARCH_ATTRIBUTES.plugin]: wake.plugin },
      };
    case 'renewal':
      return {
        workflowType: 'channelRenewals',
        workflowId: renewalWorkflowId(wake.channelKey),
        args: [wake.channelKey],
        summary: `renews what channel ${wake.channelKey} holds at its provider`,
        searchAttributes: { [SEARCH_ATTRIBUTES.channel]: wake.channelKey, [SEARCH_ATTRIBUTES.plugin]: wake.plugin },
      };
    case 'catch-up':
      return {
        workflowType: 'channelCatchUp',
        workflowId: catchUpWorkflowId(wake.channelKey),
        args: [wake.channelKey],
        summary: `fetches what the provider of channel ${wake.channelKey} holds`,
        searchAttributes: { [SEARCH_ATTRIBUTES.channel]: wake.channelKey, [SEARCH_ATTRIBUTES.plugin]: wake.plugin },
      };
    case 'system-mail':
      return {
        workflowType: 'systemMail',
        workflowId: SYSTEM_MAIL_WORKFLOW,
        args: [],
        summary: "sends the account's own mail",
        searchAttributes: {},
      };
    case 'webhooks':
      return {
        workflowType: 'webhooks',
        workflowId: WEBHOOKS_WORKFLOW,
        args: [],
        summary: 'calls the webhooks that policies name',
        searchAttributes: {},
      };
    case 'sla-reevaluation':
      return {
        workflowType: 'slaReevaluation',
        workflowId: slaReevaluationWorkflowId(wake.reevaluationId),
        args: [wake.reevaluationId],
        taskQueue: BULK_TASK_QUEUE,
        summary: `brings the goals of open tickets up to the policies, ${wake.reevaluationId}`,
        searchAttributes: {},
      };
    case 'channel-migration':
      return {
        workflowType: 'channelMigration',
        workflowId: channelMigrationWorkflowId(wake.channelKey),
        args: [wake.channelKey],
        taskQueue: BULK_TASK_QUEUE,
        summary: `moves channel ${wake.channelKey} to the help desk`,
        searchAttributes: { [SEARCH_ATTRIBUTES.channel]: wake.channelKey, [SEARCH_ATTRIBUTES.plugin]: wake.plugin },
      };
    case 'migration-sla':
      return {
        workflowType: 'migrationSla',
        workflowId: migrationSlaWorkflowId(wake.migrationId),
        args: [wake.migrationId],
        taskQueue: BULK_TASK_QUEUE,
        summary: `gives the tickets of move ${wake.migrationId} their goals`,
        searchAttributes: {},
      };
    case 'routing-retry':
      return {
        workflowType: 'routingRetry',
        workflowId: ROUTING_RETRY_WORKFLOW,
        args: [],
        summary: 'keeps availability up to date, and decides again what nobody was free for',
        searchAttributes: {},
      };
    case 'chatflow':
      return {
        workflowType: 'chatflow',
        workflowId: chatflowWorkflowId(wake.conversationId),
        args: [wake.conversationId],
        summary: `the chatflow of conversation ${wake.conversationId}`,
        searchAttributes: { [SEARCH_ATTRIBUTES.channel]: wake.channelKey, [SEARCH_ATTRIBUTES.plugin]: wake.plugin },
      };
    case 'outbox':
      return {
        workflowType: 'outbox',
        workflowId: outboxWorkflowId(wake.conversationId),
        args: [wake.conversationId],
        summary: `sends the messages of conversation ${wake.conversationId}`,
        searchAttributes: { [SEARCH_ATTRIBUTES.channel]: wake.channelKey, [SEARCH_ATTRIBUTES.plugin]: wake.plugin },
      };
  }
}

/** Wakes each once, all at the same time. Never throws: a wake that is lost is a delay, for the guardian reads the rows. Returns how many failed. */
export async function wakeAll(waker: Waker, wakes: readonly Wake[], onFailure: (workflowId: string) => void): Promise<number> {
  let failed = 0;
  await Promise.all(
    wakes.map(async (wake) => {
      const request = startRequest(wake);
      try {
        await waker.signalWithStart(request);
      } catch {
        failed += 1;
        onFailure(request.workflowId);
      }
    }),
  );
  return failed;
}
