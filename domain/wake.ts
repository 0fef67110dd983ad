/** Who is to look at the rows again: an id, never content. A command names them, Temporal is told after the commit. */
export type Wake =
  | { readonly kind: 'intake'; readonly channelKey: string; readonly plugin: string }
  | { readonly kind: 'ticket'; readonly number: number; readonly channelKey: string | null; readonly plugin: string | null }
  | { readonly kind: 'ticket-import'; readonly importId: string }
  | { readonly kind: 'attachments'; readonly channelKey: string; readonly plugin: string }
  | { readonly kind: 'renewal'; readonly channelKey: string; readonly plugin: string }
  | { readonly kind: 'catch-up'; readonly channelKey: string; readonly plugin: string }
  | { readonly kind: 'system-mail' }
  | { readonly kind: 'webhooks' }
  | { readonly kind: 'sla-reevaluation'; readonly reevaluationId: string }
  | { readonly kind: 'channel-migration'; readonly channelKey: string; readonly plugin: string }
  | { readonly kind: 'migration-sla'; readonly migrationId: string }
  | { readonly kind: 'routing-retry' }
  | { readonly kind: 'chatflow'; readonly conversationId: string; readonly channelKey: string; readonly plugin: string }
  | { readonly kind: 'outbox'; readonly conversationId: string; readonly channelKey: string; readonly plugin: string };

/** One string for each thing woken, so that a transaction wakes it once. */
export function wakeKey(wake: Wake): string {
  switch (wake.kind) {
    case 'intake':
      return `intake/${wake.channelKey}`;
    case 'ticket':
      return `ticket/${wake.number}`;
    case 'ticket-import':
      return `ticket-import/${wake.importId}`;
    case 'attachments':
      return `attachments/${wake.channelKey}`;
    case 'renewal':
      return `channel-renewal/${wake.channelKey}`;
    case 'catch-up':
      return `catch-up/${wake.channelKey}`;
    case 'system-mail':
      return 'system-mail';
    case 'webhooks':
      return 'webhooks';
    case 'sla-reevaluation':
      return `sla-reevaluation/${wake.reevaluationId}`;
    case 'channel-migration':
      return `channel-migration/${wake.channelKey}`;
    case 'migration-sla':
      return `migration-sla/${wake.migrationId}`;
    case 'routing-retry':
      return 'routing-retry';
    case 'chatflow':
      return `chatflow/${wake.conversationId}`;
    case 'outbox':
      return `outbox/${wake.conversationId}`;
  }
}
