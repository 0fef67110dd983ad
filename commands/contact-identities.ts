import type { Identity, InboundEvent } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { StoredIdentity } from '#db/schema.ts';
import { ensureContacts, identityKey, type AddedIdentity } from './contacts.ts';
import type { Unit } from './unit.ts';

/** Whose the address was that a contact gave: nobody's (`GIVEN`), theirs (`KNOWN`), or another contact's, who keeps it (`TAKEN`). */
export type GivenAs = 'GIVEN' | 'KNOWN' | 'TAKEN';

/** What anybody can type without having it: only mail or a call from there proves whose it is. */
const TYPED: ReadonlySet<string> = new Set<Identity['kind']>(['email-address', 'phone-number']);

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

/** What a batch says of its contacts besides their messages. */
export function addedBy(events: readonly InboundEvent[]): readonly AddedIdentity[] {
  return events.flatMap((event) => pairOf(event) ?? []);
}

function pairOf(event: InboundEvent): AddedIdentity | undefined {
  if (event.type === 'identity-added') return { contact: event.contact, added: event.added, links: !TYPED.has(event.added.kind) };
  // The provider's word.
  if (event.type === 'identity-changed') return { contact: event.old, added: event.new, links: true };
  return undefined;
}

/**
 * Takes in that contacts are known by more than before. By what a provider vouches for they are recognised from now on, unless another contact has it. An
 * address or number that was typed proves nothing: it is one to answer at in this contact's conversations on this channel and no more, until mail from
 * there proves it (`Batch.prove`). A contact nobody knows gets nothing. The caller holds the contacts and those conversations.
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
    const whose = whoseIs(contacts.get(identityKey(pair.added)), contactId);
    return [{ contactId, kind, value, given, whose, name: pair.contact.name ?? pair.added.name ?? null }];
  });
  await settle(unit, channelId, changes);
}

/**
 * An address or number which a contact gave on this channel, to be answered at. The caller holds the contact, and did so before it locked any conversation
 * (`holdContactOf`).
 */
export async function giveAddress(
  unit: Unit,
  input: { readonly contactId: string; readonly channelId: string; readonly added: StoredIdentity },
): Promise<GivenAs> {
  const { contactId, channelId } = input;
  const { kind, value } = input.added;
  const owner = await unit.tx.selectFrom('contact_identity').select('contact_id').where('kind', '=', kind).where('value', '=', value).executeTakeFirst();
  const whose = whoseIs(owner?.contact_id, contactId);
  await settle(unit, channelId, [{ contactId, kind, value, given: true, whose, name: input.added.name ?? null }]);
  return GIVEN_AS[whose];
}

type Whose = 'theirs' | 'nobody' | 'another';

const GIVEN_AS = { theirs: 'KNOWN', nobody: 'GIVEN', another: 'TAKEN' } as const satisfies Readonly<Record<Whose, GivenAs>>;

function whoseIs(ownerId: string | undefined, contactId: string): Whose {
  if (ownerId === undefined) return 'nobody';
  return ownerId === contactId ? 'theirs' : 'another';
}

interface Change {
  readonly contactId: string;
  readonly kind: string;
  readonly value: string;
  /** By the contact, as an address to answer at; else a provider said that it has changed. */
  readonly given: boolean;
  readonly whose: Whose;
  readonly name: string | null;
}

async function settle(unit: Unit, channelId: string, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return;
  const { tx } = unit;
  const distinct = [...new Map(changes.map((one) => [`${one.contactId} ${identityKey(one)}`, one])).values()];
  const fresh = await takePart(
    tx,
    channelId,
    distinct.filter((one) => one.whose === 'theirs' || one.given),
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
    const said = change.whose === 'theirs' ? row.is_new : !change.given || fresh.has(`${change.contactId} ${identityKey(change)}`);
    if (!said) continue;
    unit.record({
      kind: 'CONTACT_CHANGED',
      channelId,
      conversationId: row.id,
      ticketId: row.ticket_id,
      placeId: row.place_id,
      why: WHY[change.given ? 'given' : 'changed'][change.whose],
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
  given: { theirs: 'IDENTITY_ADDED', nobody: 'IDENTITY_GIVEN', another: 'IDENTITY_TAKEN' },
  changed: { theirs: 'IDENTITY_CHANGED', nobody: 'IDENTITY_CLASH', another: 'IDENTITY_CLASH' },
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
