import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { dropUnusedBlobs } from './blobs.ts';
import { NotFound } from './refusals.ts';
import { noteFreed } from './routing-retry.ts';
import type { Unit } from './unit.ts';

/** What erasing a contact removes, by number: told before, and counted as it is done. */
export interface Erasure {
  readonly conversations: number;
  readonly messages: number;
  readonly attachments: number;
  readonly deliveries: number;
}

/** What erasing would remove now. Throws `NotFound`. */
export async function erasurePreview(db: Db, contactId: string): Promise<Erasure> {
  const contact = await db.selectFrom('contact').select('id').where('id', '=', contactId).where('erased_at', 'is', null).executeTakeFirst();
  if (contact === undefined) throw new NotFound('contact', contactId);
  const { rows } = await sql<Erasure>`
    with ${mine(contactId)}, theirs as (
      select m.id, m.raw_delivery_id from message m
      where m.conversation_id in (select id from own) or (m.conversation_id in (select id from shared) and m.contact_id = ${contactId}))
    select (select count(*) from own) as conversations, (select count(*) from theirs) as messages,
      (select count(*) from attachment a where a.message_id in (select id from theirs)) as attachments,
      (select count(*) from raw_delivery r where r.id in (select raw_delivery_id from theirs)) as deliveries`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new NotFound('contact', contactId);
  return { conversations: Number(row.conversations), messages: Number(row.messages), attachments: Number(row.attachments), deliveries: Number(row.deliveries) };
}

/** The contact's own conversations, and those of others in which they take part. */
function mine(contactId: string) {
  return sql`own as (select id, ticket_id from conversation where contact_id = ${contactId}),
    shared as (
      select distinct p.conversation_id as id from participant p join contact_identity i on i.kind = p.kind and i.value = p.value
      where i.contact_id = ${contactId} and p.conversation_id not in (select id from own))`;
}

/**
 * Removes what a contact said, what was said to them and by what they are known, everywhere, for good (OPS-9). Their conversations and tickets stay as empty
 * shells with numbers, owners and times, closed; in the conversations of others their messages are emptied. Events and decisions hold ids only, workflow histories
 * never held more. Who writes at the same moment either is removed with it, or becomes a new contact after it. Throws `NotFound`, also the second time.
 */
export async function eraseContact(unit: Unit, input: { readonly contactId: string }): Promise<{ contactId: string } & Erasure> {
  const { tx } = unit;
  const { contactId } = input;
  // Against `ensureContacts`, which holds whom it found: before the conversations, as there.
  const contact = await tx.selectFrom('contact').select('id').where('id', '=', contactId).where('erased_at', 'is', null).forUpdate().executeTakeFirst();
  if (contact === undefined) throw new NotFound('contact', contactId);
  await tx
    .updateTable('contact')
    .set({ name: null, owner_id: null, erased_at: sql<Date>`now()` })
    .where('id', '=', contactId)
    .execute();
  const { own, shared } = await lockConversations(tx, contactId);
  const ownIds = own.map((one) => one.id);
  const ticketIds = own.flatMap((one) => (one.ticket_id === null ? [] : [one.ticket_id]));

  const { rows: messages } = await sql<{ id: string; raw_delivery_id: number | null; conversation_id: string }>`
    select id, raw_delivery_id, conversation_id from message
    where conversation_id = any(${ownIds}::uuid[]) or (conversation_id = any(${shared}::uuid[]) and contact_id = ${contactId})`.execute(tx);
  const messageIds = messages.map((one) => one.id);
  const { rows: files } = await sql<{ sha256: Buffer | null }>`delete from attachment where message_id = any(${messageIds}::uuid[]) returning sha256`.execute(
    tx,
  );
  await sql`delete from form_submission where message_id = any(${messageIds}::uuid[]) or contact_id = ${contactId}`.execute(tx);
  // Answers to a chatflow's questions.
  await sql`delete from chatflow_run where conversation_id = any(${ownIds}::uuid[])`.execute(tx);
  await sql`delete from outbound where conversation_id = any(${ownIds}::uuid[])`.execute(tx);
  // Answers to them in the conversations of others: what waits is not sent any more, and none says to whom it was.
  await sql`
    update outbound o set template = null, recipient = jsonb_build_object('kind', o.recipient ->> 'kind', 'value', ''),
      state = case when o.state = 'QUEUED' then 'FAILED' else o.state end, can_retry = case when o.state = 'QUEUED' then false else o.can_retry end,
      failure_code = case when o.state = 'QUEUED' then 'Erased' else o.failure_code end,
      failure_reason = case when o.state = 'QUEUED' then 'the contact was erased' else o.failure_reason end, updated_at = now()
    from contact_identity i
    where o.conversation_id = any(${shared}::uuid[]) and i.contact_id = ${contactId} and o.recipient ->> 'kind' = i.kind and o.recipient ->> 'value' = i.value`.execute(
    tx,
  );
  await sql`delete from message where conversation_id = any(${ownIds}::uuid[])`.execute(tx);
  await sql`
    update message set text = '', choice = null, html = null, html_safe = null, quoted_text = null, quoted_html_safe = null, subject = null, sender = null, contact_id = null,
      participants = '[]', authentication = null, attachments = '[]'
    where id = any(${messageIds}::uuid[])`.execute(tx);
  await eraseCopies(tx, contactId, shared);
  const deliveries = await eraseDeliveries(
    tx,
    contactId,
    messages.flatMap((one) => (one.raw_delivery_id === null ? [] : [one.raw_delivery_id])),
  );
  await eraseTraces(tx, contactId, ownIds, ticketIds, shared);
  await closeShells(unit, own);
  await dropUnusedBlobs(
    tx,
    files.flatMap((one) => (one.sha256 === null ? [] : [one.sha256])),
  );
  unit.record({ kind: 'CONTACT_ERASED', placeId: null, data: { contactId, conversations: ownIds.length, messages: messageIds.length } });
  return { contactId, conversations: ownIds.length, messages: messageIds.length, attachments: files.length, deliveries };
}

interface OwnConversation {
  readonly id: string;
  readonly ticket_id: string | null;
  readonly place_id: string;
  readonly channel_id: string;
  readonly status: string;
}

/** All of them in id order, then the tickets. */
async function lockConversations(tx: Tx, contactId: string): Promise<{ readonly own: readonly OwnConversation[]; readonly shared: readonly string[] }> {
  const { rows } = await sql<OwnConversation & { own: boolean }>`
    with ${mine(contactId)}
    select c.id, c.ticket_id, c.place_id, c.channel_id, c.status, c.contact_id is not distinct from ${contactId}::uuid as own
    from conversation c where c.id in (select id from own union all select id from shared) order by c.id for no key update of c`.execute(tx);
  const own = rows.filter((row) => row.own);
  await sql`select id from ticket where id = any(${own.map((one) => one.ticket_id)}::uuid[]) order by id for no key update`.execute(tx);
  return { own, shared: rows.filter((row) => !row.own).map((row) => row.id) };
}

/** The deliveries behind the messages, and what was filtered of theirs. */
async function eraseDeliveries(tx: Tx, contactId: string, ids: readonly number[]): Promise<number> {
  const { rows: filtered } = await sql<{ raw_delivery_id: number | null }>`
    delete from filtered_message f using contact_identity i
    where i.contact_id = ${contactId} and f.sender ->> 'kind' = i.kind and f.sender ->> 'value' = i.value returning f.raw_delivery_id`.execute(tx);
  const all = [...ids, ...filtered.flatMap((one) => (one.raw_delivery_id === null ? [] : [one.raw_delivery_id]))];
  // A delivery may have brought messages of others too: theirs are kept, what was still to be fetched from it is not there any more.
  await sql`
    update attachment a set state = 'FAILED', reason = 'what it came with was erased'
    from message m where m.id = a.message_id and m.raw_delivery_id = any(${all}::bigint[]) and a.state = 'WAITING'`.execute(tx);
  // Others' filtered mail that came along in one is kept, and can not be let pass any more.
  await sql`update filtered_message set raw_delivery_id = null where raw_delivery_id = any(${all}::bigint[])`.execute(tx);
  const gone = await sql`delete from raw_delivery where id = any(${all}::bigint[])`.execute(tx);
  return Number(gone.numAffectedRows ?? 0);
}

/**
 * What others sent with this contact among the recipients, as it came: the messages stay, their raw form names them. One whose attachments are still to be
 * fetched from it is kept until its time is over.
 */
async function eraseCopies(tx: Tx, contactId: string, shared: readonly string[]): Promise<void> {
  await sql`
    delete from raw_delivery r using message m
    where m.raw_delivery_id = r.id and m.conversation_id = any(${[...shared]}::uuid[]) and m.contact_id is distinct from ${contactId}::uuid and r.state = 'DONE'
      and exists (select 1 from jsonb_array_elements(m.participants) p join contact_identity i on i.kind = p ->> 'kind' and i.value = p ->> 'value' where i.contact_id = ${contactId})
      and not exists (select 1 from attachment a where a.message_id = m.id and a.state = 'WAITING')`.execute(tx);
}

/** Names, addresses and texts that stand elsewhere. */
async function eraseTraces(tx: Tx, contactId: string, ownIds: readonly string[], ticketIds: readonly string[], shared: readonly string[]): Promise<void> {
  await sql`
    update message m set participants = coalesce((
      select jsonb_agg(p) from jsonb_array_elements(m.participants) p
      where not exists (select 1 from contact_identity i where i.contact_id = ${contactId} and i.kind = p ->> 'kind' and i.value = p ->> 'value')), '[]')
    where m.conversation_id = any(${[...shared]}::uuid[]) and m.participants <> '[]'`.execute(tx);
  await sql`
    delete from participant p using contact_identity i
    where (i.contact_id = ${contactId} and p.kind = i.kind and p.value = i.value) or p.conversation_id = any(${[...ownIds]}::uuid[])`.execute(tx);
  await sql`delete from thread_key where conversation_id = any(${[...ownIds]}::uuid[])`.execute(tx);
  await sql`
    delete from system_mail where contact_id = ${contactId} or conversation_id = any(${[...ownIds]}::uuid[]) or ticket_id = any(${[...ticketIds]}::uuid[])
      -- Also what somebody else had mailed to an address of theirs.
      or (user_id is null and recipient in (select value from contact_identity where contact_id = ${contactId} and kind = 'email-address'))`.execute(tx);
  await sql`update conversation set subject = null where id = any(${[...ownIds]}::uuid[])`.execute(tx);
  await sql`update ticket set name = '(erased)', description = null, properties = '{}' where id = any(${[...ticketIds]}::uuid[])`.execute(tx);
  // Hashes of what stood there.
  await sql`update sla_ticket set marks = '{}', version = version + 1 where ticket_id = any(${[...ticketIds]}::uuid[])`.execute(tx);
  // Who is here is written for identities that are there: from here on none of these is.
  await sql`select from contact_identity where contact_id = ${contactId} for update`.execute(tx);
  await sql`
    delete from visitor_presence p using contact_identity i where i.contact_id = ${contactId} and p.kind = i.kind and p.value = i.value`.execute(tx);
  await sql`delete from contact_identity where contact_id = ${contactId}`.execute(tx);
}

/** Nobody is left to answer: what was open is closed, and says why. */
async function closeShells(unit: Unit, own: readonly OwnConversation[]): Promise<void> {
  const { tx } = unit;
  const open = own.filter((one) => one.status === 'OPEN');
  if (open.length === 0) return;
  const ids = open.map((one) => one.id);
  const closed = await sql<{ owner_id: string | null }>`
    update conversation set status = 'CLOSED', closed_at = now(), route_pending_since = null, version = version + 1 where id = any(${ids}::uuid[]) returning owner_id`.execute(
    tx,
  );
  const { rows } = await sql<{
    id: string;
    number: number;
    owner_id: string | null;
    conversation_id: string;
    before: string;
    after: string;
    key: string;
    plugin: string;
  }>`
    update ticket t set status_id = s.id, closed_at = now(), route_pending_since = null, version = t.version + 1
    from conversation c join channel h on h.id = c.channel_id, lateral (
      select s.id from ticket_status s where s.pipeline_id = (select o.pipeline_id from ticket o where o.conversation_id = c.id) and s.category = 'CLOSED' order by s.position limit 1) s
    where t.conversation_id = c.id and c.id = any(${ids}::uuid[]) and t.closed_at is null
    returning t.id, t.number, t.owner_id, t.conversation_id, old.status_id as before, new.status_id as after, h.key, h.plugin`.execute(tx);
  // Whoever had one of them has room for something else (ROUTE-13).
  await noteFreed(
    unit,
    [...closed.rows, ...rows].flatMap(({ owner_id: owner }) => (owner === null ? [] : [owner])),
  );
  const tickets = new Map(rows.map((row) => [row.conversation_id, row]));
  for (const one of open) {
    const ticket = tickets.get(one.id);
    unit.record({
      kind: 'STATUS_CHANGED',
      channelId: one.channel_id,
      conversationId: one.id,
      ticketId: one.ticket_id,
      placeId: one.place_id,
      why: 'CONTACT_ERASED',
      data: ticket === undefined ? { category: 'CLOSED' } : { from: ticket.before, to: ticket.after, category: 'CLOSED' },
    });
    if (ticket !== undefined) unit.wake({ kind: 'ticket', number: ticket.number, channelKey: ticket.key, plugin: ticket.plugin });
  }
}
