import { erasurePreview, type Erasure } from '#commands/erasing.ts';
import { Forbidden, NotFound } from '#commands/refusals.ts';
import { builder } from '../builder.ts';
import { reaches } from '../roles.ts';
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
    erasedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When what they said, and by what they were known, was removed for good; null: it is there.',
      resolve: (contact) => contact.erased_at,
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

const ErasureRef = builder.objectRef<Erasure>('ContactErasure').implement({
  description: 'What erasing a contact removes.',
  fields: (t) => ({
    conversations: t.exposeInt('conversations', {
      description: 'Their conversations: these stay, closed and empty, with their tickets’ numbers, owners and times.',
    }),
    messages: t.exposeInt('messages', { description: 'Messages to, from and about them in those; and theirs in the conversations of others.' }),
    attachments: t.exposeInt('attachments', { description: 'Files on those messages.' }),
    deliveries: t.exposeInt('deliveries', { description: 'What providers sent, as it came.' }),
  }),
});

builder.queryField('contactErasurePreview', (t) =>
  t.field({
    type: ErasureRef,
    description: 'What erasing this contact would remove now. Nothing is changed. Needs the role super admin.',
    errors: { types: [Forbidden, NotFound], union: { name: 'ContactErasurePreviewResult', description: 'The numbers, or why not.' } },
    args: { contactId: t.arg.globalID({ for: [ContactRef], required: true, description: 'Whom.' }) },
    complexity: 50,
    resolve: async (_root, { contactId }, { db, viewer, load }) => {
      if (!reaches(viewer.role, 'SUPER_ADMIN')) throw new Forbidden('the role super admin');
      if ((await load.contact.load(contactId.id)) === null) throw new NotFound('contact', contactId.id);
      return erasurePreview(db, contactId.id);
    },
  }),
);
