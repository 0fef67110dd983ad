import { builder } from '../builder.ts';
import type { IdentityRow } from '../rows.ts';
import { ORDERS } from './orders.ts';
import { ContactRef, ConversationConnection, ConversationRef, UserRef } from './refs.ts';

const IdentityRef = builder.objectRef<IdentityRow>('ContactIdentity').implement({
  description: 'How a contact is recognised.',
  fields: (t) => ({
    kind: t.exposeString('kind', { description: '“email-address”, “phone-number”, “scoped-id” or “visitor”.' }),
    value: t.exposeString('value', { description: 'In the canonical form of its kind.' }),
    since: t.field({ type: 'DateTime', description: 'When it was first seen.', resolve: (identity) => identity.created_at }),
  }),
});

builder.node(ContactRef, {
  description: 'A person outside. Seen by whoever sees one of their conversations, and by their owner.',
  id: { resolve: (contact) => contact.id },
  loadOne: (id, { load }) => load.contact.load(id),
  fields: (t) => ({
    name: t.exposeString('name', { nullable: true, description: 'Their name; null where no channel has told one.' }),
    identities: t.field({
      type: [IdentityRef],
      description: 'How they are recognised, the first seen first.',
      resolve: (contact, _args, { load }) => load.identitiesOf.load(contact.id),
    }),
    owner: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who looks after them; null: nobody.',
      resolve: (contact, _args, { load }) => (contact.owner_id === null ? null : load.user.load(contact.owner_id)),
    }),
    createdAt: t.field({ type: 'DateTime', description: 'When they first wrote.', resolve: (contact) => contact.created_at }),
    conversations: t.connection(
      {
        type: ConversationRef,
        description: 'Their conversations that the viewer sees, the oldest first.',
        resolve: (contact, args, { load, db }) =>
          load.nestedPage('contact.conversations', contact.id, args, ORDERS.conversation, (parent, visible) =>
            db.selectFrom('conversation').selectAll('conversation').where('conversation.contact_id', '=', parent).where(visible.conversation),
          ),
      },
      ConversationConnection,
    ),
  }),
});
