import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { Cast, Kind } from '../seed/people.ts';

/** A channel that is to be moved. */
export interface Moving {
  readonly kind: Kind;
  readonly channelId: string;
  readonly channelKey: string;
  readonly address: string;
  readonly conversations: number;
}

/** The subject of the conversation that is made bad on purpose: a ticket of this name is refused. */
export const UNMOVABLE = 'unmovable';

/**
 * Makes one conversation of this channel bad: the ticket it is to get has a name that the table refuses, as a row does that an older version wrote. Returns its id.
 */
export async function spoilOne(db: Db, channelId: string): Promise<string> {
  await sql`alter table ticket add constraint made_bad check (name <> ${sql.lit(UNMOVABLE)}) not valid`.execute(db);
  const { rows } = await sql<{ id: string }>`
    update conversation set subject = ${UNMOVABLE} where id = (
      select id from conversation where channel_id = ${channelId} and ticket_id is null and status = 'OPEN' order by id limit 1 offset 10
    ) returning id`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('there is no conversation that could be made bad');
  return row.id;
}

/**
 * Keeps a copy of every conversation and ticket as they are before anything is moved, in a schema of its own (`chaos.kept`), to work out from it afterwards what each should have
 * become. `held`: of each channel every so many-th conversation; nobody writes in them meanwhile.
 */
export async function keepRows(db: Db, cast: Cast, { unmovableId, held }: { readonly unmovableId: string; readonly held: number }): Promise<readonly Moving[]> {
  await sql`create schema chaos`.execute(db);
  await sql`
    create table chaos.kept as
    select c.id, c.channel_id, h.key as channel_key, h.default_priority, c.status, c.started_at, c.closed_at, c.ticket_id, coalesce(t.owner_id, c.owner_id) as owner_id,
      coalesce(t.team_id, c.team_id) as team_id, t.number, t.name, t.pipeline_id, t.status_id, t.priority, t.source, t.created_at, t.closed_at as ticket_closed_at,
      coalesce(nullif(trim(c.subject), ''), (select left(trim(m.text), 120) from message m where m.conversation_id = c.id and m.direction <> 'COMMENT' order by m.arrival limit 1)) as words,
      (select count(*) from message m where m.conversation_id = c.id) as messages,
      row_number() over (partition by c.channel_id order by hashtext(c.id::text)) % ${sql.lit(held)} = 0 as held, c.id = ${unmovableId} as unmovable
    from conversation c join channel h on h.id = c.channel_id left join ticket t on t.id = c.ticket_id`.execute(db);
  await sql`create unique index on chaos.kept (id)`.execute(db);
  await sql`create table chaos.moment as select coalesce(max(arrival), 0) as arrival, (select coalesce(max(id), 0) from event) as event from message`.execute(
    db,
  );
  await sql`create table chaos.able as select id as user_id from app_user where id = any(${[...cast.withAccess]}::uuid[])`.execute(db);
  await sql`analyze chaos.kept`.execute(db);
  const moving: Moving[] = [];
  for (const [kind, made] of Object.entries(cast.channels)) {
    const { rows } = await sql<{ address: string; conversations: number }>`
      select h.address, (select count(*)::int from chaos.kept k where k.channel_id = h.id) as conversations from channel h where h.id = ${made.channelId}`.execute(
      db,
    );
    const [row] = rows;
    if (row !== undefined) moving.push({ kind: kind as Kind, channelId: made.channelId, channelKey: made.key, ...row });
  }
  return moving;
}

/** The ids that are held of a channel, in as many portions as asked for. */
export async function heldOf(db: Db, channelId: string, portions: number): Promise<readonly (readonly string[])[]> {
  const { rows } = await sql<{ id: string }>`select id from chaos.kept where channel_id = ${channelId} and held and not unmovable order by id`.execute(db);
  return Array.from({ length: portions }, (_, portion) => rows.filter((_row, index) => index % portions === portion).map(({ id }) => id));
}

/** A thread that can be answered: what a mail names as the one before it, and who writes it. */
export interface Thread {
  readonly conversationId: string;
  readonly key: string;
  readonly address: string;
}

/** Some of a channel's old threads which nobody holds. */
export async function threadsOf(db: Db, channelId: string, most: number): Promise<readonly Thread[]> {
  const { rows } = await sql<Thread>`
    select k.id as "conversationId", t.key, p.value as address from (
      select id from chaos.kept where channel_id = ${channelId} and not held and not unmovable order by hashtext(id::text) limit ${most}
    ) k join lateral (select key from thread_key t where t.conversation_id = k.id and t.channel_id = ${channelId} limit 1) t on true
    join lateral (select value from participant p where p.conversation_id = k.id and p.kind = 'email-address' limit 1) p on true`.execute(db);
  return rows;
}

/** Some of a channel's open conversations which nobody holds. */
export async function openOnes(db: Db, channelId: string, most: number): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from chaos.kept where channel_id = ${channelId} and not held and not unmovable and status = 'OPEN' order by hashtext(id::text || 'open') limit ${most}`.execute(
    db,
  );
  return rows.map(({ id }) => id);
}
