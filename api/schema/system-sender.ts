import { readSystemSender, type SenderSettings } from '#commands/system-sender.ts';
import { builder } from '../builder.ts';
import { reaches } from '../roles.ts';
import { SYSTEM_MAIL_COLUMNS } from '../rows.ts';
import { SmtpSecurityEnum, SystemMailKindEnum, SystemMailStateEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { ChannelRef, ContactRef, SystemMailConnection, SystemMailRef, TicketRef, UserRef } from './refs.ts';

type Smtp = NonNullable<SenderSettings['smtp']>;

const SECURITY = { tls: 'TLS', starttls: 'STARTTLS', none: 'NONE' } as const;

const SmtpSenderRef = builder.objectRef<Smtp>('SmtpSender').implement({
  description: 'An SMTP server that takes the account’s own mail. Its password is never returned.',
  fields: (t) => ({
    host: t.exposeString('host', { description: 'Its name or IP address.' }),
    port: t.exposeInt('port', { description: 'Its port.' }),
    security: t.field({ type: SmtpSecurityEnum, description: 'How the connection is kept from being read.', resolve: (smtp) => SECURITY[smtp.security] }),
    username: t.string({ nullable: true, description: 'Who we sign in as; null: nobody.', resolve: (smtp) => smtp.username ?? null }),
    fromAddress: t.exposeString('fromAddress', { description: 'The address mails come from.' }),
    fromName: t.string({ nullable: true, description: 'The name they come from; null: none.', resolve: (smtp) => smtp.fromName ?? null }),
  }),
});

export const SystemSenderRef = builder.objectRef<SenderSettings>('SystemSender').implement({
  description: 'Who sends the account’s own mail: an SMTP server or a connected channel, one of the two.',
  fields: (t) => ({
    smtp: t.field({ type: SmtpSenderRef, nullable: true, description: 'The SMTP server; null: a channel sends.', resolve: (sender) => sender.smtp }),
    channel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The channel; null: an SMTP server sends. Once it is disconnected, mails are listed as unsent.',
      resolve: (sender, _args, { load }) => (sender.channelId === null ? null : load.channel.load(sender.channelId)),
    }),
    changedAt: t.field({ type: 'DateTime', description: 'When it was chosen.', resolve: (sender) => sender.changedAt }),
  }),
});

builder.queryField('systemSender', (t) =>
  t.field({
    type: SystemSenderRef,
    nullable: true,
    description: 'Who sends the account’s own mail; null: nobody, or the viewer is no admin.',
    resolve: async (_root, _args, { db, viewer }) => (reaches(viewer.role, 'ADMIN') ? ((await readSystemSender(db)) ?? null) : null),
  }),
);

builder.node(SystemMailRef, {
  description: 'A mail of the account’s own: a notification, a transcript. Only admins see it, and not what is in it.',
  id: { resolve: (mail) => mail.id },
  loadOne: (id, { load }) => load.systemMail.load(id),
  fields: (t) => ({
    kind: t.field({
      type: SystemMailKindEnum,
      description: 'What it is.',
      resolve: (mail) => mail.kind as 'NOTIFICATION' | 'TEST' | 'OFFLINE_OWNER' | 'TRANSCRIPT',
    }),
    user: t.field({
      type: UserRef,
      nullable: true,
      description: 'The user it goes to; null: it goes to a contact.',
      resolve: (mail, _args, { load }) => (mail.user_id === null ? null : load.user.load(mail.user_id)),
    }),
    contact: t.field({
      type: ContactRef,
      nullable: true,
      description: 'The contact it goes to; null: it goes to a user, or the viewer may not see them.',
      resolve: (mail, _args, { load }) => (mail.contact_id === null ? null : load.contact.load(mail.contact_id)),
    }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The ticket it tells of; null: none, or the viewer may not see it.',
      resolve: (mail, _args, { load }) => (mail.ticket_id === null ? null : load.ticket.load(mail.ticket_id)),
    }),
    state: t.field({ type: SystemMailStateEnum, description: 'How far it has come.', resolve: (mail) => mail.state }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why it failed, may have been sent, or is unsent: a code or a fixed phrase; otherwise null.',
    }),
    lastFailure: t.exposeString('last_failure', { nullable: true, description: 'Why the last try failed, also while it is tried again; null: none has.' }),
    attempts: t.exposeInt('attempt', { description: 'How often it was tried.' }),
    nextTryAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it is tried next, at the earliest; null: it does not wait.',
      resolve: (mail) => (mail.state === 'QUEUED' ? mail.not_before : null),
    }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was written. It is removed 30 days later.', resolve: (mail) => mail.created_at }),
    settledAt: t.field({ type: 'DateTime', nullable: true, description: 'When it was sent, or given up; null: it waits.', resolve: (mail) => mail.settled_at }),
  }),
});

builder.queryField('systemMails', (t) =>
  t.connection(
    {
      type: SystemMailRef,
      description: 'The account’s own mail of the last 30 days, the newest first; empty to those who are no admin.',
      args: { state: t.arg({ type: SystemMailStateEnum, description: 'Only those that have come this far.' }) },
      resolve: async (_root, args, { load, db, see }) => {
        const visible = await see();
        let query = db.selectFrom('system_mail').select(SYSTEM_MAIL_COLUMNS).where(visible.system_mail);
        if (args.state != null) query = query.where('state', '=', args.state);
        return load.page(args, ORDERS.systemMail, query);
      },
    },
    SystemMailConnection,
  ),
);
