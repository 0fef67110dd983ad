import type { Identity } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';

/** One string for an identity. */
export function identityKey(identity: { readonly kind: string; readonly value: string }): string {
  return `${identity.kind}:${identity.value}`;
}

/**
 * The contact of each identity; unknown ones get one. The primary key over identities makes it one contact however many arrive at once, on however many
 * channels (MODEL-3): who loses the race drops its own and takes the winner's. Identities are written in one order everywhere, so that two never wait for each other.
 */
export async function ensureContacts(tx: Tx, identities: readonly Identity[]): Promise<ReadonlyMap<string, string>> {
  const wanted = new Map(identities.map((identity) => [identityKey(identity), identity]));
  const sorted = [...wanted.keys()]
    .toSorted()
    .map((key) => wanted.get(key))
    .filter((one) => one !== undefined);
  const known = await readContacts(tx, sorted);
  const missing = sorted.filter((identity) => !known.has(identityKey(identity)));
  if (missing.length === 0) return known;
  const rows = missing.map((identity) => ({ id: newId(), kind: identity.kind, value: identity.value, name: identity.name ?? null }));
  const json = JSON.stringify(rows);
  await sql`insert into contact (id, name) select id, name from json_to_recordset(${json}::json) as n (id uuid, name text)`.execute(tx);
  const { rows: won } = await sql<{ contact_id: string }>`
    insert into contact_identity (kind, value, contact_id)
    select kind, value, id from json_to_recordset(${json}::json) as n (id uuid, kind text, value text) order by kind, value
    on conflict do nothing returning contact_id`.execute(tx);
  const winners = new Set(won.map((row) => row.contact_id));
  const lost = rows.filter((row) => !winners.has(row.id)).map((row) => row.id);
  if (lost.length > 0) await sql`delete from contact where id = any(${lost}::uuid[])`.execute(tx);
  // A statement of its own: under READ COMMITTED it sees what the winner has committed.
  return readContacts(tx, sorted);
}

/** Holds the contacts that are known of these already against being erased, before any conversation is locked; later they are found held. */
export async function holdContacts(tx: Tx, identities: readonly Identity[]): Promise<void> {
  await readContacts(tx, identities);
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
