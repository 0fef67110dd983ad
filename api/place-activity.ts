import { sql } from 'kysely';
import type { Plugin } from 'graphql-yoga';
import type { Db } from '#db/database.ts';
import type { ApiContext } from './context.ts';

/** Milliseconds in which one process notes a user's activity in a place once, at most. Routing asks for the last two minutes (ROUTE-9). */
const PLACE_ACTIVITY_MS = 30_000;
const REMEMBERED = 10_000;

/** What a request concerns, told by whatever reads or changes it. A ticket's place is that of its conversation, which is asked for only afterwards. */
export interface Concerned {
  readonly places: Set<string>;
  readonly tickets: Set<string>;
}

/** Nothing yet. */
export function concernsNothing(): Concerned {
  return { places: new Set(), tickets: new Set() };
}

/**
 * Notes who has asked for something of a place, once the answer is ready and beside it: nobody waits for this. A request that concerns several places
 * is of none of them.
 */
export function usePlaceActivity({ db, onError }: { readonly db: Db; readonly onError: (error: unknown) => void }): Plugin<ApiContext> {
  const noted = new Map<string, number>();
  /** Whether it is time again; the oldest are forgotten beyond the bound. */
  const isDue = (what: string): boolean => {
    const now = Date.now();
    if (now - (noted.get(what) ?? -PLACE_ACTIVITY_MS) < PLACE_ACTIVITY_MS) return false;
    noted.delete(what);
    noted.set(what, now);
    const oldest = noted.keys().next();
    if (noted.size > REMEMBERED && oldest.done !== true) noted.delete(oldest.value);
    return true;
  };

  async function note(userId: string, { places, tickets }: Concerned): Promise<void> {
    const all = new Set(places);
    if (tickets.size > 0) for (const id of await placesOfTickets(db, [...tickets])) all.add(id);
    const [placeId] = all;
    if (placeId === undefined || all.size > 1 || !isDue(`${userId} ${placeId}`)) return;
    // Several processes may each think it is time: the row decides. A place or a user that is gone is nobody's business any more.
    await sql`
      insert into place_activity (place_id, user_id)
      select p.id, u.id from place p cross join app_user u where p.id = ${placeId} and u.id = ${userId}
      on conflict (place_id, user_id) do update set at = excluded.at where place_activity.at < now() - make_interval(secs => ${PLACE_ACTIVITY_MS / 1000})`.execute(
      db,
    );
  }

  return {
    onExecute({ args }) {
      return {
        onExecuteDone() {
          const { viewer, concerned }: ApiContext = args.contextValue;
          const { places, tickets } = concerned;
          if (places.size + tickets.size === 0 || places.size > 1) return;
          // A ticket that is looked at again and again costs a question only as often as its place would be noted.
          if (tickets.size === 1 && places.size === 0 && !isDue(`${viewer.userId} ${[...tickets][0]}`)) return;
          void note(viewer.userId, { places: new Set(places), tickets: new Set(tickets) }).catch(onError);
        },
      };
    },
  };
}

async function placesOfTickets(db: Db, ids: readonly string[]): Promise<readonly string[]> {
  const { rows } = await sql<{ asked_place: string }>`
    select distinct coalesce(c.place_id, (select p.id from place p where p.kind = 'HELP_DESK')) as asked_place
    from ticket t left join conversation c on c.id = t.conversation_id where t.id = any(${[...ids]}::uuid[])`.execute(db);
  return rows.map((row) => row.asked_place);
}
