import type { Identity, VisibleMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { StoredQuickReply } from '#db/schema.ts';

/** At most so many messages come with one look back. */
export const HISTORY_PAGE = 100;

/** A visitor on one channel. */
export interface VisitorRef {
  readonly channelId: string;
  readonly visitor: Pick<Identity, 'kind' | 'value'>;
}

/** Seconds: so long before a message the transaction of another may have begun that was committed only after it was shown. None takes longer than 30 s. */
export const LATE_SECONDS = 60;

/**
 * What a visitor and we have said to each other on this channel, in order of arrival, after one of these messages or from the start. Comments are not
 * for them, and neither is what went by another channel: whoever is at this page has not shown that they read that mailbox. An id that is none
 * of their own messages counts as none.
 *
 * `late`: also what came into their other conversations in the last minute before that message. Messages of two conversations are not committed in the order of their
 * arrival, so of what came before the message a page was shown last, something may have been there only afterwards. What a page was shown already it knows by its id.
 */
export async function visitorHistory(db: Db, { channelId, visitor }: VisitorRef, after?: string, late = false): Promise<readonly VisibleMessage[]> {
  const afterId = after !== undefined && UUID.test(after) ? after : null;
  const { rows } = await sql<VisibleRow>`
    with theirs as (
      select c.id from contact_identity i join conversation c on c.contact_id = i.contact_id where i.kind = ${visitor.kind} and i.value = ${visitor.value}
    ), shown as (
      select a.arrival, a.conversation_id, (select min(e.at) from event e where ${begunWith('a')}) as at from message a
      where a.id = ${afterId}::uuid and a.conversation_id in (select id from theirs) and a.channel_id = ${channelId} and a.direction <> 'COMMENT'
    )
    select ${COLUMNS} from message m left join app_user u on u.id = m.author_user_id
    where m.conversation_id in (select id from theirs) and m.channel_id = ${channelId} and m.direction <> 'COMMENT'
      and (m.arrival > coalesce((select arrival from shown), 0)
        or (${late} and m.conversation_id <> (select conversation_id from shown) and exists (
          select from event e where ${begunWith('m')} and e.at > (select at from shown) - make_interval(secs => ${LATE_SECONDS}))))
    order by m.arrival limit ${HISTORY_PAGE}`.execute(db);
  return rows.map(visible);
}

/** What of a batch of events concerns visitors, as the rows are now. */
export interface VisitorNews {
  /** By conversation: who its contact is, by each of their identities. */
  readonly visitors: ReadonlyMap<string, readonly Pick<Identity, 'kind' | 'value'>[]>;
  /** By conversation, in order of arrival. */
  readonly messages: ReadonlyMap<string, readonly ArrivedMessage[]>;
  /** Names of users by id. */
  readonly names: ReadonlyMap<string, string>;
}

export interface ArrivedMessage {
  readonly channelId: string;
  readonly arrival: number;
  readonly message: VisibleMessage;
}

export interface NewsQuestion {
  readonly conversationIds: readonly string[];
  readonly messageIds: readonly string[];
  readonly userIds: readonly string[];
  /** The last event read. */
  readonly readTo: { readonly xid: string; readonly id: number } | null;
}

/**
 * One statement, whatever the batch. Besides the messages that are asked for it brings those of the same conversations that are committed while their events can not be
 * read yet: an event waits for every older transaction, so the feed may bring an earlier message after a later one, and a page that is cut off
 * between the two and goes on behind the later would never be shown the earlier.
 */
export async function readVisitorNews(db: Db, question: NewsQuestion): Promise<VisitorNews> {
  const { conversationIds, messageIds, userIds, readTo } = question;
  const { rows } = await sql<NewsRow>`
    with said as (
      select unnest(${[...messageIds]}::uuid[]) as id
      union
      select e.message_id from event e
      where (e.xid, e.id) > (${readTo?.xid ?? HIGHEST_XID}::xid8, ${readTo?.id ?? 0}::bigint) and e.message_id is not null
        and e.conversation_id = any(${[...conversationIds]}::uuid[])
    )
    select
      (select json_agg(json_build_object('conversation', c.id, 'kind', i.kind, 'value', i.value))
        from conversation c join contact_identity i on i.contact_id = c.contact_id where c.id = any(${[...conversationIds]}::uuid[])) as visitors,
      (select json_agg(row_to_json(one) order by one.arrival) from (
        select m.conversation_id, m.channel_id, m.arrival, ${COLUMNS} from message m left join app_user u on u.id = m.author_user_id
        where m.id in (select id from said) and m.channel_id is not null and m.direction <> 'COMMENT') one) as messages,
      (select json_agg(json_build_object('id', id, 'name', name)) from app_user where id = any(${[...userIds]}::uuid[])) as names`.execute(db);
  const [row] = rows;
  return {
    visitors: grouped(row?.visitors ?? [], (one) => one.conversation),
    messages: new Map(
      [...grouped(row?.messages ?? [], (one) => one.conversation_id)].map(([id, some]) => [
        id,
        some.map((one) => ({ channelId: one.channel_id, arrival: one.arrival, message: visible(one) })),
      ]),
    ),
    names: new Map((row?.names ?? []).map(({ id, name }) => [id, name])),
  };
}

/** The visitor's open conversation on this channel; the newest where there are several. */
export async function openConversation(db: Db, { channelId, visitor }: VisitorRef): Promise<string | null> {
  const { rows } = await sql<{ id: string }>`
    select c.id from contact_identity i join conversation c on c.contact_id = i.contact_id
    where i.kind = ${visitor.kind} and i.value = ${visitor.value} and c.status = 'OPEN' and (c.channel_id = ${channelId} or c.origin_channel_id = ${channelId})
    order by c.last_message_at desc, c.id limit 1`.execute(db);
  return rows[0]?.id ?? null;
}

interface VisibleRow {
  readonly id: string;
  readonly direction: 'INBOUND' | 'OUTBOUND';
  readonly provider_message_id: string | null;
  readonly author: string | null;
  readonly text: string;
  readonly html_safe: string | null;
  readonly quick_replies: readonly StoredQuickReply[] | null;
  readonly occurred_at: Date | string;
}

interface NewsRow {
  readonly visitors: readonly { readonly conversation: string; readonly kind: Identity['kind']; readonly value: string }[] | null;
  readonly messages: readonly (VisibleRow & { readonly conversation_id: string; readonly channel_id: string; readonly arrival: number })[] | null;
  readonly names: readonly { readonly id: string; readonly name: string }[] | null;
}

const COLUMNS = sql.raw('m.id, m.direction, m.provider_message_id, u.name as author, m.text, m.html_safe, m.quick_replies, m.occurred_at');
/** The event that says when a message was written into its conversation: of one that came in the message itself only knows when it was delivered. */
const begunWith = (message: 'a' | 'm') =>
  sql.raw(`e.conversation_id = ${message}.conversation_id and e.message_id = ${message}.id and e.kind in ('MESSAGE_RECEIVED', 'MESSAGE_WRITTEN')`);
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** No event has a later one. */
const HIGHEST_XID = '18446744073709551615';

function visible(row: VisibleRow): VisibleMessage {
  const ours = row.direction === 'OUTBOUND';
  return {
    id: row.id,
    from: ours ? 'us' : 'visitor',
    providerMessageId: ours ? null : row.provider_message_id,
    author: ours ? row.author : null,
    text: row.text,
    // Never the HTML as somebody sent it: it is shown in a page of the account's own.
    html: row.html_safe,
    quickReplies: (row.quick_replies ?? []).map(({ label, choice }) => ({ label, choice })),
    at: new Date(row.occurred_at).toISOString(),
  };
}

function grouped<Row>(rows: readonly Row[], by: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(by(row));
    if (group === undefined) groups.set(by(row), [row]);
    else group.push(row);
  }
  return groups;
}
