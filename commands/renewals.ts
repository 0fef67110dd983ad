import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { askCatchUp } from './catch-up-request.ts';
import { channelAnswers, RENEWALS_FAILED, setHealth, type Checked } from './channel-health.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** Hours after which what a channel holds at its provider is renewed; a run looks every few minutes, so that it is once a day. */
export const RENEW_AFTER_HOURS = 20;
/** Minutes between two tries of one channel that failed. */
export const RENEW_AGAIN_MINUTES = 55;
/** Seconds in which doors ask for one channel's renewal at most once. */
export const RENEW_ASK_SECONDS = 60;

/** A channel whose renewal is due. */
export interface DueRenewal {
  readonly id: string;
  readonly key: string;
  readonly plugin: string;
}

/**
 * Up to `limit` connected channels of these plugins whose subscriptions are due, or whose door asked for it, longest ago first; `channelKey`: only that one.
 * Taking one counts as its try, so that of two at once only one asks its provider.
 */
export async function takeChannelsToRenew(db: Db, plugins: readonly string[], limit: number, channelKey: string | null): Promise<readonly DueRenewal[]> {
  const { rows } = await sql<DueRenewal>`
    with due as materialized (
      select id from channel
      where disconnected_at is null and plugin = any(${[...plugins]}::text[]) and (${channelKey}::text is null or key = ${channelKey})
        and (
          (renew_asked_at is not null and coalesce(renew_tried_at < renew_asked_at, true))
          or (coalesce(renewed_at, connected_at) <= now() - make_interval(hours => ${RENEW_AFTER_HOURS})
            and coalesce(renew_tried_at <= now() - make_interval(mins => ${RENEW_AGAIN_MINUTES}), true))
        )
      order by coalesce(renewed_at, connected_at) limit ${limit} for no key update skip locked
    )
    update channel c set renew_tried_at = now() from due where c.id = due.id returning c.id, c.key, c.plugin`.execute(db);
  return rows;
}

/**
 * A delivery could not be judged for want of a key that only renewing brings: it is asked for, and who may wait for it is woken. At most once a minute, for
 * anybody may send something that can not be judged.
 */
export async function askRenewal(unit: Unit, channelId: string): Promise<void> {
  const asked = await unit.tx
    .updateTable('channel')
    .set({ renew_asked_at: sql<Date>`now()` })
    .where('id', '=', channelId)
    .where('disconnected_at', 'is', null)
    .where(sql<boolean>`coalesce(renew_asked_at < now() - make_interval(secs => ${RENEW_ASK_SECONDS}), true)`)
    .returning(['key', 'plugin'])
    .executeTakeFirst();
  if (asked !== undefined) unit.wake({ kind: 'renewal', channelKey: asked.key, plugin: asked.plugin });
}

/**
 * Writes what became of a renewal. Failing again and again is trouble, for sooner or later nothing comes in any more; once it succeeds after that, what was
 * missed is fetched where it can be (CH-4, EMAIL-9).
 */
export async function settleRenewal(db: Db, channelId: string, outcome: Checked, { catchesUp }: { readonly catchesUp: boolean }): Promise<Committed<void>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit) => {
    const before = await unit.tx
      .selectFrom('channel')
      .select(['renew_failures', 'health'])
      .where('id', '=', channelId)
      .where('disconnected_at', 'is', null)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (before === undefined) return;
    if (outcome.kind === 'good') {
      await unit.tx
        .updateTable('channel')
        .set({ renewed_at: sql<Date>`now()`, renew_asked_at: null, renew_failures: 0 })
        .where('id', '=', channelId)
        .execute();
      await channelAnswers(unit, channelId);
      if (before.renew_failures > 0 && catchesUp) await askCatchUp(unit, channelId, 'gap');
      return;
    }
    const failures = before.renew_failures + 1;
    await unit.tx.updateTable('channel').set({ renew_failures: failures }).where('id', '=', channelId).execute();
    if (outcome.kind === 'lost') return setHealth(unit, channelId, 'DISCONNECTED', outcome.reason);
    // One that is lost is not less lost because it can not be asked.
    if (before.health !== 'CONNECTED' || failures < RENEWALS_FAILED) return;
    await setHealth(unit, channelId, 'DEGRADED', `not renewed: ${outcome.kind === 'unreachable' ? outcome.reason : 'the plugin failed unexpectedly'}`);
  });
}
