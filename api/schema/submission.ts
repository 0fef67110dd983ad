import { builder } from '../builder.ts';
import type { SubmittedField } from '../rows.ts';
import { ListOrderEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { ChannelRef, ContactRef, ConversationRef, EventConnection, EventRef, MessageRef, SubmissionConnection, SubmissionRef } from './refs.ts';
import { promised } from '../promised.ts';

const SubmittedFieldRef = builder.objectRef<SubmittedField>('SubmittedField').implement({
  description: 'One answer of a submission, as it was given.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What the field is called in the form.' }),
    label: t.exposeString('label', { description: 'What stood beside it when it was filled in; a later edit of the form changes nothing of it.' }),
    value: t.exposeString('value', { description: 'What was filled in; of a choice its label, of files their names.' }),
    hidden: t.exposeBoolean('hidden', { description: 'Filled in by the page, unseen by the visitor: not to be trusted, and not part of the message.' }),
  }),
});

builder.node(SubmissionRef, {
  description: 'What somebody sent through a form, with its hidden fields. Seen by whoever sees the conversation it began.',
  id: { resolve: (submission) => submission.message_id },
  loadOne: (id, { load }) => load.submission.load(id),
  fields: (t) => ({
    channel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The form it came through; null where the viewer may not see that channel.',
      resolve: (submission, _args, { load }) => load.channel.load(submission.channel_id),
    }),
    contact: t.field({
      type: ContactRef,
      nullable: true,
      description: 'Who sent it; null: no address was given.',
      resolve: (submission, _args, { load }) => (submission.contact_id === null ? null : load.contact.load(submission.contact_id)),
    }),
    message: t.field({
      type: MessageRef,
      description: 'The message it became.',
      resolve: async (submission, _args, { load }) => promised(await load.message.load(submission.message_id)),
    }),
    conversation: t.field({
      type: ConversationRef,
      description: 'The conversation that message is in.',
      resolve: async (submission, _args, { load }) => {
        const message = promised(await load.message.load(submission.message_id));
        return promised(await load.conversation.load(message.conversation_id));
      },
    }),
    submittedAt: t.field({ type: 'DateTime', description: 'When we had it.', resolve: (submission) => submission.submitted_at }),
    fields: t.field({
      type: [SubmittedFieldRef],
      description: 'What was filled in, in the form’s order, hidden fields among it.',
      resolve: (submission) => submission.fields,
    }),
  }),
});

builder.queryField('formSubmissions', (t) =>
  t.connection(
    {
      type: SubmissionRef,
      description: 'What was sent through forms, in the conversations the viewer sees, hidden fields included.',
      args: {
        channelId: t.arg.globalID({ for: [ChannelRef], description: 'Only through this form.' }),
        contactId: t.arg.globalID({ for: [ContactRef], description: 'Only this contact’s.' }),
        order: t.arg({ type: ListOrderEnum, defaultValue: 'NEWEST_FIRST', description: 'By when they were sent.' }),
      },
      resolve: async (_root, args, { load, db, see }) => {
        const visible = await see();
        let query = db.selectFrom('form_submission').selectAll('form_submission').where(visible.form_submission);
        if (args.channelId != null) query = query.where('form_submission.channel_id', '=', args.channelId.id);
        if (args.contactId != null) query = query.where('form_submission.contact_id', '=', args.contactId.id);
        return load.page(args, { ...ORDERS.submission, descending: args.order !== 'OLDEST_FIRST' }, query);
      },
    },
    SubmissionConnection,
  ),
);

builder.objectField(MessageRef, 'fields', (t) =>
  t.field({
    type: [SubmittedFieldRef],
    description: 'Where it came through a form, what the visitor filled in; hidden fields are left out. Empty for any other message.',
    resolve: async (message, _args, { load }) => [...(await load.visibleFieldsOf.load(message.id))],
  }),
);

builder.objectFields(ContactRef, (t) => ({
  submissions: t.connection(
    {
      type: SubmissionRef,
      description: 'What they sent through forms, hidden fields included, the oldest first; of the conversations the viewer sees.',
      resolve: (contact, args, { load, db }) =>
        load.nestedPage('contact.submissions', contact.id, args, ORDERS.submission, (parent, visible) =>
          db.selectFrom('form_submission').selectAll('form_submission').where('form_submission.contact_id', '=', parent).where(visible.form_submission),
        ),
    },
    SubmissionConnection,
  ),
  timeline: t.connection(
    {
      type: EventRef,
      description:
        'What happened in their conversations that the viewer sees, the oldest first; of a message that came through a form, `submission` has all fields.',
      resolve: (contact, args, { load, db }) =>
        load.nestedPage('contact.timeline', contact.id, args, ORDERS.event, (parent, visible) =>
          db
            .selectFrom('event')
            .innerJoin('conversation', 'conversation.id', 'event.conversation_id')
            .selectAll('event')
            .where('conversation.contact_id', '=', parent)
            .where('event.kind', '<>', 'NOTIFIED')
            .where(visible.conversation)
            .where(visible.event),
        ),
    },
    EventConnection,
  ),
}));

builder.objectField(EventRef, 'submission', (t) =>
  t.field({
    type: SubmissionRef,
    nullable: true,
    description: 'Of a message that came through a form, what was sent, hidden fields included; null: it is about none, or not to be seen.',
    resolve: (event, _args, { load }) => (event.kind === 'MESSAGE_RECEIVED' && event.message_id !== null ? load.submission.load(event.message_id) : null),
  }),
);
