import type { Identity } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';

/** One string for an identity. */
export function identityKey(identity: { readonly kind: string; readonly value: string }): string {
  return `${identity.kind}:${identity.value}`;
}

/** One more identity of the contact whom `contact` is known by. */
export interface AddedIdentity {
  readonly contact: Identity;
  readonly added: Identity;
  /** Whoever comes with it is recognised by it from now on; else it is only looked up. */
  readonly links: boolean;
}

/**
 * The contact of each identity; unknown ones get one. The primary key over identities makes it one contact however many arrive at once, on however many
 * channels (MODEL-3): who loses the race drops its own and takes the winner's. Identities are written in one order everywhere, so that two never wait for each other;
 * therefore those that are only `added` to a contact are written in the same statement, as are those `proven` to be of a contact who is there and held (by
 * identity, the contact's id). One of these that somebody has already stays theirs.
 */
export async function ensureContacts(
  tx: Tx,
  identities: readonly Identity[],
  added: readonly AddedIdentity[] = [],
  proven: ReadonlyMap<string, string> = new Map(),
): Promise<ReadonlyMap<string, string>> {
  const wanted = new Map(identities.map((identity) => [identityKey(identity), identity]));
  const sorted = [...wanted.keys()]
    .toSorted()
    .map((key) => wanted.get(key))
    .filter((one) => one !== undefined);
  const everybody = [...sorted, ...added.flatMap((one) => [one.contact, one.added])];
  const known = await readContacts(tx, everybody);
  const missing = sorted.filter((identity) => !known.has(identityKey(identity)));
  const strangers = missing.filter((identity) => !proven.has(identityKey(identity)));
  const rows = strangers.map((identity) => ({ id: newId(), kind: identity.kind, value: identity.value, name: identity.name ?? null }));
  const own = missing.flatMap(({ kind, value }): IdentityRow[] => {
    const id = proven.get(identityKey({ kind, value }));
    return id === undefined ? [] : [{ id, kind, value }];
  });
  const ids = new Map([...known, ...[...rows, ...own].map((row) => [identityKey(row), row.id] as const)]);
  const links = [...own, ...linksOf(added, ids)];
  if (rows.length + links.length === 0) return known;
  const json = JSON.stringify(rows);
  await sql`insert into contact (id, name) select id, name from json_to_recordset(${json}::json) as n (id uuid, name text)`.execute(tx);
  const { rows: won } = await sql<{ kind: string; value: string }>`
    insert into contact_identity (kind, value, contact_id)
    select kind, value, id from json_to_recordset(${JSON.stringify([...rows, ...links])}::json) as n (id uuid, kind text, value text) order by kind, value
    on conflict do nothing returning kind, value`.execute(tx);
  const winners = new Set(won.map(identityKey));
  const lost = rows.filter((row) => !winners.has(identityKey(row)));
  // A statement of its own: under READ COMMITTED it sees what the winner has committed.
  const found = await readContacts(tx, everybody);
  await dropLosers(tx, lost, found);
  return lost.length > 0 && links.length > 0 ? readContacts(tx, everybody) : found;
}

interface IdentityRow {
  readonly id: string;
  readonly kind: string;
  readonly value: string;
}

/** What can be given to a contact: nobody has it, and whom it is added to is known, or begins here. */
function linksOf(added: readonly AddedIdentity[], known: ReadonlyMap<string, string>): IdentityRow[] {
  const ids = new Map(known);
  return added.flatMap(({ contact, added: { kind, value }, links }) => {
    if (!links) return [];
    const key = identityKey({ kind, value });
    const id = ids.get(identityKey(contact));
    if (id === undefined || ids.has(key)) return [];
    ids.set(key, id);
    return [{ id, kind, value }];
  });
}

/** What a loser was given goes to the winner with it. */
async function dropLosers(tx: Tx, lost: readonly IdentityRow[], found: ReadonlyMap<string, string>): Promise<void> {
  if (lost.length === 0) return;
  const pairs = lost.map((row) => ({ from: row.id, to: found.get(identityKey(row)) }));
  await sql`
    update contact_identity i set contact_id = n."to" from json_to_recordset(${JSON.stringify(pairs)}::json) as n ("from" uuid, "to" uuid)
    where i.contact_id = n."from" and n."to" is not null`.execute(tx);
  const ids = lost.map((row) => row.id);
  // A winner who was erased in the same moment leaves nobody to give it to.
  await sql`delete from contact_identity where contact_id = any(${ids}::uuid[])`.execute(tx);
  await sql`delete from contact where id = any(${ids}::uuid[])`.execute(tx);
}

/** Holds the contacts that are known of these already against being erased, before any conversation is locked; later they are found held. */
export async function holdContacts(tx: Tx, identities: readonly Identity[]): Promise<void> {
  await readContacts(tx, identities);
}

/** Holds the contact of a conversation against being erased, before the conversation is locked. */
export async function holdContactOf(tx: Tx, conversationId: string): Promise<void> {
  await sql`select 1 from contact p join conversation c on c.contact_id = p.id where c.id = ${conversationId} for key share of p`.execute(tx);
}

async function readContacts(tx: Tx, identities: readonly Identity[]): Promise<Map<string, string>> {
  if (identities.length === 0) return new Map();
  // Held until the commit, so that none of them is erased meanwhile (OPS-9); one that just was is passed over.
  const { rows } = await sql<{ kind: string; value: string; contact_id: string }>`
    select i.kind, i.value, i.contact_id from contact_identity i
    join contact c on c.id = i.contact_id and c.erased_at is null
    join unnest(${identities.map((one) => one.kind)}::text[], ${identities.map((one) => one.value)}::text[]) as w (kind, value)
      on w.kind = i.kind and w.value = i.value
    order by c.id for key share of c`.execute(tx);
  return new Map(rows.map((row) => [identityKey(row), row.contact_id]));
}
