import { builder } from '../builder.ts';
import { WEBHOOK_COLUMNS } from '../rows.ts';
import { WebhookDeliveryStateEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { TicketRef, WebhookConnection, WebhookDeliveryConnection, WebhookDeliveryRef, WebhookRef } from './refs.ts';

builder.node(WebhookRef, {
  description: 'An address outside that SLA policies have called, signed as Standard Webhooks has it. Only admins see it; its secret is shown once.',
  id: { resolve: (webhook) => webhook.id },
  loadOne: (id, { load }) => load.webhook.load(id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, unique without regard to case.' }),
    url: t.exposeString('url', { description: 'What is called.' }),
    previousSecretUntil: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Until when the secret before the newest signs too; null: it never was another, or signs no more.',
      resolve: ({ previous_until: until }) => (until !== null && until.getTime() > Date.now() ? until : null),
    }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: (webhook) => webhook.created_at }),
  }),
});

builder.queryField('webhooks', (t) =>
  t.connection(
    {
      type: WebhookRef,
      description: 'The webhooks that policies can name, the oldest first; empty to those who are no admin.',
      resolve: async (_root, args, { load, db, see }) => {
        const visible = await see();
        return load.page(args, ORDERS.webhook, db.selectFrom('webhook').select(WEBHOOK_COLUMNS).where(visible.webhook));
      },
    },
    WebhookConnection,
  ),
);

builder.node(WebhookDeliveryRef, {
  description: 'A call of a webhook, to be made or made. Only admins see it.',
  id: { resolve: (delivery) => delivery.id },
  loadOne: (id, { load }) => load.webhookDelivery.load(id),
  fields: (t) => ({
    messageId: t.exposeString('id', { description: 'What the receiver is told as webhook-id, the same at every try.' }),
    webhook: t.field({
      type: WebhookRef,
      nullable: true,
      description: 'Which webhook; null: it was removed.',
      resolve: (delivery, _args, { load }) => load.webhook.load(delivery.webhook_id),
    }),
    type: t.string({ description: 'What it tells of: “sla.overdue”, “sla.due_soon”, “test”.', resolve: (delivery) => delivery.payload.type }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The ticket it tells of; null: none, or the viewer may not see it.',
      resolve: (delivery, _args, { load }) => (delivery.ticket_id === null ? null : load.ticket.load(delivery.ticket_id)),
    }),
    state: t.field({ type: WebhookDeliveryStateEnum, description: 'How far it has come.', resolve: (delivery) => delivery.state }),
    attempts: t.exposeInt('attempt', { description: 'How often it was tried.' }),
    failure: t.exposeString('failure', {
      nullable: true,
      description: 'Why the last try failed, also while it is tried again: HTTP_503, TIME_OUT, ECONNREFUSED, WEBHOOK_REMOVED, …; null: none has.',
    }),
    lastTryAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the last try began; null: there was none.',
      resolve: (delivery) => delivery.tried_at,
    }),
    nextTryAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it is tried next, at the earliest; null: it does not wait.',
      resolve: (delivery) => (delivery.state === 'QUEUED' ? delivery.not_before : null),
    }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was queued.', resolve: (delivery) => delivery.created_at }),
    settledAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was taken, or given up; it is removed 30 days later. Null: it waits.',
      resolve: (delivery) => delivery.settled_at,
    }),
  }),
});

builder.queryField('webhookDeliveries', (t) =>
  t.connection(
    {
      type: WebhookDeliveryRef,
      description: 'Calls of webhooks, the newest first, those of removed ones too; empty to those who are no admin.',
      args: {
        webhookId: t.arg.globalID({ for: [WebhookRef], description: 'Only those of this webhook.' }),
        state: t.arg({ type: WebhookDeliveryStateEnum, description: 'Only those that have come this far.' }),
      },
      resolve: async (_root, args, { load, db, see }) => {
        const visible = await see();
        let query = db.selectFrom('webhook_delivery').selectAll().where(visible.webhook_delivery);
        if (args.webhookId != null) query = query.where('webhook_id', '=', args.webhookId.id);
        if (args.state != null) query = query.where('state', '=', args.state);
        return load.page(args, ORDERS.webhookDelivery, query);
      },
    },
    WebhookDeliveryConnection,
  ),
);
