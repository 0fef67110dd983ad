import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { Health } from '#db/schema.ts';
import { askCatchUp } from './catch-up-request.ts';
import { notifyHealth } from './notifications.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** The channel's health as the provider, a failed send or a check tells it: the row is the compare-and-set, so admins are told once a change (CH-4). */
export async function setHealth(unit: Unit, channelId: string, health: Health, reason: string | null): Promise<void> {
  if (health === 'CONNECTED') return channelAnswers(unit, channelId);
  const changed = await unit.tx
    .updateTable('channel')
    .set({ health, health_reason: reason === null || reason === '' ? 'unknown' : reason, health_since: sql<Date>`now()`, outage: true })
    .where('id', '=', channelId)
    .where('health', '<>', health)
    .where('disconnected_at', 'is', null)
    .returning(['id', 'key', 'name', 'health_reason'])
    .executeTakeFirst();
  if (changed === undefined) return;
  unit.record({ kind: 'CHANNEL_HEALTH_CHANGED', channelId, placeId: null, why: health });
  await notifyHealth(unit, changed, health, changed.health_reason);
}

/** Renewals in a row that failed, after which that is trouble, which only a renewal that succeeds ends. */
export const RENEWALS_FAILED = 3;

/** A provider that takes a message, or says so, is there again: what waited for it goes on (CH-4). */
export async function channelAnswers(unit: Unit, channelId: string): Promise<void> {
  const back = await unit.tx
    .updateTable('channel')
    .set({ health: 'CONNECTED', health_reason: null, health_since: sql<Date>`now()`, send_after: sql<Date>`now()` })
    .where('id', '=', channelId)
    .where('health', '<>', 'CONNECTED')
    .where((eb) => eb.or([eb('health', '=', 'DISCONNECTED'), eb('renew_failures', '<', RENEWALS_FAILED)]))
    .where('disconnected_at', 'is', null)
    .returning(['id', 'key', 'name', 'plugin'])
    .executeTakeFirst();
  if (back === undefined) return;
  unit.record({ kind: 'CHANNEL_HEALTH_CHANGED', channelId, placeId: null, why: 'CONNECTED' });
  await notifyHealth(unit, back, 'CONNECTED', null);
  const waiting = await unit.tx
    .selectFrom('outbound')
    .select('conversation_id')
    .distinct()
    .where('channel_id', '=', channelId)
    .where('state', '=', 'QUEUED')
    .execute();
  for (const { conversation_id: conversationId } of waiting) unit.wake({ kind: 'outbox', conversationId, channelKey: back.key, plugin: back.plugin });
}

/** Minutes between two checks of one channel. */
export const CHECK_EVERY_MINUTES = 10;

/**
 * Up to `limit` connected channels of these plugins whose check is due, longest ago first. Taking one counts as its check, so that of two at once only one
 * asks its provider.
 */
export async function takeChannelsToCheck(
  db: Db,
  plugins: readonly string[],
  limit: number,
): Promise<readonly { readonly id: string; readonly key: string; readonly plugin: string }[]> {
  const { rows } = await sql<{ id: string; key: string; plugin: string }>`
    with due as materialized (
      -- A little less than the time between two runs, or one that was late would make the next pass it over.
      select id from channel
      where disconnected_at is null and plugin = any(${[...plugins]}::text[]) and checked_at <= now() - make_interval(mins => ${CHECK_EVERY_MINUTES}) + interval '1 min'
      order by checked_at limit ${limit} for no key update skip locked
    )
    update channel c set checked_at = now() from due where c.id = due.id returning c.id, c.key, c.plugin`.execute(db);
  return rows;
}

/** What a check found. `unknown`: neither, it says nothing of the channel. */
export type Checked =
  | { readonly kind: 'good' }
  | { readonly kind: 'lost'; readonly reason: string }
  | { readonly kind: 'unreachable'; readonly reason: string }
  | { readonly kind: 'unknown' };

/** Failures in a row after which a provider that can not be reached is trouble. */
const UNREACHABLE_TWICE = 2;

/** Writes what a check found: one that could not reach the provider is no word yet, the second in a row is (CH-4). */
export async function settleCheck(db: Db, channelId: string, checked: Checked, { catchesUp }: { readonly catchesUp: boolean }): Promise<Committed<void>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit) => {
    if (checked.kind === 'unknown') return;
    const unreachable = checked.kind === 'unreachable';
    if (checked.kind === 'good' && (await outageIsOver(unit, channelId)) && catchesUp) await askCatchUp(unit, channelId, 'gap');
    const row = await unit.tx
      .updateTable('channel')
      .set((eb) => ({ check_failures: unreachable ? eb('check_failures', '+', 1) : 0, ...(unreachable ? { outage: true } : {}) }))
      .where('id', '=', channelId)
      .where('disconnected_at', 'is', null)
      .returning(['check_failures', 'health'])
      .executeTakeFirst();
    if (row === undefined) return;
    if (checked.kind === 'good') return channelAnswers(unit, channelId);
    if (checked.kind === 'lost') return setHealth(unit, channelId, 'DISCONNECTED', checked.reason);
    // One that is lost is not less lost because it can not be asked.
    if (row.health === 'CONNECTED' && row.check_failures >= UNREACHABLE_TWICE) await setHealth(unit, channelId, 'DEGRADED', checked.reason);
  });
}

/** Whether there was one, which is over with this: what was missed meanwhile may be asked for, and at once. */
async function outageIsOver(unit: Unit, channelId: string): Promise<boolean> {
  const was = await unit.tx
    .updateTable('channel')
    .set({ outage: false, catch_up_after: sql<Date>`now()` })
    .where('id', '=', channelId)
    .where('outage', '=', true)
    .where('disconnected_at', 'is', null)
    .returning('id')
    .executeTakeFirst();
  return was !== undefined;
}
