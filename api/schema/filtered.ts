import type { FilteredReason } from '#commands/filtered.ts';
import { builder } from '../builder.ts';
import { promised } from '../promised.ts';
import { FilteredKindEnum, FilteredReasonEnum } from './enums.ts';
import { ParticipantRef } from './message.ts';
import { ORDERS } from './orders.ts';
import { ChannelRef, FilteredMessageConnection, FilteredMessageRef } from './refs.ts';

builder.node(FilteredMessageRef, {
  description:
    'A message that is kept apart for 90 days, without a contact, a conversation or a ticket: spam, or automatic mail that answers nothing of ours. Seen by those with access to its channel’s place.',
  id: { resolve: (filtered) => filtered.id },
  loadOne: (id, { load }) => load.filteredMessage.load(id),
  fields: (t) => ({
    kind: t.field({ type: FilteredKindEnum, description: 'What it was kept apart as.', resolve: (filtered) => filtered.kind }),
    reason: t.field({ type: FilteredReasonEnum, description: 'Why.', resolve: (filtered) => filtered.reason as FilteredReason }),
    channel: t.field({
      type: ChannelRef,
      description: 'The channel it came in on.',
      resolve: async (filtered, _args, { load }) => promised(await load.channel.load(filtered.channel_id)),
    }),
    sender: t.field({ type: ParticipantRef, nullable: true, description: 'Who sent it; null: that can not be told.', resolve: (filtered) => filtered.sender }),
    subject: t.exposeString('subject', { nullable: true, description: 'Its subject, at most 1,000 characters; null: it has none.' }),
    text: t.exposeString('text', { description: 'What it says, as plain text, at most 20,000 characters.' }),
    receivedAt: t.field({ type: 'DateTime', description: 'When we had it.', resolve: (filtered) => filtered.received_at }),
    releasedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When a user let it pass; it is taken in as an ordinary message then. Null: nobody did.',
      resolve: (filtered) => filtered.released_at,
    }),
  }),
});

builder.queryField('filteredMessages', (t) =>
  t.connection(
    {
      type: FilteredMessageRef,
      description: 'What was kept apart on the channels of the viewer’s places, the newest first.',
      args: {
        kind: t.arg({ type: FilteredKindEnum, description: 'Only this kind.' }),
        channelId: t.arg.globalID({ for: [ChannelRef], description: 'Only of this channel.' }),
      },
      resolve: async (_root, { kind, channelId, ...args }, { load, db, see }) => {
        const visible = await see();
        let query = db.selectFrom('filtered_message').selectAll().where(visible.filtered_message);
        if (kind != null) query = query.where('kind', '=', kind);
        if (channelId != null) query = query.where('channel_id', '=', channelId.id);
        return load.page(args, ORDERS.filteredMessage, query);
      },
    },
    FilteredMessageConnection,
  ),
);
