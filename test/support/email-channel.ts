import email from '@trunkline/plugin-email';
import { connectChannel, type ConnectInput, type Connected } from '#commands/channels.ts';
import type { Keys } from '#commands/secrets.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';

export interface EmailChannel {
  readonly address: string;
  /** Of the account's SMTP server, on this machine. */
  readonly smtpPort?: number;
  /** The help desk unless given. */
  readonly place?: 'INBOX' | 'HELP_DESK';
  readonly more?: Partial<Omit<ConnectInput, 'plugin' | 'settings'>>;
}

/** What an admin types to connect it. */
export function emailSettings(address: string, smtpPort = 2525): Record<string, unknown> {
  return { kind: 'other', address, smtp: { host: '127.0.0.1', port: smtpPort, secure: 'none' }, companyName: 'Acme' };
}

/** The first place of a kind. */
export async function placeId(db: Db, kind: 'INBOX' | 'HELP_DESK'): Promise<string> {
  const { id } = await db.selectFrom('place').select('id').where('kind', '=', kind).orderBy('id').executeTakeFirstOrThrow();
  return id;
}

/** Connects an email channel as the system would, without asking its SMTP server. */
export async function connectEmailChannel(db: Db, keys: Keys, { address, smtpPort, place = 'HELP_DESK', more = {} }: EmailChannel): Promise<Connected> {
  const input = { plugin: email.key, name: 'Support', placeId: await placeId(db, place), settings: emailSettings(address, smtpPort), ...more };
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: [email], keys }, input));
  return value;
}
