import type { Tx } from '#db/database.ts';
import { NotFound } from '#commands/refusals.ts';
import type { Visibility } from '../access.ts';

type Seen = 'contact' | 'conversation' | 'ticket' | 'message' | 'channel' | 'chatflow' | 'place';

/** What a mutation touches must be seen by whoever touches it; what is not seen is not found (API-6). */
export async function requireSeen(tx: Tx, visible: Visibility, what: Seen, id: string): Promise<void> {
  const row = await tx.selectFrom(what).select('id').where('id', '=', id).where(visible[what]).executeTakeFirst();
  if (row === undefined) throw new NotFound(what, id);
}

/** Who writes through a channel must have access to the place it writes in. */
export async function requireWorkingIn(tx: Tx, visible: Visibility, channelId: string): Promise<void> {
  const row = await tx.selectFrom('channel').select('place_id').where('id', '=', channelId).executeTakeFirst();
  if (row === undefined || !visible.placeIds.includes(row.place_id)) throw new NotFound('channel', channelId);
}
