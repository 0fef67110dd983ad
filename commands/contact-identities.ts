import type { Identity, InboundEvent } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { StoredIdentity } from '#db/schema.ts';
import { ensureContacts, identityKey, type AddedIdentity } from './contacts.ts';
import type { Unit } from './unit.ts';

/** What became of one more way to recognise a contact. `TAKEN`: another contact has it and keeps it. */
export type AddedAs = 'ADDED' | 'KNOWN' | 'TAKEN';

/** Those whom an event speaks of besides the sender of a message: held before conversations are locked, found when one of them is erased. */
export function peopleOf(event: InboundEvent): readonly Identity[] {
  const pair = pairOf(event);
  return pair === undefined ? [] : [pair.contact, pair.added];
}

/** Those who may get a name with an address, held for that before conversations are locked: who locks the other way round would wait for each other. */
export async function holdNameless(tx: Tx, events: readonly InboundEvent[]): Promise<void> {
  const named = addedBy(events).filter(({ contact, added }) => (contact.name ?? added.name) !== undefined);
  if (named.length === 0) return;
  const contacts = named.map((one) => one.contact);
  await sql`
    select 1 from contact c join contact_identity i on i.contact_id = c.id
    join unnest(${contacts.map((one) => one.kind)}::text[], ${contacts.map((one) => one.value)}::text[]) as w (kind, value) on w.kind = i.kind and w.value = i.value
    where c.name is null order by c.id for no key update of c`.execute(tx);
}

/** What a batch adds to its contacts. */
export function addedBy(events: readonly InboundEvent[]): readonly AddedIdentity[] {
  return events.flatMap((event) => pairOf(event) ?? []);
}

function pairOf(event: InboundEvent): AddedIdentity | undefined {
  if (event.type === 'identity-added') return { contact: event.contact, added: event.added };
  if (event.type === 'identity-changed') return { contact: event.old, added: event.new };
  return undefined;
}

/**
 * Takes in that contacts are known by more than before. What nobody has is the contact's from now on. What another contact has stays theirs, for a stranger's
 * word proves nothing: given as an address to answer at, it is one for this contact's conversations on this channel and no more. A contact nobody knows
 * gets nothing. The caller holds the contacts and those conversations.
 */
export async function applyIdentities(unit: Unit, channelId: string, events: readonly InboundEvent[]): Promise<void> {
  const added = addedBy(events);
  if (added.length === 0) return;
  // Where messages came along they are written already, in one statement with theirs, and are only read here.
  const contacts = await ensureContacts(unit.tx, [], added);
  const changes = events.flatMap((event): Change[] => {
    const pair = pairOf(event);
    const contactId = pair === undefined ? undefined : contacts.get(identityKey(pair.contact));
    if (pair === undefined || contactId === undefined) return [];
    const { kind, value } = pair.added;
    const given = event.type === 'identity-added';
    return [{ contactId, kind, value, given, own: contacts.get(identityKey(pair.added)) === contactId, name: pair.contact.name ?? pair.added.name ?? null }];
  });
  await settle(unit, channelId, changes);
}

/**
 * One more way to reach a contact, which they gave on this channel. The caller holds the contact, and did so before it locked any conversation
 * (`holdContactOf`).
 */
export async function addIdentity(
  unit: Unit,
  input: { readonly contactId: string; readonly channelId: string; readonly added: StoredIdentity },
): Promise<AddedAs> {
  const { contactId, channelId } = input;
  const { kind, value } = input.added;
  const { tx } = unit;
  const inserted = await tx
    .insertInto('contact_identity')
    .values({ kind, value, contact_id: contactId })
    .onConflict((conflict) => conflict.doNothing())
    .returning('contact_id')
    .executeTakeFirst();
  const owner =
    inserted ?? (await tx.selectFrom('contact_identity').select('contact_id').where('kind', '=', kind).where('value', '=', value).executeTakeFirst());
  const own = owner?.contact_id === contactId;
  await settle(unit, channelId, [{ contactId, kind, value, given: true, own, name: input.added.name ?? null }]);
  return inserted !== undefined ? 'ADDED' : own ? 'KNOWN' : 'TAKEN';
}

interface Change {
  readonly contactId: string;
  readonly kind: string;
  readonly value: string;
  /** By the contact, as an address to answer at; else a provider said that it has changed. */
  readonly given: boolean;
  readonly own: boolean;
  readonly name: string | null;
}

async function settle(unit: Unit, channelId: string, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return;
  const { tx } = unit;
  const distinct = [...new Map(changes.map((one) => [`${one.contactId} ${identityKey(one)}`, one])).values()];
  const fresh = await takePart(
    tx,
    channelId,
    distinct.filter((one) => one.own || one.given),
  );
  await fillNames(tx, distinct);
  // What was added here has this transaction's own time.
  const { rows } = await sql<Placed & { is_new: boolean }>`
    select n.at, coalesce(i.created_at = now() and i.contact_id = n."contactId", false) as is_new, c.id, c.ticket_id, c.place_id
    from json_to_recordset(${JSON.stringify(distinct.map((one, at) => ({ ...one, at })))}::json) as n (at int, "contactId" uuid, kind text, value text)
    left join contact_identity i on i.kind = n.kind and i.value = n.value
    left join lateral (
      select id, ticket_id, place_id from conversation where contact_id = n."contactId" and (channel_id = ${channelId} or origin_channel_id = ${channelId})
      order by last_message_at desc limit 1) c on true
    order by n.at`.execute(tx);
  for (const row of rows) {
    const change = distinct[row.at];
    if (change === undefined) continue;
    const said = change.own ? row.is_new : !change.given || fresh.has(`${change.contactId} ${identityKey(change)}`);
    if (!said) continue;
    unit.record({
      kind: 'CONTACT_CHANGED',
      channelId,
      conversationId: row.id,
      ticketId: row.ticket_id,
      placeId: row.place_id,
      why: WHY[`${change.given ? 'given' : 'changed'} ${change.own ? 'own' : 'taken'}`],
      data: { contactId: change.contactId, identity: change.kind },
    });
  }
}

interface Placed {
  readonly at: number;
  readonly id: string | null;
  readonly ticket_id: string | null;
  readonly place_id: string | null;
}

const WHY = {
  'given own': 'IDENTITY_ADDED',
  'given taken': 'IDENTITY_TAKEN',
  'changed own': 'IDENTITY_CHANGED',
  'changed taken': 'IDENTITY_CLASH',
} as const;

/** Whoever writes from there takes part in the contact's conversations on this channel. Those that did not before. */
async function takePart(tx: Tx, channelId: string, changes: readonly Change[]): Promise<ReadonlySet<string>> {
  if (changes.length === 0) return new Set();
  const { rows } = await sql<{ contact_id: string; kind: string; value: string; fresh: boolean }>`
    with written as (
      insert into participant (conversation_id, kind, value, given_at)
      select c.id, n.kind, n.value, case when n.given then now() end
      from json_to_recordset(${JSON.stringify(changes)}::json) as n ("contactId" uuid, kind text, value text, given boolean)
      join conversation c on c.contact_id = n."contactId" and (c.channel_id = ${channelId} or c.origin_channel_id = ${channelId})
      order by c.id, n.kind, n.value
      on conflict (conversation_id, kind, value) do update set given_at = coalesce(excluded.given_at, participant.given_at)
      returning new.conversation_id, new.kind, new.value, old.conversation_id is null as fresh
    )
    select c.contact_id, w.kind, w.value, bool_or(w.fresh) as fresh from written w join conversation c on c.id = w.conversation_id group by 1, 2, 3`.execute(
    tx,
  );
  return new Set(rows.flatMap((row) => (row.fresh ? [`${row.contact_id} ${identityKey(row)}`] : [])));
}

/** A name that came with it is the contact's where they had none. */
async function fillNames(tx: Tx, changes: readonly Change[]): Promise<void> {
  const named = changes.filter((one) => one.name !== null);
  if (named.length === 0) return;
  await sql`
    with nameless as (
      select id from contact where id = any(${named.map((one) => one.contactId)}::uuid[]) and name is null order by id for no key update
    )
    update contact c set name = n.name
    from nameless, json_to_recordset(${JSON.stringify(named)}::json) as n ("contactId" uuid, name text)
    where c.id = nameless.id and n."contactId" = c.id`.execute(tx);
}
