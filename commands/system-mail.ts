import { sql, type RawBuilder } from 'kysely';
import type { Db } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import type { SystemMailState } from '#db/schema.ts';
import { GIVE_UP_AFTER_SECONDS } from '#domain/outbox.ts';
import { MAIL_LIMIT_SECONDS } from '#domain/system-mail.ts';
import { NotFound, NotPossible } from './refusals.ts';
import { NO_SENDER } from './system-sender.ts';
import type { Unit } from './unit.ts';

/** A mail of the account's own, to a user or to a contact. A notification's is written with the notification. */
export interface NewSystemMail {
  readonly kind: 'TEST' | 'OFFLINE_OWNER' | 'TRANSCRIPT';
  readonly to: { readonly userId: string } | { readonly contactId: string };
  /** The address. */
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html?: string | null;
  readonly conversationId?: string | null;
  readonly ticketId?: string | null;
  /** The channel it goes by, one that can begin with an address; none: as the system sender does. */
  readonly channelId?: string | null;
}

/**
 * Queues mails, or lists them as unsent where there is neither a channel of theirs nor a system sender: nothing else fails then (CH-12). One statement for any number. What stayed
 * unsent does not go out by itself once there is a sender, for by then it may be wrong: `resendSystemMail` is a person's own decision.
 */
export async function queueSystemMail(unit: Unit, mails: readonly NewSystemMail[]): Promise<readonly string[]> {
  if (mails.length === 0) return [];
  const rows = mails.map((mail) => ({
    id: newId(),
    kind: mail.kind,
    user_id: 'userId' in mail.to ? mail.to.userId : null,
    contact_id: 'contactId' in mail.to ? mail.to.contactId : null,
    recipient: mail.recipient,
    subject: mail.subject,
    text: mail.text,
    html: mail.html ?? null,
    conversation_id: mail.conversationId ?? null,
    ticket_id: mail.ticketId ?? null,
    channel_id: mail.channelId ?? null,
  }));
  const { state, reason, settledAt } = firstState();
  const inserted = await sql<{ state: SystemMailState }>`
    insert into system_mail (id, kind, user_id, contact_id, recipient, subject, text, html, conversation_id, ticket_id, channel_id, state, reason, settled_at)
    select n.*, case when n.channel_id is null then ${state} else 'QUEUED' end, case when n.channel_id is null then ${reason} end,
      case when n.channel_id is null then ${settledAt} end from json_to_recordset(${JSON.stringify(rows)}::json) as n (id uuid, kind text, user_id uuid, contact_id uuid,
      recipient text, subject text, text text, html text, conversation_id uuid, ticket_id uuid, channel_id uuid)
    returning state`.execute(unit.tx);
  if (inserted.rows.some((row) => row.state === 'QUEUED')) unit.wake({ kind: 'system-mail' });
  return rows.map(({ id }) => id);
}

/** What a new mail's columns begin with, by whether there is a sender. */
export function firstState(): { readonly state: RawBuilder<unknown>; readonly reason: RawBuilder<unknown>; readonly settledAt: RawBuilder<unknown> } {
  const sender = sql`exists (select 1 from system_sender)`;
  return {
    state: sql`case when ${sender} then 'QUEUED' else 'UNSENT' end`,
    reason: sql`case when not ${sender} then ${NO_SENDER}::text end`,
    settledAt: sql`case when not ${sender} then now() end`,
  };
}

/** A mail to the caller, to see that the sender works (CH-12). Throws `NotPossible` where there is none. */
export async function testSystemSender(unit: Unit, input: { readonly userId: string }): Promise<{ readonly mailId: string }> {
  await requireSender(unit);
  const { email } = await unit.tx.selectFrom('app_user').select('email').where('id', '=', input.userId).executeTakeFirstOrThrow();
  const [mailId = ''] = await queueSystemMail(unit, [
    {
      kind: 'TEST',
      to: { userId: input.userId },
      recipient: email,
      subject: 'A test of the system sender',
      text: 'This mail shows that the system sender works.',
    },
  ]);
  return { mailId };
}

/** Sends a mail that stayed unsent, failed, or may have been sent, with its full time again. Throws `NotFound`, `NotPossible`. */
export async function resendSystemMail(unit: Unit, input: { readonly mailId: string }): Promise<{ readonly mailId: string }> {
  const mail = await unit.tx
    .selectFrom('system_mail')
    .leftJoin('app_user', 'app_user.id', 'system_mail.user_id')
    .select(['system_mail.state', 'system_mail.recipient', 'system_mail.channel_id', 'app_user.email', 'app_user.deactivated_at'])
    .where('system_mail.id', '=', input.mailId)
    .forNoKeyUpdate('system_mail')
    .executeTakeFirst();
  if (mail === undefined) throw new NotFound('system mail', input.mailId);
  if (mail.channel_id === null) await requireSender(unit);
  if (!['UNSENT', 'FAILED', 'MAYBE_SENT'].includes(mail.state)) throw new NotPossible('NOT_WAITING');
  if (mail.deactivated_at !== null) throw new NotPossible('RECIPIENT_GONE');
  await unit.tx
    .updateTable('system_mail')
    .set({
      state: 'QUEUED',
      reason: null,
      settled_at: null,
      last_failure: null,
      // They may have another address by now.
      recipient: mail.email ?? mail.recipient,
      queued_at: sql<Date>`now()`,
      not_before: sql<Date>`now()`,
    })
    .where('id', '=', input.mailId)
    .execute();
  unit.wake({ kind: 'system-mail' });
  return { mailId: input.mailId };
}

async function requireSender(unit: Unit): Promise<void> {
  const sender = await unit.tx.selectFrom('system_sender').select('id').executeTakeFirst();
  if (sender === undefined) throw new NotPossible('NO_SENDER');
}

/** One mail that is to be sent now, once: its row says `SENDING` already, and that is committed. */
export interface ClaimedMail {
  readonly id: string;
  readonly attempt: number;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string | null;
  /** The channel it goes by; null: as the system sender does. */
  readonly channelId: string | null;
}

/** Claims up to `limit` mails: `QUEUED → SENDING` is committed before anybody is called, so that none goes out twice by itself. */
export async function claimSystemMails(db: Db, limit: number): Promise<readonly ClaimedMail[]> {
  const { rows } = await sql<ClaimedMail>`
    with next as materialized (
      select q.id from system_mail q left join system_sender s on q.channel_id is null left join channel h on h.id = q.channel_id
      where q.state = 'QUEUED' and q.not_before <= now() and coalesce(h.send_after, s.send_after) <= now()
      order by q.not_before, q.id limit ${limit} for no key update of q skip locked
    )
    update system_mail m set state = 'SENDING', sending_since = now(), attempt = m.attempt + 1
    from next where m.id = next.id
    returning m.id, m.attempt, m.recipient, m.subject, m.text, m.html, m.channel_id as "channelId"`.execute(db);
  return rows;
}

/** What came of a try. Reasons are codes and fixed phrases. */
export type MailOutcome =
  | { readonly kind: 'sent' }
  /** Certainly not sent. `ofSender`: it says nothing of this mail, so the others wait too. */
  | { readonly kind: 'later'; readonly seconds: number; readonly reason: string; readonly ofSender: boolean }
  | { readonly kind: 'failed'; readonly reason: string }
  /** It may or may not be out: never sent again by itself. */
  | { readonly kind: 'maybe-sent'; readonly reason: string }
  /** Its sender is gone for good. */
  | { readonly kind: 'unsent'; readonly reason: string };

/** Writes the outcome of one attempt while it is `SENDING`. That it was sent is also believed later, of the same attempt. */
export async function settleSystemMail(
  db: Db,
  { id, attempt, channelId = null }: Pick<ClaimedMail, 'id' | 'attempt'> & Partial<Pick<ClaimedMail, 'channelId'>>,
  outcome: MailOutcome,
): Promise<boolean> {
  if (outcome.kind === 'later' && outcome.ofSender && channelId !== null) {
    await sql`update channel set send_after = greatest(send_after, now() + make_interval(secs => ${outcome.seconds})) where id = ${channelId}`.execute(db);
  } else if (outcome.kind === 'later' && outcome.ofSender) {
    await sql`update system_sender set send_after = greatest(send_after, now() + make_interval(secs => ${outcome.seconds}))`.execute(db);
  }
  const open: readonly SystemMailState[] = outcome.kind === 'sent' ? ['SENDING', 'MAYBE_SENT'] : ['SENDING'];
  const settled = await db
    .updateTable('system_mail')
    .set({ ...columnsOf(outcome), sending_since: null })
    .where('id', '=', id)
    .where('attempt', '=', attempt)
    .where('state', 'in', open)
    .returning('id')
    .executeTakeFirst();
  return settled !== undefined;
}

function columnsOf(outcome: MailOutcome) {
  const settled_at = sql<Date>`now()`;
  switch (outcome.kind) {
    case 'sent':
      return { state: 'SENT', reason: null, last_failure: null, settled_at } as const;
    case 'later':
      return { state: 'QUEUED', reason: null, last_failure: outcome.reason, not_before: sql<Date>`now() + make_interval(secs => ${outcome.seconds})` } as const;
    case 'failed':
      return { state: 'FAILED', reason: outcome.reason, last_failure: outcome.reason, settled_at } as const;
    case 'maybe-sent':
      return { state: 'MAYBE_SENT', reason: outcome.reason, last_failure: outcome.reason, settled_at } as const;
    case 'unsent':
      return { state: 'UNSENT', reason: outcome.reason, last_failure: outcome.reason, settled_at } as const;
  }
}

/** Ends what can not go on: a send nobody knows the outcome of, what has waited for 72 hours, what has no sender or no recipient any more. */
export async function settleOverdueMails(db: Db): Promise<void> {
  await sql`
    update system_mail set state = 'MAYBE_SENT', sending_since = null, settled_at = now(),
      reason = 'it was being sent when the worker stopped, or got no answer', last_failure = 'MaybeSent'
    where state = 'SENDING' and sending_since < now() - make_interval(secs => ${MAIL_LIMIT_SECONDS})`.execute(db);
  // What a disconnected channel was to carry goes as all else does: the address it was to come from is no longer ours to use.
  await sql`
    update system_mail m set channel_id = null from channel h where m.state = 'QUEUED' and h.id = m.channel_id and h.disconnected_at is not null`.execute(db);
  await sql`
    update system_mail m set state = case when why.sender then 'FAILED' else 'UNSENT' end, settled_at = now(),
      reason = case when not why.sender then ${NO_SENDER} when why.gone then 'the user was deactivated' else 'waited for 72 hours' end
    from (
      select q.id, q.queued_at < now() - make_interval(secs => ${GIVE_UP_AFTER_SECONDS}) as late,
        q.channel_id is not null or exists (select 1 from system_sender) as sender, u.deactivated_at is not null as gone
      from system_mail q left join app_user u on u.id = q.user_id
      where q.state = 'QUEUED'
    ) why
    where m.id = why.id and m.state = 'QUEUED' and (why.late or why.gone or not why.sender)`.execute(db);
}

/** How many are not settled, and when the first of them can go on (ISO 8601; null: none waits). */
export async function nextSystemMail(db: Db): Promise<{ readonly remaining: number; readonly nextIso: string | null; readonly heldBy: string | null }> {
  const { rows } = await sql<{ remaining: number; next: Date | null; held_by: string | null }>`
    select count(*) over () as remaining, w.last_failure as held_by,
      case when w.state = 'SENDING' then w.sending_since + make_interval(secs => ${MAIL_LIMIT_SECONDS}) else greatest(w.not_before, coalesce(h.send_after, s.send_after)) end as next
    from system_mail w left join system_sender s on w.channel_id is null left join channel h on h.id = w.channel_id
    where w.state in ('QUEUED', 'SENDING') order by next limit 1`.execute(db);
  const [row] = rows;
  return { remaining: row?.remaining ?? 0, nextIso: row?.next?.toISOString() ?? null, heldBy: row?.held_by ?? null };
}
