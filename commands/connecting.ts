import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import type { ChannelConnectingTable } from '#db/schema.ts';
import type { Selectable } from 'kysely';
import { openSecrets, sealSecrets, SecretsUnreadable, validateSettings, type LoadedChannel, type ValidSettings } from './channel-settings.ts';
import { HELD_SECONDS, tellProvider, type ContextFor, type Told } from './provider-calls.ts';
import { AddressTaken, ChangedMeanwhile } from './refusals.ts';
import type { Keys } from './secrets.ts';

/** What connecting needs besides the transaction. */
interface Deps {
  readonly plugins: readonly Plugin[];
  readonly keys: Keys;
}

/** A channel whose provider has said yes; `connectChannel` makes it one. */
export interface PreparedConnection {
  readonly key: string;
  /** Of the row that waits; null: its plugin asks nobody, so there is none. */
  readonly connectingId: string | null;
}

/**
 * The part of connecting that asks the provider: credentials, webhooks. Called before the transaction, for a network is slow. Meanwhile the channel
 * stands in a table of its own, so that handshakes reach it and what its plugin keeps is kept, and the address is held; should this process die,
 * what the provider was told is taken back. Throws `ProviderRefused`, `InvalidInput`, `AddressTaken`; nothing is left then.
 */
export async function prepareConnection(
  db: Db,
  deps: Deps,
  input: { readonly plugin: Plugin; readonly name: string; readonly placeId: string; readonly settings: unknown; readonly key: string },
  contextFor: ContextFor,
): Promise<PreparedConnection> {
  const { plugin, key } = input;
  const valid = await validateSettings(plugin, input.settings);
  if (plugin.connect === undefined) return { key, connectingId: null };
  const address = plugin.address(valid.all);
  await undoOverdueOf(db, deps, { plugin: plugin.key, address, key }, contextFor);
  const id = newId();
  await begin(db, deps.keys, { id, address, valid, ...input });
  const info = { key, address, name: input.name, enabled: true, settings: valid.all };
  const told = await tellProvider('connect', { db, keys: deps.keys }, plugin, { id, key, info }, contextFor);
  if (told.kind === 'done') return { key, connectingId: id };
  if (told.kind === 'refused') {
    await db.deleteFrom('channel_connecting').where('id', '=', id).execute();
    throw told.refusal;
  }
  await undoConnection(db, deps, id, contextFor);
  throw told.error;
}

interface Begun {
  readonly id: string;
  readonly key: string;
  readonly plugin: Plugin;
  readonly name: string;
  readonly placeId: string;
  readonly address: string;
  readonly valid: ValidSettings;
}

/** Of any number at once one asks the provider; the others are told whose the address is, or is about to be (CH-2). */
async function begin(db: Db, keys: Keys, { id, key, plugin, name, placeId, address, valid }: Begun): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const row = await tx
      .insertInto('channel_connecting')
      .values({
        id,
        key,
        plugin: plugin.key,
        name,
        address,
        place_id: placeId,
        settings: JSON.stringify(valid.settings),
        secrets: sealSecrets(keys, key, valid.secrets),
        until: sql<Date>`now() + make_interval(secs => ${HELD_SECONDS})`,
      })
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst();
    // A statement of its own: it sees who was connected while the first one waited.
    const { rows } = await sql<{ key: string }>`
      select key from channel where plugin = ${plugin.key} and address = ${address} and disconnected_at is null
      union all select key from channel_connecting where ((plugin = ${plugin.key} and address = ${address}) or key = ${key}) and id <> ${id} limit 1`.execute(
      tx,
    );
    if (rows[0] !== undefined) throw new AddressTaken(rows[0].key);
    if (row === undefined) throw new ChangedMeanwhile('channel');
  });
}

/** Takes the row that waited, with what its plugin kept, in the transaction that makes it a channel. Throws `ChangedMeanwhile` where it was given up. */
export async function takeConnecting(tx: Tx, id: string): Promise<{ readonly id: string; readonly state: Buffer | null; readonly state_version: number }> {
  const row = await tx
    .deleteFrom('channel_connecting')
    .where('id', '=', id)
    .where('abandoned', '=', false)
    .returning(['id', 'state', 'state_version'])
    .executeTakeFirst();
  if (row === undefined) throw new ChangedMeanwhile('channel');
  return row;
}

/** Hours after its beginning until which a provider that cannot be reached is told again and again to forget a connection. */
const FORGET_HOURS = 24;

/**
 * Takes back a connection that came to nothing: the provider is told to forget it, and the address is free. Of two at once one does it. Where the provider
 * cannot be reached the row stays, and the worker's next run tells it; `last`: not then, for whoever connects the address again takes over what is there.
 */
export async function undoConnection(db: Db, deps: Deps, id: string, contextFor: ContextFor, last = false): Promise<void> {
  const row = await db
    .updateTable('channel_connecting')
    .set({ abandoned: true, until: sql<Date>`now() + make_interval(secs => ${HELD_SECONDS})` })
    .where('id', '=', id)
    .where((eb) => eb.or([eb('abandoned', '=', false), eb('until', '<', sql<Date>`now()`)]))
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) return;
  const told = await tellForget(db, deps, row, contextFor);
  if (told.kind === 'refused' && told.refusal.code === 'UNAVAILABLE' && !last) {
    const kept = await db
      .updateTable('channel_connecting')
      .set({ until: sql<Date>`now()` })
      .where('id', '=', id)
      .where(sql<boolean>`uuid_extract_timestamp(id) > now() - make_interval(hours => ${FORGET_HOURS})`)
      .returning('id')
      .executeTakeFirst();
    if (kept !== undefined) return;
  }
  await db.deleteFrom('channel_connecting').where('id', '=', id).where('abandoned', '=', true).execute();
}

/** Not at all where its secrets cannot be opened: nobody could tell the provider then, and the address must not be held for that. */
async function tellForget(db: Db, deps: Deps, row: Selectable<ChannelConnectingTable>, contextFor: ContextFor): Promise<Told> {
  const plugin = deps.plugins.find((one) => one.key === row.plugin);
  const loaded = readable(deps.keys, row);
  if (plugin?.disconnect === undefined || loaded === undefined) return { kind: 'done' };
  return tellProvider('disconnect', { db, keys: deps.keys }, plugin, { id: row.id, key: row.key, info: loaded.info }, contextFor);
}

/** Takes back up to `limit` connections whose process died, or whose provider could not be told before. Returns how many. */
export async function undoOverdue(db: Db, deps: Deps, contextFor: ContextFor, limit: number): Promise<number> {
  const rows = await db
    .selectFrom('channel_connecting')
    .select('id')
    .where('until', '<', sql<Date>`now()`)
    .orderBy('until')
    .limit(limit)
    .execute();
  for (const { id } of rows) await undoConnection(db, deps, id, contextFor);
  return rows.length;
}

async function undoOverdueOf(db: Db, deps: Deps, of: { plugin: string; address: string; key: string }, contextFor: ContextFor): Promise<void> {
  const rows = await db
    .selectFrom('channel_connecting')
    .select('id')
    .where('until', '<', sql<Date>`now()`)
    .where((eb) => eb.or([eb.and([eb('plugin', '=', of.plugin), eb('address', '=', of.address)]), eb('key', '=', of.key)]))
    .execute();
  for (const { id } of rows) await undoConnection(db, deps, id, contextFor, true);
}

/** Channels that are being connected now, by key or of a plugin, for doors: their handshakes come before they are channels. */
export async function loadConnecting(db: Db, keys: Keys, by: { readonly key: string } | { readonly plugin: string }): Promise<readonly LoadedChannel[]> {
  let query = db.selectFrom('channel_connecting').selectAll().where('abandoned', '=', false);
  query = 'key' in by ? query.where('key', '=', by.key) : query.where('plugin', '=', by.plugin);
  return (await query.orderBy('id').execute()).flatMap((row) => readable(keys, row) ?? []);
}

/** Undefined: its secrets cannot be opened. */
function readable(keys: Keys, row: Selectable<ChannelConnectingTable>): LoadedChannel | undefined {
  try {
    return toLoaded(keys, row);
  } catch (error) {
    if (error instanceof SecretsUnreadable) return undefined;
    throw error;
  }
}

function toLoaded(keys: Keys, row: Selectable<ChannelConnectingTable>): LoadedChannel {
  return {
    id: row.id,
    key: row.key,
    plugin: row.plugin,
    placeId: row.place_id,
    connected: false,
    info: {
      key: row.key,
      address: row.address,
      name: row.name,
      enabled: true,
      settings: { ...row.settings, ...openSecrets(keys, row.key, row.secrets) },
    },
  };
}
