import { sql } from 'kysely';
import { OFFLINE_OWNER, offlineOwnerMail } from '#domain/offline-owner.ts';
import type { Candidate } from '#domain/routing.ts';
import type { Subject } from './subjects.ts';
import { queueSystemMail } from './system-mail.ts';
import type { Unit } from './unit.ts';

/** Mails what the contact wrote since anybody answered to the owner who is away, in the transaction that makes it theirs (ROUTE-10). */
export async function mailOfflineOwner(unit: Unit, subject: Subject, { userId, as }: Pick<Candidate, 'userId' | 'as'>): Promise<void> {
  const { tx } = unit;
  const { email } = await tx.selectFrom('app_user').select('email').where('id', '=', userId).executeTakeFirstOrThrow();
  const ticket =
    subject.ticketId === null ? null : await tx.selectFrom('ticket').select(['number', 'name']).where('id', '=', subject.ticketId).executeTakeFirstOrThrow();
  const { rows } = await sql<{ text: string }>`
    select m.text from message m
    where m.conversation_id = ${subject.conversationId} and m.direction = 'INBOUND' and m.arrival > coalesce((
      select max(o.arrival) from message o where o.conversation_id = ${subject.conversationId} and o.direction = 'OUTBOUND' and o.author_user_id is not null and not o.automatic), 0)
    order by m.arrival desc limit ${OFFLINE_OWNER.messages}`.execute(tx);
  const words = offlineOwnerMail({ ticket, as: as === 'DEFAULT_USER' ? as : 'OWNER', texts: rows.map(({ text }) => text).toReversed() });
  await queueSystemMail(unit, [
    { kind: 'OFFLINE_OWNER', to: { userId }, recipient: email, ...words, conversationId: subject.conversationId, ticketId: subject.ticketId },
  ]);
}
