import { sql } from 'kysely';
import type { Unit } from './unit.ts';

/** Why the provider is asked: `news`, it said that there is something; `gap`, something was missed, and what is recovered is counted (EMAIL-9). */
export type CatchUpWhy = 'news' | 'gap';

/**
 * Has what the provider holds for a channel fetched: noted in this very transaction, done by `catch-up/<channel key>`. One asked for while another goes on
 * is done after it. A provider that wants patience keeps it. Of a disconnected channel nothing is fetched.
 */
export async function askCatchUp(unit: Unit, channelId: string, why: CatchUpWhy): Promise<void> {
  const channel = await unit.tx
    .updateTable('channel')
    .set((eb) => ({
      catch_up_asked: eb('catch_up_asked', '+', 1),
      catch_up_since: sql<Date>`coalesce(catch_up_since, now())`,
      catch_up_gap: sql<boolean>`catch_up_gap or ${why === 'gap'}`,
    }))
    .where('id', '=', channelId)
    .where('disconnected_at', 'is', null)
    .returning(['key', 'plugin'])
    .executeTakeFirst();
  if (channel !== undefined) unit.wake({ kind: 'catch-up', channelKey: channel.key, plugin: channel.plugin });
}
