import { randomUUID } from 'node:crypto';
import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { changedSettings, loadChannel, openSecrets, SecretsUnreadable, type LoadedChannel } from './channel-settings.ts';
import { HELD_SECONDS, tellProvider, type ContextFor, type Told } from './provider-calls.ts';
import { ChangedMeanwhile, InvalidInput } from './refusals.ts';
import type { Keys } from './secrets.ts';

interface Deps {
  readonly plugins: readonly Plugin[];
  readonly keys: Keys;
}

/** The edit its provider was told of: the version it was made of, and the mark that nobody else tells the provider meanwhile. */
export interface PreparedUpdate {
  readonly version: number;
  readonly telling: string;
}

/** What of an edit a provider may want to know. */
export interface ToldEdit {
  readonly channelId: string;
  readonly expectedVersion?: number;
  readonly name?: string;
  readonly settings?: unknown;
}

/**
 * The part of editing that tells the provider what it shows itself. Called before the transaction, and only where the plugin wants to know. One edit of a
 * channel is told at a time: who comes meanwhile gets `ChangedMeanwhile`. Should this process die, the provider is told anew what is stored.
 * Throws `InvalidInput`, `ProviderRefused`; nothing has changed then. Its answer goes to `updateChannel`.
 */
export async function prepareUpdate(db: Db, deps: Deps, input: ToldEdit, contextFor: ContextFor): Promise<PreparedUpdate | undefined> {
  if (input.settings === undefined && input.name === undefined) return undefined;
  const found = await db
    .selectFrom('channel')
    .select('plugin')
    .where(sql<string>`id::text`, '=', input.channelId)
    .where('disconnected_at', 'is', null)
    .executeTakeFirst();
  const plugin = deps.plugins.find(({ key }) => key === found?.plugin);
  if (plugin?.update === undefined) return undefined;
  const telling = randomUUID();
  const channel = await db
    .updateTable('channel')
    .set({ telling, telling_until: sql<Date>`now() + make_interval(secs => ${HELD_SECONDS})` })
    .where('id', '=', input.channelId)
    .where('disconnected_at', 'is', null)
    .where((eb) => eb.or([eb('telling', 'is', null), eb('telling_until', '<', sql<Date>`now()`)]))
    .returningAll()
    .executeTakeFirst();
  if (channel === undefined) throw new ChangedMeanwhile('channel');
  const { id, key, address, enabled, version } = channel;
  const changed = await changedSettings(plugin, channel, openSecrets(deps.keys, key, channel.secrets), input.settings ?? {});
  if ('problems' in changed) {
    await release(db, id, telling);
    throw new InvalidInput(changed.problems);
  }
  const info = { key, address, enabled, name: input.name?.trim() ?? channel.name, settings: changed.all };
  const told = await tellProvider('update', { db, keys: deps.keys }, plugin, { id, key, info }, contextFor);
  if (told.kind === 'done') return { version, telling };
  if (told.kind === 'refused') {
    await release(db, id, telling);
    throw told.refusal;
  }
  await tellStored(db, deps, id, telling, contextFor);
  throw told.error;
}

/** Tells the provider what is stored, where it was told of an edit that then was not made. Where it can not be told now, the worker tries again. */
export async function tellStored(db: Db, deps: Deps, channelId: string, telling: string, contextFor: ContextFor): Promise<void> {
  await finish(db, channelId, telling, await tell(db, deps, channelId, 'update', contextFor));
}

/** Lets the provider know, after the commit: it unsubscribes. That it can not be told changes nothing; the worker tries once more. */
export async function tellDisconnected(db: Db, deps: Deps, channelId: string, telling: string, contextFor: ContextFor): Promise<void> {
  await finish(db, channelId, telling, await tell(db, deps, channelId, 'disconnect', contextFor));
}

/** Channels whose provider is still to be told how things stand, because who told it died or could not: taken by compare-and-set, told, and done with. Returns how many. */
export async function tellOverdue(db: Db, deps: Deps, contextFor: ContextFor, limit: number): Promise<number> {
  const telling = randomUUID();
  const { rows } = await sql<{ id: string; gone: boolean }>`
    with overdue as materialized (
      select id from channel where telling_until < now() order by telling_until limit ${limit} for no key update skip locked
    )
    update channel c set telling = ${telling}, telling_until = now() + make_interval(secs => ${HELD_SECONDS})
    from overdue where c.id = overdue.id returning c.id, c.disconnected_at is not null as gone`.execute(db);
  for (const { id, gone } of rows) {
    const told = await tell(db, deps, id, gone ? 'disconnect' : 'update', contextFor);
    // One that is gone is told once more and no oftener: a failure does not keep it.
    await (gone ? release(db, id, telling) : finish(db, id, telling, told));
  }
  return rows.length;
}

/** Not at all where the plugin has no such call, or where the address is another channel's by now. */
async function tell(db: Db, deps: Deps, channelId: string, what: 'update' | 'disconnect', contextFor: ContextFor): Promise<Told> {
  let channel: LoadedChannel | undefined;
  try {
    channel = await loadChannel(db, deps.keys, { id: channelId }, { disconnectedToo: true });
  } catch (error) {
    // One that cannot be told of must not keep the others waiting.
    if (error instanceof SecretsUnreadable) return { kind: 'unknown', error };
    throw error;
  }
  const plugin = deps.plugins.find(({ key }) => key === channel?.plugin);
  if (channel === undefined || plugin?.[what] === undefined) return { kind: 'done' };
  if (what === 'disconnect' && (await isConnectedAgain(db, channel.plugin, channel.info.address))) return { kind: 'done' };
  return tellProvider(what, { db, keys: deps.keys }, plugin, channel, contextFor);
}

async function isConnectedAgain(db: Db, plugin: string, address: string): Promise<boolean> {
  const { rows } = await sql`
    select 1 from channel where plugin = ${plugin} and address = ${address} and disconnected_at is null
    union all select 1 from channel_connecting where plugin = ${plugin} and address = ${address} limit 1`.execute(db);
  return rows.length > 0;
}

/** Seconds until a provider that could not be told is told again. */
const AGAIN_SECONDS = 60;

/** A provider that says no will say so again; one that could not be asked is asked later. */
async function finish(db: Db, channelId: string, telling: string, told: Told): Promise<void> {
  if (told.kind === 'done' || (told.kind === 'refused' && told.refusal.code === 'REJECTED')) return release(db, channelId, telling);
  await db
    .updateTable('channel')
    .set({ telling_until: sql<Date>`now() + make_interval(secs => ${AGAIN_SECONDS})` })
    .where('id', '=', channelId)
    .where('telling', '=', telling)
    .execute();
}

async function release(db: Db, channelId: string, telling: string): Promise<void> {
  await db.updateTable('channel').set({ telling: null, telling_until: null }).where('id', '=', channelId).where('telling', '=', telling).execute();
}
