import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { readProgress, type MigrationProgress } from './migration-report.ts';

/** A move that runs, as every user is told of it (MIG-18). */
export interface MigrationNotice {
  readonly migrationId: string;
  readonly channelId: string;
  readonly channelKey: string;
  readonly channelName: string;
  readonly since: Date;
  /** Who set it. */
  readonly userId: string;
  readonly progress: MigrationProgress;
}

/** The move that runs; none or one, for one runs at a time. Each from its first transaction to its last. */
export async function readNotices(db: Db): Promise<readonly MigrationNotice[]> {
  const { rows } = await sql<Omit<MigrationNotice, 'progress'>>`
    select m.id as "migrationId", m.channel_id as "channelId", c.key as "channelKey", c.name as "channelName", m.started_at as since, m.asked_by as "userId"
    from channel_migration m join channel c on c.id = m.channel_id where m.state = 'RUNNING'`.execute(db);
  const notices = await Promise.all(rows.map(async (row) => ({ ...row, progress: await readProgress(db, row.migrationId) })));
  // It may have ended between the two statements.
  return notices.filter(({ progress }) => progress.state === 'RUNNING');
}

/** A user's own conversations in a move, open and closed. */
export interface OwnShare {
  readonly moved: number;
  readonly toMove: number;
  /** Of those moved: nobody's since, for want of access to the help desk. */
  readonly unassigned: number;
}

/**
 * One statement, so that none is counted twice while it moves. What is still to be moved is what the user owns in the inbox now; what was moved is counted by who
 * owned it then. `conversation_inbox_owner` and `ticket_owner` are read, so a user who owns much waits longer for it than one who owns little.
 */
export async function readOwnShare(db: Db, { migrationId, channelId }: Pick<MigrationNotice, 'migrationId' | 'channelId'>, userId: string): Promise<OwnShare> {
  const { rows } = await sql<OwnShare>`
    select coalesce(walked.moved, 0) + beside.moved as moved, coalesce(walked.unassigned, 0) + beside.unassigned as unassigned,
      without_ticket.count + with_ticket.count as "toMove"
    from (
      select count(*)::int as moved, count(*) filter (where b.unassigned)::int as unassigned from channel_migration_conversation b
      where b.migration_id = ${migrationId} and b.how in ('PULLED_FORWARD', 'JOINED') and b.owner_id = ${userId}
    ) beside cross join (
      select count(*)::int as count from conversation c where c.owner_id = ${userId} and c.channel_id = ${channelId} and c.place = 'INBOX'
    ) without_ticket cross join (
      select count(*)::int as count from ticket t join conversation c on c.id = t.conversation_id
      where t.owner_id = ${userId} and c.channel_id = ${channelId} and c.place = 'INBOX'
    ) with_ticket left join channel_migration_owner walked on walked.migration_id = ${migrationId} and walked.user_id = ${userId}`.execute(db);
  return rows[0] ?? { moved: 0, toMove: 0, unassigned: 0 };
}

/** The move that runs now, whoever asks: it is told to all (MIG-3). */
export async function runningMigration(db: Db | Tx): Promise<{ readonly id: string; readonly channelId: string } | undefined> {
  return db.selectFrom('channel_migration').select(['id', 'channel_id as channelId']).where('state', '=', 'RUNNING').executeTakeFirst();
}
