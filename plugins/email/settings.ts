import { z } from 'zod';
import { canonicalAddress } from './address.ts';
import { cleanSignature, signatureProblems } from './signature.ts';

const LATER: Readonly<Record<string, string>> = {
  gmail: 'Gmail can not be connected directly yet: choose "other", forward its mail to us and send by its SMTP server',
  microsoft365: 'Microsoft 365 can not be connected directly yet: choose "other", forward its mail to us and send by its SMTP server',
  imap: 'IMAP is not offered: choose "other" and have the mail forwarded to us',
};

function wrongKind(input: unknown): string {
  const known = typeof input === 'string' && Object.hasOwn(LATER, input) ? LATER[input] : undefined;
  return known ?? 'must be "other": mail is forwarded to us, and sent by your SMTP server';
}

const address = z.string().transform((value, context) => {
  const canonical = canonicalAddress(value);
  if (canonical !== undefined) return canonical;
  context.addIssue({ code: 'custom', message: 'must be a mail address' });
  return z.NEVER;
});

const line = (longest: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(longest)
    .regex(/^[^\u0000-\u001f\u007f]*$/, 'must be one line');
const hostName = z
  .string()
  .trim()
  .toLowerCase()
  .max(253)
  .regex(/^[a-z0-9.:-]+$/, 'must be a host name or an IP address');

const smtp = z.strictObject({
  host: hostName,
  port: z.int().min(1).max(65_535).default(587),
  /** `tls`: from the first byte (465). `starttls`: required, never given up. `none`: in the clear. */
  secure: z.enum(['tls', 'starttls', 'none']).default('starttls'),
  username: line(320).optional(),
});

/** Stored as it is sent: sanitised. A signature that was saved already passes unchanged. */
const signature = z
  .strictObject({
    /** `simple`: bold, italic, lists, links, images. `html`: also tables, headings, colours, fonts. */
    kind: z.enum(['simple', 'html']).default('simple'),
    /** With `{{ sender.fullName }}`, `{{ sender.firstName }}`, `{{ sender.lastName }}`, `{{ company.name }}`. */
    html: z.string().min(1).max(20_000),
  })
  .transform(({ kind, html }) => ({ kind, html: cleanSignature(kind, html) }))
  .superRefine(({ html }, context) => {
    for (const message of signatureProblems(html)) context.addIssue({ code: 'custom', path: ['html'], message });
  });

const shape = z.strictObject({
  kind: z.literal('other', { error: (issue) => wrongKind(issue.input) }).default('other'),
  /** The connected address: what customers write to and what replies come from. */
  address,
  /** Another address replies come from, one the account may send as: asked of the SMTP server when saved. */
  fromAddress: address.optional(),
  smtp,
  smtpPassword: z.string().min(1).max(1_000).optional(),
  fromName: z.enum(['agent-and-company', 'company']).default('company'),
  companyName: line(100),
  /** Stands under what people write; not under what a machine sends. */
  signature: signature.optional(),
  /** Who is the contact of a forwarded mail: whoever wrote it first, or who forwarded it. */
  forwards: z.enum(['original-sender', 'forwarder']).default('original-sender'),
  /** The domain of our forwarding addresses, `<channel key>@<inboundDomain>`: never taken for a person who takes part. */
  inboundDomain: hostName.optional(),
  /** Where answers go. `forwarding`: our forwarding address with a token (default where `inboundDomain` is set). `subaddress`: the connected address with a token, `support+…@` (default otherwise). `plain`: the connected address as it is. */
  replyTo: z.enum(['forwarding', 'subaddress', 'plain']).optional(),
  /** The name under which the forwarding server writes `Authentication-Results` (its authserv-id), such as `mx.google.com`. */
  trustedAuthenticator: hostName.optional(),
  /** Domains whose ARC seals count, their subdomains too. Left out: Google's and Microsoft's. */
  trustedSealers: z.array(hostName).max(20).optional(),
});

/** In the clear only within this machine: a password on the open network is as good as published. */
function isThisMachine(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** What an admin types (EMAIL-1 to EMAIL-5, EMAIL-8). Every wrong field is one issue with its path. */
export const settingsSchema = shape.superRefine((settings, context) => {
  const { username, secure, host } = settings.smtp;
  if (username !== undefined && settings.smtpPassword === undefined) {
    context.addIssue({ code: 'custom', path: ['smtpPassword'], message: 'is needed with a user name' });
  }
  if (username === undefined && settings.smtpPassword !== undefined) {
    context.addIssue({ code: 'custom', path: ['smtp', 'username'], message: 'is needed with a password' });
  }
  if (username !== undefined && secure === 'none' && !isThisMachine(host)) {
    context.addIssue({ code: 'custom', path: ['smtp', 'secure'], message: 'a password is only sent over TLS' });
  }
  if (settings.replyTo === 'forwarding' && settings.inboundDomain === undefined) {
    context.addIssue({ code: 'custom', path: ['inboundDomain'], message: 'is needed where answers go to our forwarding address' });
  }
});

export type EmailSettings = z.output<typeof settingsSchema>;
export type Signature = NonNullable<EmailSettings['signature']>;
