import type { SendRate } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { StoredIdentity } from '#db/schema.ts';
import { paceMessage } from '#domain/send-pace.ts';

/** A message that is about to be claimed. */
export interface PacedMessage {
  readonly messageId: string;
  readonly channelId: string;
  readonly recipient: StoredIdentity;
}

/** Null: it may leave now, and is noted as having left. Else until when it waits, and why: a code. */
export type PaceWait = { readonly until: Date; readonly why: 'SEND_RATE' | 'RECIPIENT_RATE' } | null;

/**
 * Keeps the rates a plugin declares, in the transaction that claims a message: those of one channel come one after the other here, for its row is locked, and
 * judge by the clock of that moment. A plugin that declares none costs nothing.
 */
export async function keepPace(tx: Tx, rate: SendRate, { messageId, channelId, recipient }: PacedMessage): Promise<PaceWait> {
  if (rate.accountPerSecond === undefined && rate.recipientSeconds === undefined) return null;
  await tx.selectFrom('channel').select('id').where('id', '=', channelId).forNoKeyUpdate().executeTakeFirst();
  // A statement of its own: it sees what those before it have written, and the time it is now.
  const { rows } = await sql<{ now: number; paced_at: number; line_at: number; slot_at: number | null; recipient_at: number | null }>`
    select ${inMs(sql`clock_timestamp()`)} as now, ${inMs(sql`h.paced_at`)} as paced_at, ${inMs(sql`h.pace_line_at`)} as line_at, ${inMs(sql`o.slot_at`)} as slot_at,
      (select ${inMs(sql`max(p.claimed_at)`)} from outbound p where p.channel_id = h.id and p.recipient ->> 'value' = ${recipient.value}
        and p.recipient ->> 'kind' = ${recipient.kind} and p.claimed_at is not null) as recipient_at
    from channel h join outbound o on o.message_id = ${messageId}::uuid where h.id = ${channelId}::uuid`.execute(tx);
  const [row] = rows;
  if (row === undefined) return null;
  const decision = paceMessage(rate, {
    now: row.now,
    pacedAt: row.paced_at,
    lineAt: row.line_at,
    slotAt: row.slot_at,
    recipientAt: row.recipient_at,
  });
  if (decision.kind === 'go') {
    await sql`update channel set paced_at = ${moment(decision.pacedAt)}, pace_line_at = ${moment(decision.lineAt)} where id = ${channelId}::uuid`.execute(tx);
    await sql`update outbound set claimed_at = ${moment(row.now)}, slot_at = null where message_id = ${messageId}::uuid`.execute(tx);
    return null;
  }
  if (decision.lineAt !== row.line_at) await sql`update channel set pace_line_at = ${moment(decision.lineAt)} where id = ${channelId}::uuid`.execute(tx);
  const until = moment(decision.until);
  // Its own time too: nobody takes it for stuck before its turn.
  await sql`update outbound set not_before = ${until}, slot_at = ${decision.slotAt === null ? null : moment(decision.slotAt)} where message_id = ${messageId}::uuid`.execute(
    tx,
  );
  return { until: new Date(Math.ceil(decision.until)), why: decision.why };
}

function inMs(at: ReturnType<typeof sql>) {
  return sql`(extract(epoch from ${at}) * 1000)::float8`;
}

function moment(ms: number) {
  return sql`to_timestamp(${ms}::float8 / 1000)`;
}
