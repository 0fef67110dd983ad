/** The bundle's entry: every workflow, and nothing else, for what is exported here can be started by name. */
export { ticket } from './ticket.ts';
export { channelIntake } from './channel-intake.ts';
export { channelAttachments } from './attachments.ts';
export { channelCatchUp } from './catch-up.ts';
export { outbox } from './outbox.ts';
export { chatflow } from './chatflow.ts';
export { ticketImport } from './ticket-import.ts';
export { slaReevaluation } from './sla-reevaluation.ts';
export { channelMigration } from './channel-migration.ts';
export { migrationSla } from './migration-sla.ts';
export { slaHorizon } from './sla-horizon.ts';
export { guardian } from './guardian.ts';
export { systemMail } from './system-mail.ts';
export { webhooks } from './webhooks.ts';
export { routingRetry } from './routing-retry.ts';
export { channelRenewals } from './channel-renewals.ts';
export { channelCheck } from './channel-check.ts';
