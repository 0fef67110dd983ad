import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { z } from 'zod';
import type { Db } from '#db/database.ts';
import { canStartWith, loadChannel, type LoadedChannel } from './channel-settings.ts';
import type { ChannelDeps } from './channels.ts';
import { mailboxAddress } from './mailboxes.ts';
import { InvalidInput, type Problem } from './refusals.ts';
import type { Keys } from './secrets.ts';
import type { Unit } from './unit.ts';

/** What the secrets of the system sender are sealed for: no channel can have this key. */
const SEALED_FOR = '@system-sender';

const line = (longest: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(longest)
    .regex(/^[^\u0000-\u001f\u007f]*$/, 'must be one line');

const smtpSchema = z.strictObject({
  host: z
    .string()
    .trim()
    .toLowerCase()
    .max(253)
    .regex(/^[a-z0-9.:-]+$/, 'must be a host name or an IP address'),
  port: z.int().min(1).max(65_535),
  /** `tls`: from the first byte (465). `starttls`: required, never given up. `none`: in the clear, within this machine. */
  security: z.enum(['tls', 'starttls', 'none']),
  username: line(320).optional(),
  fromAddress: z.string().transform((value, context) => {
    const address = mailboxAddress(value);
    if (address !== undefined) return address;
    context.addIssue({ code: 'custom', message: 'must be a mail address' });
    return z.NEVER;
  }),
  fromName: line(100).optional(),
});

/** An SMTP server that takes the account's own mail, without the password. */
export type SmtpSender = z.output<typeof smtpSchema>;

export interface SmtpSenderInput {
  readonly host: string;
  readonly port: number;
  readonly security: 'tls' | 'starttls' | 'none';
  readonly username?: string;
  /** Left out: the one that is stored stays, where host, port and user name stay; it goes to no other server. */
  readonly password?: string;
  readonly fromAddress: string;
  readonly fromName?: string;
}

/** One of the two. */
export type SystemSenderInput = { readonly smtp: SmtpSenderInput } | { readonly channelId: string };

/** Chooses who sends the account's own mail (CH-12), in place of whoever did. What stayed unsent meanwhile is not sent by itself. Throws `InvalidInput`, every wrong field named. */
export async function setSystemSender(unit: Unit, deps: ChannelDeps, input: SystemSenderInput): Promise<void> {
  const row = 'smtp' in input ? await smtpRow(unit, deps.keys, input.smtp) : await channelRow(unit, deps.plugins, input.channelId);
  await unit.tx
    .insertInto('system_sender')
    .values({ ...row, changed_at: sql<Date>`now()` })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ ...row, changed_at: sql<Date>`now()`, send_after: sql<Date>`'-infinity'` }))
    .execute();
  // What waits for the one before is tried by the new one.
  await unit.tx
    .updateTable('system_mail')
    .set({ not_before: sql<Date>`now()` })
    .where('state', '=', 'QUEUED')
    .execute();
  unit.record({ kind: 'SYSTEM_SENDER_CHANGED', why: 'smtp' in input ? 'SMTP' : 'CHANNEL', ...('smtp' in input ? {} : { channelId: input.channelId }) });
  unit.wake({ kind: 'system-mail' });
}

/** Takes it away: what waits, and whatever comes until there is another, is listed as unsent (CH-12). Returns how many mails that were waiting are unsent now. */
export async function removeSystemSender(unit: Unit): Promise<{ readonly unsent: number }> {
  const gone = await unit.tx.deleteFrom('system_sender').returning('id').executeTakeFirst();
  if (gone === undefined) return { unsent: 0 };
  const { numUpdatedRows } = await unit.tx
    .updateTable('system_mail')
    .set({ state: 'UNSENT', reason: NO_SENDER, settled_at: sql<Date>`now()` })
    .where('state', '=', 'QUEUED')
    .where('channel_id', 'is', null)
    .executeTakeFirst();
  unit.record({ kind: 'SYSTEM_SENDER_CHANGED', why: 'REMOVED' });
  return { unsent: Number(numUpdatedRows) };
}

/** Why a mail is unsent. */
export const NO_SENDER = 'there is no system sender';

/** Who sends now, with the secrets opened: never to be logged, stored or returned. */
export type LoadedSender =
  | { readonly kind: 'smtp'; readonly smtp: SmtpSender; readonly password: string | undefined }
  /** `channel` undefined: it was disconnected since. */
  | { readonly kind: 'channel'; readonly channel: LoadedChannel | undefined };

/** Undefined: there is none. */
export async function loadSystemSender(db: Db, keys: Keys): Promise<LoadedSender | undefined> {
  const row = await db.selectFrom('system_sender').select(['channel_id', 'settings', 'secrets']).executeTakeFirst();
  if (row === undefined) return undefined;
  if (row.channel_id !== null) return { kind: 'channel', channel: await loadChannel(db, keys, { id: row.channel_id }) };
  return { kind: 'smtp', smtp: smtpSchema.parse(row.settings), password: passwordOf(keys, row.secrets) };
}

/** Who sends now, without any secret. */
export interface SenderSettings {
  readonly smtp: SmtpSender | null;
  readonly channelId: string | null;
  readonly changedAt: Date;
}

/** What an admin sees of it; undefined: there is none. */
export async function readSystemSender(db: Db): Promise<SenderSettings | undefined> {
  const row = await db.selectFrom('system_sender').select(['channel_id', 'settings', 'changed_at']).executeTakeFirst();
  if (row === undefined) return undefined;
  return { smtp: row.settings === null ? null : smtpSchema.parse(row.settings), channelId: row.channel_id, changedAt: row.changed_at };
}

function passwordOf(keys: Keys, sealed: Buffer | null): string | undefined {
  const password = sealed === null ? undefined : keys.open(SEALED_FOR, sealed)['password'];
  return typeof password === 'string' ? password : undefined;
}

interface SenderRow {
  readonly channel_id: string | null;
  readonly settings: string | null;
  readonly secrets: Buffer | null;
}

async function smtpRow(unit: Unit, keys: Keys, { password: typed, ...input }: SmtpSenderInput): Promise<SenderRow> {
  const parsed = smtpSchema.safeParse(input);
  if (!parsed.success) {
    throw new InvalidInput(parsed.error.issues.map(({ path, message }) => ({ path: ['smtp', ...path.map(String)].join('.'), message })));
  }
  const smtp = parsed.data;
  const before = await unit.tx.selectFrom('system_sender').select(['settings', 'secrets']).forNoKeyUpdate().executeTakeFirst();
  const password = typed ?? (isSameLogin(before?.settings, smtp) ? passwordOf(keys, before?.secrets ?? null) : undefined);
  const problems: Problem[] = [];
  if (smtp.username !== undefined && (password ?? '') === '') problems.push({ path: 'smtp.password', message: 'is needed with a user name' });
  if (smtp.username === undefined && typed !== undefined) problems.push({ path: 'smtp.username', message: 'is needed with a password' });
  if (smtp.username !== undefined && smtp.security === 'none' && !isThisMachine(smtp.host)) {
    problems.push({ path: 'smtp.security', message: 'a password is only sent over TLS' });
  }
  if (problems.length > 0) throw new InvalidInput(problems);
  return {
    channel_id: null,
    settings: JSON.stringify(smtp),
    secrets: smtp.username === undefined || password === undefined ? null : keys.seal(SEALED_FOR, { password }),
  };
}

/** Whether a stored password may go on being used: nobody gets it to send itself to another server. */
function isSameLogin(before: unknown, { host, port, username }: SmtpSender): boolean {
  const stored = smtpSchema.safeParse(before);
  return stored.success && stored.data.host === host && stored.data.port === port && stored.data.username === username;
}

/** In the clear only within this machine: a password on the open network is as good as published. */
function isThisMachine(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

async function channelRow(unit: Unit, plugins: readonly Plugin[], channelId: string): Promise<SenderRow> {
  const wrong = (message: string): InvalidInput => new InvalidInput([{ path: 'channelId', message }]);
  const channel = await unit.tx
    .selectFrom('channel')
    .select(['plugin', 'disconnected_at'])
    .where(sql<string>`id::text`, '=', channelId)
    .executeTakeFirst();
  if (channel === undefined) throw wrong('there is no such channel');
  if (channel.disconnected_at !== null) throw wrong('this channel is disconnected');
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  if (plugin === undefined || !canStartWith(plugin, 'email-address')) throw wrong('this channel can not write to an email address first');
  return { channel_id: channelId, settings: null, secrets: null };
}
