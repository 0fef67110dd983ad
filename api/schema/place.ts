import { builder } from '../builder.ts';
import { CHANNEL_COLUMNS, type AccessEntryRow, type PlaceRow } from '../rows.ts';
import { PlaceKindEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import {
  ChannelConnection,
  ChannelRef,
  ConversationConnection,
  ConversationRef,
  HelpDeskRef,
  InboxRef,
  PlaceConnection,
  PlaceRef,
  TeamRef,
  TicketConnection,
  TicketRef,
  UserRef,
} from './refs.ts';
import { ticketList } from './ticket.ts';

const AccessEntryRef = builder.objectRef<AccessEntryRow>('AccessEntry').implement({
  description: 'One line of an access list: everyone, or a user, or a team with all of its members.',
  fields: (t) => ({
    everyone: t.exposeBoolean('everyone', { description: 'Every user has access.' }),
    user: t.field({
      type: UserRef,
      nullable: true,
      description: 'This user has access; null: the line is another kind.',
      resolve: (entry, _args, { load }) => (entry.user_id === null ? null : load.user.load(entry.user_id)),
    }),
    team: t.field({
      type: TeamRef,
      nullable: true,
      description: 'All members of this team have access, its primary ones can be assigned; null: the line is another kind.',
      resolve: (entry, _args, { load }) => (entry.team_id === null ? null : load.team.load(entry.team_id)),
    }),
  }),
});

PlaceRef.implement({
  description: 'Where channels and conversations live. Whoever has access sees all of it, whoever owns it.',
  interfaces: [builder.nodeInterfaceRef()],
  resolveType: (place) => (place.kind === 'HELP_DESK' ? 'HelpDesk' : 'Inbox'),
  fields: (t) => ({
    kind: t.field({ type: PlaceKindEnum, description: 'What kind of place it is.', resolve: (place) => place.kind }),
    name: t.exposeString('name', { description: 'Its name, unique without regard to case.' }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: (place) => place.created_at }),
    viewerHasAccess: t.boolean({
      description: 'Whether the viewer sees what is in it; an admin sees every place, but not what is in each.',
      resolve: async (place, _args, { see }) => (await see()).placeIds.includes(place.id),
    }),
    accessList: t.field({
      type: [AccessEntryRef],
      description: 'Who sees what is in it.',
      resolve: (place, _args, { load }) => load.accessOf.load(place.id),
    }),
    channels: t.connection(
      {
        type: ChannelRef,
        description: 'The channels that live here, connected or not, in the order they were connected.',
        resolve: (place, args, context) =>
          context.load.nestedPage('place.channels', place.id, args, ORDERS.channel, (parent, visible) =>
            context.db.selectFrom('channel').select(CHANNEL_COLUMNS).where('channel.place_id', '=', parent).where(visible.channel),
          ),
      },
      ChannelConnection,
    ),
    conversations: t.connection(
      {
        type: ConversationRef,
        description: 'The conversations that live here, the oldest first.',
        resolve: (place, args, context) =>
          context.load.nestedPage('place.conversations', place.id, args, ORDERS.conversation, (parent, visible) =>
            context.db.selectFrom('conversation').selectAll('conversation').where('conversation.place_id', '=', parent).where(visible.conversation),
          ),
      },
      ConversationConnection,
    ),
  }),
});

builder.node(HelpDeskRef, {
  description: 'The one place where every conversation has a ticket.',
  interfaces: [PlaceRef],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'HELP_DESK',
  id: { resolve: (place) => place.id },
  loadOne: async (id, { load }) => ofKind(await load.place.load(id), 'HELP_DESK'),
  fields: (t) => ({
    tickets: t.connection(
      {
        type: TicketRef,
        description: 'The same as the query `tickets` without a filter.',
        resolve: (_place, args, context) => ticketList(context, args, {}),
      },
      TicketConnection,
    ),
  }),
});

builder.node(InboxRef, {
  description: 'A shared place where a conversation may have a ticket but needs none.',
  interfaces: [PlaceRef],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'INBOX',
  id: { resolve: (place) => place.id },
  loadOne: async (id, { load }) => ofKind(await load.place.load(id), 'INBOX'),
  fields: () => ({}),
});

function ofKind(place: PlaceRow | null, kind: PlaceRow['kind']): PlaceRow | null {
  return place?.kind === kind ? place : null;
}

builder.queryField('helpDesk', (t) =>
  t.field({
    type: HelpDeskRef,
    nullable: true,
    description: 'The help desk; null where the viewer has no access to it.',
    resolve: async (_root, _args, { db, see }) => {
      const visible = await see();
      return (await db.selectFrom('place').selectAll().where('kind', '=', 'HELP_DESK').where(visible.place).executeTakeFirst()) ?? null;
    },
  }),
);

builder.queryField('places', (t) =>
  t.connection(
    {
      type: PlaceRef,
      description: 'The places the viewer sees; admins see all.',
      resolve: async (_root, args, { load, db, see }) => {
        const visible = await see();
        return load.page(args, ORDERS.place, db.selectFrom('place').selectAll('place').where(visible.place));
      },
    },
    PlaceConnection,
  ),
);
