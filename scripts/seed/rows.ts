import { sql, type RawBuilder } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { Hour } from './hours.ts';
import type { Cast, Kind } from './people.ts';
import { ANSWERS, COMMENTS, FIRST_NAMES, FOLLOW_UPS, LAST_NAMES, QUESTIONS, SUBJECTS } from './texts.ts';

/** What the rows of a seeded inbox depend on; the same gives the same conversations. */
export interface Script {
  readonly seed: number;
  readonly cast: Cast;
  readonly customers: number;
  /** How often a conversation begins by which channel; they add up to one. */
  readonly shares: Readonly<Record<Kind, number>>;
  /** Of forms and chats those that went on by email. */
  readonly continued: Readonly<Record<'forms' | 'chats', number>>;
  /** The first moment, and the last. */
  readonly since: Date;
  readonly until: Date;
}

/** The bits a drawn number has. */
const BITS = 1_048_576;
/** Salts: every draw has its own, so that they do not depend on each other. */
const DRAW = {
  moment: 1, kind: 2, customer: 3, length: 4, goesOn: 5, step: 6, owned: 7, owner: 8, ticket: 9, closed: 10, topic: 11, team: 12, priority: 13, status: 14,
  direction: 20, delay: 21, words: 22, author: 23,
  idOfCustomer: 40, idOfConversation: 41, idOfTicket: 42, idOfMessage: 43, visitor: 44,
} as const; // prettier-ignore
/** Numbers of messages: those of a conversation follow its own, times this. */
const MESSAGES = 8;

/** Contacts with the numbers `from` to `to`, each with the address they write from. */
export async function writeCustomers(tx: Tx, { seed, since }: Script, from: number, to: number): Promise<void> {
  const n = sql`n`;
  await sql`
    create temporary table seeding on commit drop as
      select n, ${customerId(seed, since, n)} as id, ${pick(FIRST_NAMES, n)} || ' ' || ${pick(LAST_NAMES, sql`n / 7`)} as name
      from generate_series(${from}::bigint, ${to}::bigint) n`.execute(tx);
  await sql`insert into contact (id, name, created_at) select id, name, ${since} from seeding order by n`.execute(tx);
  await sql`
    insert into contact_identity (kind, value, contact_id, created_at)
      select 'email-address', ${customerAddress(seed, n)}, id, ${since} from seeding order by n`.execute(tx);
}

/** Conversations with the numbers `from` to `to`: with their messages, tickets and events, as if they had come one after the other. */
export async function writeConversations(tx: Tx, script: Script, hours: readonly Hour[], from: number, to: number): Promise<void> {
  await prepareConversations(tx, script, hours, from, to);
  await prepareMessages(tx, script);
  for (const table of ['seeding', 'seeding_message']) await sql`analyze ${sql.table(table)}`.execute(tx);
  await writeThreads(tx, script);
  await writeEvents(tx, script);
}

/** What each of them is, in a table of this transaction's own. */
async function prepareConversations(tx: Tx, script: Script, hours: readonly Hour[], from: number, to: number): Promise<void> {
  const { seed, cast, shares, continued, customers, since, until } = script;
  const n = sql`n`;
  const draw = (salt: number): RawBuilder<number> => drawn(seed, n, salt);
  const some = hours.filter(({ first, count }) => count > 0 && first <= to && first + count > from);
  const channel = (kind: Kind): RawBuilder<string> => sql`${cast.channels[kind]?.channelId ?? null}::uuid`;
  const span = sql`extract(epoch from ${until}::timestamptz - started_at)`;
  await sql`
    create temporary table seeding on commit drop as
    with begun as (
      select n, h.at + interval '1 hour' * ((n - h.first + ${draw(DRAW.moment)}) / h.count) as started_at,
        case when ${draw(DRAW.kind)} < ${shares.mails}::float8 then 'mails' when ${draw(DRAW.kind)} < ${shares.mails + shares.forms}::float8 then 'forms' else 'chats' end as kind,
        1 + (power(${draw(DRAW.customer)}, 1.6) * ${customers - 1}::int)::bigint as customer,
        ${lengthOf(draw(DRAW.length))} as drawn_length, 1 + (${draw(DRAW.topic)} * ${SUBJECTS.length}::int)::int % ${SUBJECTS.length}::int as topic
      from unnest(${some.map((hour) => hour.first)}::bigint[], ${some.map((hour) => hour.count)}::bigint[], ${some.map((hour) => hour.from.toISOString())}::timestamptz[])
          as h (first, count, at),
        lateral generate_series(greatest(h.first, ${from}::bigint), least(h.first + h.count - 1, ${to}::bigint)) n
    ), going as (
      select *, coalesce(${draw(DRAW.goesOn)} < case kind when 'forms' then ${continued.forms}::float8 when 'chats' then ${continued.chats}::float8 end, false) as goes_on,
        case kind when 'forms' then 2 when 'chats' then 3 end as goes_on_at
      from begun
    ), long as (
      select *, case when goes_on then greatest(drawn_length, goes_on_at) else drawn_length end as length from going
    ), paced as (
      -- Twenty minutes to thirty hours between two messages, and the last one is not in the future.
      select *, interval '1 second' * least(1200 * power(90, ${draw(DRAW.step)}), ${span} / length) as step,
        ${draw(DRAW.owned)} < case length when 1 then 0.45 else 0.9 end as owned,
        ${draw(DRAW.closed)} < case when ${span} > 28 * 86400 then 0.98 else 0.35 + 0.6 * ${span} / (28 * 86400) end as closed
      from long
    )
    select n, ${idAt(seed, sql`started_at`, n, DRAW.idOfConversation)} as id, kind, ${customerId(seed, since, sql`customer`)} as contact_id, customer,
      case kind when 'mails' then ${channel('mails')} when 'forms' then ${channel('forms')} else ${channel('chats')} end as origin_id,
      goes_on, goes_on_at, length, step, started_at, topic, case when kind <> 'chats' then ${pick(SUBJECTS, sql`topic - 1`)} || ' (' || n || ')' end as subject,
      case when owned then case when ${draw(DRAW.team)} < 0.7 then ${pick(cast.withAccess, sql`(${draw(DRAW.owner)} * 1000003)::int`)}
        else ${pick(cast.withoutAccess, sql`(${draw(DRAW.owner)} * 1000003)::int`)} end::uuid end as owner_id,
      case when owned and ${draw(DRAW.team)} < 0.1 then ${pick(cast.teamIds, n)}::uuid end as team_id,
      case when ${draw(DRAW.ticket)} < 0.3 then ${idAt(seed, sql`started_at + step * 0.1`, n, DRAW.idOfTicket)} end as ticket_id,
      case when closed then started_at + step * (length - 0.1 * ${draw(DRAW.closed)}) end as closed_at,
      case when kind = 'chats' then ${visitorOf(seed, n)} end as visitor
    from paced`.execute(tx);
}

/** Every message of theirs. From where a conversation goes on by email, all but comments come and go there. */
async function prepareMessages(tx: Tx, { seed, cast }: Script): Promise<void> {
  const q = sql`q`;
  const draw = (salt: number): RawBuilder<number> => drawn(seed, q, salt);
  const mail = cast.channels.mails?.channelId ?? null;
  await sql`
    create temporary table seeding_message on commit drop as
    with said as (
      select c.*, i, c.n * ${MESSAGES}::int + i as q from seeding c, lateral generate_series(1, c.length) i
    ), spoken as (
      select *, started_at + step * (i - 1 + case when i = 1 then 0 else 0.4 * ${draw(DRAW.delay)} end) as at,
        case when i = 1 then 'INBOUND' when goes_on and i = goes_on_at then 'OUTBOUND' when ${draw(DRAW.direction)} < 0.08 then 'COMMENT'
          when (i % 2 = 0) = (${draw(DRAW.direction)} < 0.85) then 'OUTBOUND' else 'INBOUND' end as direction,
        goes_on and i >= goes_on_at as by_mail
      from said
    ), placed as (
      select *, ${idAt(seed, sql`at`, q, DRAW.idOfMessage)} as message_id, case when by_mail then 'mails' else kind end as by_kind,
        case when direction = 'COMMENT' then null when by_mail then ${mail}::uuid else origin_id end as channel_id from spoken order by at
    )
    select n, i, id, message_id, contact_id, ticket_id, at, direction, channel_id, by_kind, subject, topic, nextval('message_arrival') as arrival,
      case when direction <> 'INBOUND' then coalesce(owner_id, ${pick(cast.withAccess, q)}::uuid) end as author_id,
      case direction when 'COMMENT' then ${pick(COMMENTS, q)} when 'OUTBOUND' then ${pick(ANSWERS, q)}
        else case when i = 1 then ${pick(QUESTIONS, sql`topic - 1`)} else ${pick(FOLLOW_UPS, q)} end end as text,
      case when direction = 'COMMENT' then null when by_kind = 'mails' then '<' || q || '.' || ${seed}::text || '@post.example>' else by_kind || '-' || q || '-' || ${seed}::text end as provider_id,
      case when by_kind = 'chats' then 'visitor' else 'email-address' end as party_kind,
      case when by_kind = 'chats' then visitor else ${customerAddress(seed, sql`customer`)} end as party
    from placed`.execute(tx);
}

async function writeThreads(tx: Tx, { seed, cast }: Script): Promise<void> {
  const mail = cast.channels.mails;
  const n = sql`n`;
  const draw = (salt: number): RawBuilder<number> => drawn(seed, n, salt);
  await sql`
    insert into contact_identity (kind, value, contact_id, created_at) select 'visitor', visitor, contact_id, started_at from seeding where visitor is not null order by n`.execute(
    tx,
  );
  await sql`
    insert into conversation (id, channel_id, origin_channel_id, place_id, place, contact_id, status, subject, ticket_id, owner_id, team_id, started_at, closed_at, last_message_at)
      select c.id, case when c.goes_on then ${mail?.channelId ?? null}::uuid else c.origin_id end, c.origin_id, p.id, p.kind, c.contact_id,
        case when c.closed_at is null then 'OPEN' else 'CLOSED' end, c.subject, c.ticket_id, case when c.ticket_id is null then c.owner_id end,
        case when c.ticket_id is null then c.team_id end, c.started_at, c.closed_at,
        m.last
      from seeding c join (select n, max(at) as last from seeding_message where direction <> 'COMMENT' group by n) m on m.n = c.n, place p
      where p.id = ${cast.inboxId} order by c.n`.execute(tx);
  await sql`
    insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, owner_id, team_id, source, created_at, closed_at)
      select c.ticket_id, c.id, coalesce(c.subject, left(${pick(QUESTIONS, sql`c.topic - 1`)}, 120)), h.default_pipeline_id,
        case when c.closed_at is null then s.open[1 + (${draw(DRAW.status)} * 1000003)::int % array_length(s.open, 1)] else s.closed end,
        case when ${draw(DRAW.priority)} < 0.15 then 'LOW' when ${draw(DRAW.priority)} < 0.85 then 'MEDIUM' when ${draw(DRAW.priority)} < 0.95 then 'HIGH' else 'URGENT' end,
        c.owner_id, c.team_id, h.key, c.started_at + c.step * 0.1, c.closed_at
      from seeding c join channel h on h.id = c.origin_id
      join (select pipeline_id, array_agg(id order by position) filter (where category = 'OPEN') as open, (array_agg(id order by position) filter (where category = 'CLOSED'))[1] as closed
        from ticket_status group by pipeline_id) s on s.pipeline_id = h.default_pipeline_id
      where c.ticket_id is not null order by c.n`.execute(tx);
  await sql`
    insert into message (id, conversation_id, channel_id, direction, provider_message_id, author_user_id, contact_id, sender, subject, text, occurred_at, received_at, arrival)
      select message_id, id, channel_id, direction, provider_id, author_id, case when direction = 'INBOUND' then contact_id end,
        case when direction = 'INBOUND' then jsonb_build_object('kind', party_kind, 'value', party) end, case when by_kind <> 'chats' and direction <> 'COMMENT' then subject end, text, at, at, arrival
      from seeding_message order by arrival`.execute(tx);
  await sql`
    insert into outbound (message_id, conversation_id, channel_id, arrival, kind, sender, recipient, state, attempt, queued_at, not_before, updated_at)
      select message_id, id, channel_id, arrival, 'REPLY', 'PERSON', jsonb_build_object('kind', party_kind, 'value', party), 'SENT', 1, at, at, at
      from seeding_message where direction = 'OUTBOUND' order by arrival`.execute(tx);
  await sql`
    insert into thread_key (channel_id, key, conversation_id)
      select channel_id, case when by_kind = 'chats' then 'visitor:' || party else provider_id end, id
      from seeding_message where direction <> 'COMMENT' and (by_kind <> 'chats' or i = 1) order by arrival`.execute(tx);
  await sql`insert into participant (conversation_id, kind, value) select distinct id, party_kind, party from seeding_message where direction <> 'COMMENT'`.execute(
    tx,
  );
  await sql`
    insert into form_submission (message_id, channel_id, contact_id, fields, submitted_at)
      select message_id, channel_id, contact_id, jsonb_build_array(
        jsonb_build_object('name', 'email', 'label', 'Your email address', 'value', party, 'hidden', false),
        jsonb_build_object('name', 'name', 'label', 'What is it about?', 'value', subject, 'hidden', false),
        jsonb_build_object('name', 'description', 'label', 'How can we help?', 'value', text, 'hidden', false)), at
      from seeding_message where by_kind = 'forms' and i = 1`.execute(tx);
}

/** One row for everything that happened, in the order in which it did. */
async function writeEvents(tx: Tx, { cast }: Script): Promise<void> {
  const mail = cast.channels.mails?.channelId ?? null;
  await sql`
    insert into event (kind, at, actor, actor_user_id, channel_id, conversation_id, ticket_id, message_id, user_id, place_id, why, data)
    select kind, at, actor, actor_user_id, channel_id, id, ticket_id, message_id, user_id, ${cast.inboxId}::uuid, why, data from (
      select 0 as rank, 'CONVERSATION_STARTED' as kind, started_at as at, 'CHANNEL' as actor, null::uuid as actor_user_id, origin_id as channel_id, id, null::uuid as ticket_id,
        null::uuid as message_id, null::uuid as user_id, 'FIRST_MESSAGE' as why, '{}'::jsonb as data from seeding
      union all
      select 1, case direction when 'INBOUND' then 'MESSAGE_RECEIVED' when 'OUTBOUND' then 'MESSAGE_WRITTEN' else 'COMMENT_WRITTEN' end, at,
        case direction when 'INBOUND' then 'CONTACT' else 'USER' end, author_id, channel_id, id, case when i > 1 then ticket_id end, message_id, null,
        case direction when 'OUTBOUND' then 'REPLY' end, '{}' from seeding_message
      union all
      select 2, 'TICKET_CREATED', started_at + step * 0.1, 'SYSTEM', null, origin_id, id, ticket_id, null, null, 'BY_HAND', '{}' from seeding where ticket_id is not null
      union all
      select 3, 'OWNER_CHANGED', started_at + step * 0.2, 'USER', owner_id, origin_id, id, ticket_id, null, owner_id, 'BY_HAND',
        jsonb_build_object('from', null, 'to', owner_id, 'fromTeam', null, 'toTeam', team_id) from seeding where owner_id is not null
      union all
      select 4, 'CURRENT_CHANNEL_CHANGED', m.at, 'USER', m.author_id, m.channel_id, m.id, m.ticket_id, null, null, 'REPLY', jsonb_build_object('from', c.origin_id, 'to', ${mail}::uuid)
        from seeding c join seeding_message m on m.n = c.n and m.i = c.goes_on_at where c.goes_on
      union all
      select 5, 'STATUS_CHANGED', c.closed_at, case when c.owner_id is null then 'SYSTEM' else 'USER' end, c.owner_id, case when c.goes_on then ${mail}::uuid else c.origin_id end, c.id, c.ticket_id, null, null,
        'BY_HAND', case when t.id is null then '{"category": "CLOSED"}'::jsonb else jsonb_build_object('from', h.default_status_id, 'to', t.status_id, 'category', 'CLOSED') end
        from seeding c join channel h on h.id = c.origin_id left join ticket t on t.id = c.ticket_id where c.closed_at is not null
    ) happened order by at, rank`.execute(tx);
}

/** A number of [0, 1) that depends on the seed, the row's number and the salt alone. */
function drawn(seed: number, n: RawBuilder<unknown>, salt: number): RawBuilder<number> {
  return sql`((hashint8extended(${n}, ${sql.lit(seed * 100 + salt)}::bigint) & ${sql.lit(BITS - 1)})::float8 / ${sql.lit(BITS)})`;
}

/** A UUID v7 of that moment, the same at every run of the seed. */
function idAt(seed: number, at: RawBuilder<unknown>, n: RawBuilder<unknown>, salt: number): RawBuilder<string> {
  // Sixteen digits whatever the hash: its uppermost bits are set, and not taken.
  const hash = sql`right(to_hex(hashint8extended(${n}, ${sql.lit(seed * 100 + salt)}::bigint) | (1::bigint << 62)), 15)`;
  return sql`(lpad(to_hex((extract(epoch from ${at}) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(${n} & 4095), 3, '0') || '8' || ${hash})::uuid`;
}

function customerId(seed: number, since: Date, n: RawBuilder<unknown>): RawBuilder<string> {
  return idAt(seed, sql`(${since}::timestamptz + interval '1 millisecond' * ${n})`, n, DRAW.idOfCustomer);
}

function customerAddress(seed: number, n: RawBuilder<unknown>): RawBuilder<string> {
  return sql`('customer' || ${n} || '.' || ${sql.lit(seed)}::text || '@example.com')`;
}

/** As a browser is known: 26 letters. */
function visitorOf(seed: number, n: RawBuilder<unknown>): RawBuilder<string> {
  return sql`left(translate(md5(${sql.lit(`${seed} ${DRAW.visitor} `)} || ${n}), '0189', 'ghij'), 26)`;
}

/** One to six messages; most conversations are short. */
function lengthOf(draw: RawBuilder<number>): RawBuilder<number> {
  return sql`case when ${draw} < 0.46 then 1 when ${draw} < 0.76 then 2 when ${draw} < 0.88 then 3 when ${draw} < 0.95 then 4 when ${draw} < 0.98 then 5 else 6 end`;
}

function pick(texts: readonly string[], index: RawBuilder<unknown>): RawBuilder<string> {
  return sql`(${[...texts]}::text[])[1 + (${index})::bigint % ${sql.lit(texts.length)}]`;
}
