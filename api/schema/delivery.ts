import { builder } from '../builder.ts';
import { promised } from '../promised.ts';
import { DELIVERY_COLUMNS } from '../rows.ts';
import { RawStateEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { ChannelRef, DeliveryConnection, DeliveryRef } from './refs.ts';

builder.node(DeliveryRef, {
  description: 'Something a provider sent that could not be read. Admins see it; what it says is not shown.',
  id: { resolve: (delivery) => delivery.id },
  loadOne: (id, { load }) => load.delivery.load(id),
  fields: (t) => ({
    channel: t.field({
      type: ChannelRef,
      description: 'The channel it came in on.',
      resolve: async (delivery, _args, { load }) => promised(await load.channel.load(delivery.channel_id)),
    }),
    method: t.exposeString('method', { description: 'The HTTP method, or a word of the plugin’s own listener: “SMTP”.' }),
    state: t.field({ type: RawStateEnum, description: 'What became of it.', resolve: (delivery) => delivery.state }),
    tries: t.exposeInt('tries', { description: 'How often reading it was tried.' }),
    failureCode: t.exposeString('failure_code', { nullable: true, description: 'A code; null: none.' }),
    failureReason: t.exposeString('failure_reason', { nullable: true, description: 'A fixed phrase; null: none.' }),
    receivedAt: t.field({ type: 'DateTime', description: 'When it came.', resolve: (delivery) => delivery.received_at }),
    settledAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was set aside or taken in; null: neither yet.',
      resolve: (delivery) => delivery.settled_at,
    }),
  }),
});

builder.queryField('undeliverableDeliveries', (t) =>
  t.connection(
    {
      type: DeliveryRef,
      description: 'What providers sent that could not be read three times, the oldest first. Empty to those who are no admin.',
      resolve: async (_root, args, { load, db, see }) => {
        const visible = await see();
        return load.page(args, ORDERS.delivery, db.selectFrom('raw_delivery').select(DELIVERY_COLUMNS).where(visible.raw_delivery));
      },
    },
    DeliveryConnection,
  ),
);
