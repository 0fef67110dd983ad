import { sql } from 'kysely';
import type { Tx } from './database.ts';

/**
 * Advisory locks, always taken as a statement of their own before what they guard is read: in the statement that reads it, a lock does nothing.
 * The order in which locks are taken, here and on rows: channel, intake or migration, contact, raw delivery, conversation by id, ticket, outbound, the channel's row,
 * routing, user.
 */
const CHANNEL = 1;
const INTAKE = 2;
const ROUTING = 3;
const IMPORT = 4;
const UPLOADS = 5;
const TRANSCRIPTS = 6;
// 7 is held while the schema is brought up to date.
const SUPER_ADMINS = 8;
const SKILLS = 9;
const SLA_SETTINGS = 10;
const WEBHOOK_CLAIMS = 11;
const MIGRATIONS = 12;

/** Held by whoever gives a conversation its place or current channel; the move of a channel takes it exclusive. */
export async function lockChannelShared(tx: Tx, channelId: string): Promise<void> {
  await sql`select pg_advisory_xact_lock_shared(${CHANNEL}, hashtext(${channelId}))`.execute(tx);
}

/** The same without waiting, for who holds a lock that comes later in the order already: false where it would have to wait. */
export async function tryLockChannelShared(tx: Tx, channelId: string): Promise<boolean> {
  const { rows } = await sql<{ taken: boolean }>`select pg_try_advisory_xact_lock_shared(${CHANNEL}, hashtext(${channelId})) as taken`.execute(tx);
  return rows[0]?.taken === true;
}

/** Keeps everybody out who gives a conversation this channel or its place. */
export async function lockChannelExclusive(tx: Tx, channelId: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(${CHANNEL}, hashtext(${channelId}))`.execute(tx);
}

/** One intake per channel: false where another transaction is writing that channel's deliveries. */
export async function tryLockIntake(tx: Tx, channelId: string): Promise<boolean> {
  const { rows } = await sql<{ taken: boolean }>`select pg_try_advisory_xact_lock(${INTAKE}, hashtext(${channelId})) as taken`.execute(tx);
  return rows[0]?.taken === true;
}

/** Batches of one source's imports come one after the other: two that meet the same external ids in another order would wait for each other. */
export async function lockImportSource(tx: Tx, source: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(${IMPORT}, hashtext(${source}))`.execute(tx);
}

/** One automatic routing decision at a time in the account, for pools overlap (ROUTE-15). */
export async function lockRouting(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ROUTING}, 0)`.execute(tx);
}

/** One upload of a user's is stored at a time, so that they can be counted. Nothing but a blob is locked after it. */
export async function lockUploads(tx: Tx, userId: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(${UPLOADS}, hashtext(${userId}))`.execute(tx);
}

/** Transcripts are queued one after the other, so that they can be counted. Taken last: nothing else is locked after it. */
export async function lockTranscripts(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${TRANSCRIPTS}, 0)`.execute(tx);
}

/** One at a time takes a super admin their role, so that two do not remove one another at once. Taken before the user's row. */
export async function lockSuperAdmins(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${SUPER_ADMINS}, 0)`.execute(tx);
}

/** Skills are named one after the other, so that each name is there once. Taken before the skill's row. */
export async function lockSkillNames(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${SKILLS}, 0)`.execute(tx);
}

/** Held by whoever measures a ticket by what policies say: who saves one waits for it. */
export async function lockSlaSettingsShared(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock_shared(${SLA_SETTINGS}, 0)`.execute(tx);
}

/** Calendars, policies and their order are saved one after the other. Taken before any of their rows. */
export async function lockSlaSettings(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${SLA_SETTINGS}, 0)`.execute(tx);
}

/** Calls of webhooks are claimed one after the other, so that those of each can be counted. Nothing but the deliveries is locked after it. */
export async function lockWebhookClaims(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${WEBHOOK_CLAIMS}, 0)`.execute(tx);
}

/** Moves start, and are set and withdrawn, one after the other, so that one runs at a time. Taken after the channel's lock, before any row. */
export async function lockMigrations(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${MIGRATIONS}, 0)`.execute(tx);
}
