import { resendSystemMail, testSystemSender } from '#commands/system-mail.ts';
import { InvalidInput, NotPossible } from '#commands/refusals.ts';
import { readSystemSender, removeSystemSender, setSystemSender, type SmtpSenderInput } from '#commands/system-sender.ts';
import { builder } from '../../builder.ts';
import type { ApiContext } from '../../context.ts';
import { SmtpSecurityEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { ChannelRef, SystemMailRef } from '../refs.ts';
import { requireSeen } from '../require.ts';
import { SystemSenderRef } from '../system-sender.ts';

const mail = ({ mailId }: { readonly mailId: string }, { load }: ApiContext) => load.systemMail.load(mailId);

const SECURITY = { TLS: 'tls', STARTTLS: 'starttls', NONE: 'none' } as const;

const SmtpInputRef = builder.inputType('SmtpSenderInput', {
  description: 'An SMTP server that is to take the account’s own mail.',
  fields: (t) => ({
    host: t.string({ required: true, description: 'Its name or IP address.' }),
    port: t.int({ required: true, description: 'Its port.' }),
    security: t.field({ type: SmtpSecurityEnum, required: true, description: 'How the connection is kept from being read.' }),
    username: t.string({ description: 'Who to sign in as; none: nobody.' }),
    password: t.string({
      description: 'Stored encrypted, never returned. Left out: the one that is stored, as long as host, port and user name stay as they are.',
    }),
    fromAddress: t.string({ required: true, description: 'The address mails are to come from.' }),
    fromName: t.string({ description: 'The name they are to come from.' }),
  }),
});

function smtpOf(input: typeof SmtpInputRef.$inferInput): SmtpSenderInput {
  const { host, port, security, username, password, fromAddress, fromName } = input;
  return {
    host,
    port,
    security: SECURITY[security],
    fromAddress,
    ...(username == null ? {} : { username }),
    ...(password == null ? {} : { password }),
    ...(fromName == null ? {} : { fromName }),
  };
}

mutation('setSystemSender', {
  description: 'Chooses who sends the account’s own mail. What stayed unsent meanwhile is not sent by itself: resendSystemMail does it.',
  type: SystemSenderRef,
  input: (t) => ({
    smtp: t.field({ type: SmtpInputRef, description: 'An SMTP server; this or `channelId`.' }),
    channelId: t.globalID({ for: [ChannelRef], description: 'A connected channel that can write to an email address first.' }),
  }),
  work: async ({ smtp, channelId }, { unit, visible, context }) => {
    if ((smtp == null) === (channelId == null)) throw new InvalidInput([{ path: 'smtp', message: 'an SMTP server or a channel, one of the two' }]);
    if (channelId != null) await requireSeen(unit.tx, visible, 'channel', channelId.id);
    await setSystemSender(unit, context.deps, smtp == null ? { channelId: channelId?.id ?? '' } : { smtp: smtpOf(smtp) });
    return {};
  },
  read: async (_answer, { db }) => (await readSystemSender(db)) ?? null,
});

const RemovedRef = builder.objectRef<{ readonly unsent: number }>('SystemSenderRemoved').implement({
  description: 'That nobody sends the account’s own mail any more.',
  fields: (t) => ({ unsent: t.exposeInt('unsent', { description: 'How many mails waited, and are listed as unsent now.' }) }),
});

mutation('removeSystemSender', {
  description: 'Takes the system sender away; until there is another, the account’s own mail is listed as unsent. Doing it again changes nothing.',
  type: RemovedRef,
  input: () => ({}),
  work: (_input, { unit }) => removeSystemSender(unit),
  read: async (answer) => answer,
});

mutation('testSystemSender', {
  description: 'Sends a mail to the viewer, to see that the system sender works; its state tells what came of it.',
  type: SystemMailRef,
  refusals: [NotPossible],
  input: () => ({}),
  work: (_input, { unit, context }) => testSystemSender(unit, { userId: context.viewer.userId }),
  read: mail,
});

mutation('resendSystemMail', {
  description: 'Sends a mail that is unsent, has failed, or may have been sent; to the address the user has now.',
  type: SystemMailRef,
  refusals: [NotPossible],
  input: (t) => ({ mailId: t.globalID({ for: [SystemMailRef], required: true, description: 'Which mail.' }) }),
  work: ({ mailId }, { unit }) => resendSystemMail(unit, { mailId: mailId.id }),
  read: mail,
});
