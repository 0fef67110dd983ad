import type { Priority } from '#db/schema.ts';
import type { AnswerValue } from '#domain/chatflow-answers.ts';
import { giveAddress } from './contact-identities.ts';
import { sql } from 'kysely';
import { subjectIds, type Subject } from './subjects.ts';
import { setTicketPriority } from './tickets.ts';
import type { Unit } from './unit.ts';

const KINDS: Readonly<Record<string, 'email-address' | 'phone-number'>> = { email: 'email-address', phone: 'phone-number' };
const PRIORITY: Readonly<Record<string, Priority>> = { LOW: 'LOW', MEDIUM: 'MEDIUM', HIGH: 'HIGH', URGENT: 'URGENT' };

/** Keeps an answer as the contact's name, or as an address to answer them at, which proves nothing of whose it is. The caller holds the contact. */
export async function setContactProperty(unit: Unit, subject: Subject, property: string, value: AnswerValue): Promise<void> {
  const contact = await unit.tx
    .selectFrom('conversation')
    .innerJoin('contact', 'contact.id', 'conversation.contact_id')
    .select('contact.id')
    .where('conversation.id', '=', subject.conversationId)
    .where('contact.erased_at', 'is', null)
    .executeTakeFirst();
  if (contact === undefined || subject.channelId === null) return;
  const kind = KINDS[property];
  if (kind !== undefined) {
    await giveAddress(unit, { contactId: contact.id, channelId: subject.channelId, added: { kind, value: String(value) } });
  } else {
    await unit.tx
      .updateTable('contact')
      .set({ name: String(value) })
      .where('id', '=', contact.id)
      .execute();
  }
}

/** Keeps an answer on the ticket; without one it stays among the answers until a step makes it. */
export async function setTicketProperty(unit: Unit, subject: Subject, property: string, value: AnswerValue): Promise<void> {
  const { ticketId } = subject;
  if (ticketId === null) return;
  const priority = property === 'priority' ? PRIORITY[String(value)] : undefined;
  if (priority !== undefined) {
    await setTicketPriority(unit, { ticketId, priority }, 'CHATFLOW');
    return;
  }
  const name = property.replace(/^properties\./, '');
  await sql`
    update ticket set properties = properties || jsonb_build_object(${name}::text, ${JSON.stringify(value)}::jsonb), version = version + 1 where id = ${ticketId}`.execute(
    unit.tx,
  );
  unit.record({ kind: 'PROPERTIES_CHANGED', ...subjectIds(subject), why: 'CHATFLOW' });
}
