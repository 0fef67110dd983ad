import { sql } from 'kysely';
import type { Db } from '#db/database.ts';

/** That many open tickets with conversation, contact, owner, team and three messages each, by set-based SQL. */
export async function seedTickets(db: Db, count: number): Promise<void> {
  await sql`
    with u as (
      insert into app_user (email, name, seat) select 'agent' || n || '@users.example', 'Agent ' || n, 'PAID' from generate_series(1, 40) n returning id, name),
    t as (insert into team (name) select 'Team ' || n from generate_series(1, 8) n returning id, name)
    insert into team_member (team_id, user_id, kind)
      select t.id, u.id, 'PRIMARY' from u join t on t.name = 'Team ' || (substr(u.name, 7)::int % 8 + 1)`.execute(db);
  await sql`
    with r as (insert into routing_rule (kind) select 'NOBODY' from generate_series(1, 5) returning id), numbered as (select id, row_number() over () as n from r)
    insert into channel (key, plugin, name, address, place_id, place, settings, default_pipeline_id, default_status_id, routing_rule_id)
      select 'bench-' || n.n, 'bench', 'Channel ' || n.n, 'bench-' || n.n, p.id, p.kind, '{}', s.pipeline_id, s.id, n.id
      from numbered n, place p, (select id, pipeline_id from ticket_status order by position limit 1) s where p.kind = 'HELP_DESK'`.execute(db);
  await db.transaction().execute(async (tx) => {
    await sql`
      create temporary table seed on commit drop as select n, uuidv7() as contact, uuidv7() as conversation, uuidv7() as ticket,
        now() - make_interval(secs => (${count} - n) * 30) as at, (select id from channel where key = 'bench-' || (n % 5 + 1)) as channel,
        case when n % 4 = 0 then null else (select id from app_user where email = 'agent' || (n % 40 + 1) || '@users.example') end as owner
      from generate_series(1, ${count}) n`.execute(tx);
    await sql`insert into contact (id, name) select contact, 'Contact ' || n from seed`.execute(tx);
    await sql`insert into contact_identity (kind, value, contact_id) select 'email-address', 'contact' || n || '@out.example', contact from seed`.execute(tx);
    await sql`
      insert into conversation (id, channel_id, origin_channel_id, place_id, place, contact_id, subject, ticket_id, started_at, last_message_at)
        select conversation, channel, channel, p.id, p.kind, contact, 'Subject ' || n, ticket, at, at from seed, place p where p.kind = 'HELP_DESK'`.execute(
      tx,
    );
    await sql`
      insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, owner_id, source, created_at)
        select ticket, conversation, 'Subject ' || n, s.pipeline_id, s.id, 'MEDIUM', owner, 'bench', at
        from seed, (select id, pipeline_id from ticket_status order by position limit 1) s order by n`.execute(tx);
    await sql`
      insert into message (conversation_id, channel_id, direction, provider_message_id, contact_id, text, occurred_at, received_at)
        select conversation, channel, 'INBOUND', 'm' || n || '.' || k, contact, 'Message ' || k || ' of ' || n || repeat(' and some more words', 20),
          at + make_interval(secs => k), at + make_interval(secs => k)
        from seed, generate_series(1, 3) k order by n, k`.execute(tx);
  });
  await sql`analyze`.execute(db);
}

/** The page as one would write it by hand, for this page alone: newest open tickets with all the same fields. */
export async function readPage(db: Db, limit: number): Promise<readonly object[]> {
  const { rows } = await sql<object>`
    select t.number, t.name, t.priority, t.created_at, s.name as status, c.name as contact, i.identities, u.name as owner, team.name as team,
      h.key as channel_key, h.name as channel, m.text as last_text, m.direction, m.occurred_at
    from ticket t
    join ticket_status s on s.id = t.status_id
    join conversation v on v.id = t.conversation_id
    join channel h on h.id = v.channel_id
    left join contact c on c.id = v.contact_id
    left join lateral (select array_agg(value order by created_at) as identities from contact_identity where contact_id = c.id) i on true
    left join app_user u on u.id = t.owner_id
    left join team_member tm on tm.user_id = u.id and tm.kind = 'PRIMARY'
    left join team on team.id = coalesce(t.team_id, tm.team_id)
    left join lateral (
      select text, direction, occurred_at from message where conversation_id = v.id and direction <> 'COMMENT' order by occurred_at desc, arrival desc limit 1) m on true
    where s.category = 'OPEN'
    order by t.created_at desc, t.id desc limit ${limit}`.execute(db);
  return rows;
}
