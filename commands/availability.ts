import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';

/** Whether anybody who could be given something in this place is available now. */
export async function somebodyAvailable(db: Db | Tx, placeId: string): Promise<boolean> {
  const { rows } = await sql<{ somebody: boolean }>`
    select exists (
      select 1 from place_assignable a join app_user u on u.id = a.user_id
      where a.place_id = ${placeId} and u.availability = 'AVAILABLE' and u.seat = 'PAID' and u.deactivated_at is null
    ) as somebody`.execute(db);
  return rows[0]?.somebody === true;
}
