import { z } from 'zod';
import { canonicalAddress } from './address.ts';

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

const shape = z.strictObject({
  kind: z.literal('other', { error: (issue) => wrongKind(issue.input) }).default('other'),
  /** The connected address: what customers write to and what replies come from. */
  address,
  smtp,
  smtpPassword: z.string().min(1).max(1_000).optional(),
  fromName: z.enum(['agent-and-company', 'company']).default('company'),
  companyName: line(100),
  /** The domain of our forwarding addresses, `<channel key>@<inboundDomain>`: never taken for a person who takes part. */
  inboundDomain: hostName.optional(),
});

/** In the clear only within this machine: a password on the open network is as good as published. */
function isThisMachine(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** What an admin types (EMAIL-1, EMAIL-2). Every wrong field is one issue with its path. */
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
});

export type EmailSettings = z.output<typeof settingsSchema>;
