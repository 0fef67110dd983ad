import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { RuleMethod } from '#db/schema.ts';

/** Users of a name, `<name>1` and on: paid seats, available, each with that limit on open tickets (null: none). Returns their ids in that order. */
export async function seedUsers(db: Db, name: string, count: number, capacity: number | null): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    insert into app_user (id, email, name, seat, capacity_total, capacity_written)
      select uuidv7(), ${name} || n || '@users.example', ${name} || n, 'PAID', ${capacity}::int, ${capacity}::int from generate_series(1, ${count}::int) n
      returning id`.execute(db);
  return rows.map(({ id }) => id);
}

/** A channel of the help desk whose rule names these users. */
export async function seedChannel(db: Db, key: string, userIds: readonly string[], method: RuleMethod = 'LEAST_BUSY'): Promise<string> {
  const { rows } = await sql<{ id: string }>`
    with rule as (insert into routing_rule (kind, method) values ('SPECIFIC', ${method}) returning id),
    target as (insert into routing_rule_target (rule_id, user_id) select rule.id, u.id from rule, unnest(${[...userIds]}::uuid[]) as u (id))
    insert into channel (key, plugin, name, address, place_id, place, settings, default_pipeline_id, default_status_id, routing_rule_id)
      select ${key}, 'none', ${key}, ${key}, p.id, p.kind, '{}', s.pipeline_id, s.id, rule.id
      from rule, place p, (select id, pipeline_id from ticket_status order by position limit 1) s where p.kind = 'HELP_DESK' returning id`.execute(db);
  return rows[0]?.id ?? '';
}

/** That many open tickets with their conversations: of these owners in turn, or of nobody and waiting to be decided. Returns the ids of the conversations. */
export async function seedTickets(db: Db, channelId: string, count: number, ownerIds: readonly string[] = []): Promise<string[]> {
  return db.transaction().execute(async (tx) => {
    await sql`
      create temporary table seed on commit drop as select n, uuidv7() as conversation, uuidv7() as ticket,
        (${[...ownerIds]}::uuid[])[1 + n % greatest(${ownerIds.length}::int, 1)] as owner
      from generate_series(1, ${count}::int) n`.execute(tx);
    await sql`
      insert into conversation (id, channel_id, origin_channel_id, place_id, place, ticket_id)
        select s.conversation, h.id, h.id, h.place_id, h.place, s.ticket from seed s, channel h where h.id = ${channelId}`.execute(tx);
    await sql`
      insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, owner_id, source, route_pending_since)
        select s.ticket, s.conversation, 'Ticket', h.default_pipeline_id, h.default_status_id, 'MEDIUM', s.owner, 'bench',
          case when s.owner is null then now() end
        from seed s, channel h where h.id = ${channelId}`.execute(tx);
    const { rows } = await sql<{ id: string }>`select conversation as id from seed order by n`.execute(tx);
    return rows.map(({ id }) => id);
  });
}

/** How many open tickets each of these has. */
export async function loadsOf(db: Db, userIds: readonly string[]): Promise<readonly number[]> {
  const { rows } = await sql<{ n: number }>`
    select count(t.id) as n from unnest(${[...userIds]}::uuid[]) as u (id) left join ticket t on t.owner_id = u.id and t.closed_at is null group by u.id`.execute(
    db,
  );
  return rows.map(({ n }) => n);
}
