import type { Identity, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { lockTranscripts } from '#db/locks.ts';
import type { StoredIdentity } from '#db/schema.ts';
import { transcriptMail, type Transcript, type TranscriptLine } from '#domain/transcript.ts';
import { canStartWith } from './channel-settings.ts';
import { holdContactOf } from './contacts.ts';
import { reachedAt } from './recipients.ts';
import { NotFound, NotPossible } from './refusals.ts';
import type { Subject } from './subjects.ts';
import { queueSystemMail } from './system-mail.ts';
import type { Unit } from './unit.ts';

/** At most one by wish for a conversation in so long; whoever asks again meanwhile gets that one. */
export const ASK_AGAIN_SECONDS = 60;
/** The newest so many messages are told. */
export const TRANSCRIPT_MESSAGES = 500;
/** In a day, to one address, whatever conversations and channels they are of: whoever types a stranger's address can not fill their mailbox. */
export const TRANSCRIPTS_TO_ADDRESS = 3;
/** In a day, of one channel. */
export const TRANSCRIPTS_OF_CHANNEL = 200;

export type TranscriptAnswer = 'queued' | 'no-address' | 'no-conversation' | 'too-many';

/**
 * A visitor wishes their newest conversation on this channel mailed to the address that is known of them (CHAT-4). To one that was only typed goes what a person
 * has answered, nothing before: else it would be a mail of anybody's words to anybody's address.
 */
export async function requestTranscript(
  unit: Unit,
  plugins: readonly Plugin[],
  input: { readonly channelId: string; readonly visitor: Pick<Identity, 'kind' | 'value'> },
): Promise<TranscriptAnswer> {
  const { channelId, visitor } = input;
  const { rows } = await sql<{ id: string }>`
    select c.id from contact_identity i join conversation c on c.contact_id = i.contact_id
    where i.kind = ${visitor.kind} and i.value = ${visitor.value}
      and exists (select 1 from message m where m.conversation_id = c.id and m.channel_id = ${channelId} and m.direction = 'INBOUND')
    order by c.last_message_at desc, c.id limit 1`.execute(unit.tx);
  const [newest] = rows;
  if (newest === undefined) return 'no-conversation';
  const source = await lockSource(unit.tx, plugins, newest.id, channelId);
  if (source === undefined) return 'no-conversation';
  const answer = await mailOnce(unit, plugins, source, 'VISITOR');
  return answer === 'unanswered' ? 'no-conversation' : answer;
}

/** An agent has a conversation's transcript mailed to its visitor. Throws `NotFound`, `NotPossible` (`NO_TRANSCRIPT`: nothing of it is such a chat; `NO_ADDRESS`; `TOO_MANY_TRANSCRIPTS`). */
export async function sendTranscript(unit: Unit, plugins: readonly Plugin[], input: { readonly conversationId: string }): Promise<{ conversationId: string }> {
  const { conversationId } = input;
  const found = await unit.tx.selectFrom('conversation').select('id').where('id', '=', conversationId).executeTakeFirst();
  if (found === undefined) throw new NotFound('conversation', conversationId);
  const source = await lockSource(unit.tx, plugins, conversationId);
  if (source === undefined) throw new NotPossible('NO_TRANSCRIPT');
  const answer = await mailOnce(unit, plugins, source, 'AGENT');
  if (answer === 'too-many') throw new NotPossible('TOO_MANY_TRANSCRIPTS');
  if (answer !== 'queued') throw new NotPossible('NO_ADDRESS');
  return { conversationId };
}

/**
 * A conversation was just closed: where its channel's settings say so, its transcript is mailed, once for each closing. Not where the channel is off (CH-9).
 * What is left out for other reasons than an unknown address is told. The caller holds the contact, and the conversation's lock.
 */
export async function transcriptOnClose(unit: Unit, plugins: readonly Plugin[], subject: Pick<Subject, 'conversationId'>): Promise<void> {
  if (subject.conversationId === null) return;
  const source = await readSource(unit.tx, plugins, subject.conversationId);
  if (source === undefined || !source.onClose || !source.enabled) return;
  const answer = await mail(unit, plugins, source, 'CLOSED');
  if (answer !== 'unanswered' && answer !== 'too-many') return;
  const { conversationId, ticketId, placeId, channelId } = source;
  const why = answer === 'unanswered' ? 'TRANSCRIPT_UNANSWERED' : 'TOO_MANY_TRANSCRIPTS';
  unit.record({ kind: 'MESSAGE_LEFT_OUT', by: { actor: 'SYSTEM' }, channelId, conversationId, ticketId, placeId, why });
}

/** The chat that a conversation is, or began as. */
interface Source {
  readonly conversationId: string;
  readonly contactId: string;
  readonly ticketId: string | null;
  readonly placeId: string;
  readonly channelId: string;
  readonly channelName: string;
  readonly enabled: boolean;
  readonly onClose: boolean;
  readonly from: string | undefined;
}

async function lockSource(tx: Tx, plugins: readonly Plugin[], conversationId: string, channelId?: string): Promise<Source | undefined> {
  await holdContactOf(tx, conversationId);
  await tx.selectFrom('conversation').select('id').where('id', '=', conversationId).forNoKeyUpdate().execute();
  return readSource(tx, plugins, conversationId, channelId);
}

/** By the current channel, else by the one it began on; undefined: neither has transcripts, or there is nobody to send one to. */
async function readSource(tx: Tx, plugins: readonly Plugin[], conversationId: string, channelId: string | null = null): Promise<Source | undefined> {
  const { rows } = await sql<{
    contact_id: string;
    ticket_id: string | null;
    place_id: string;
    id: string;
    name: string;
    enabled: boolean;
    plugin: string;
    settings: Record<string, unknown>;
  }>`
    select c.contact_id, c.ticket_id, c.place_id, h.id, h.name, h.enabled, h.plugin, h.settings
    from conversation c join contact p on p.id = c.contact_id and p.erased_at is null
    join channel h on h.id in (c.channel_id, c.origin_channel_id) and h.disconnected_at is null
    where c.id = ${conversationId} and h.id = coalesce(${channelId}::uuid, h.id) order by h.id = c.channel_id desc`.execute(tx);
  for (const row of rows) {
    const wanted = plugins.find(({ key }) => key === row.plugin)?.transcripts?.(row.settings);
    if (wanted === undefined) continue;
    const { onClose, from } = wanted;
    const { contact_id: contactId, ticket_id: ticketId, place_id: placeId, id, name, enabled } = row;
    return { conversationId, contactId, ticketId, placeId, channelId: id, channelName: name, enabled, onClose, from };
  }
  return undefined;
}

/** `unanswered`: the address was only typed, and no person has answered yet. */
type Mailed = 'queued' | 'no-address' | 'unanswered' | 'too-many';

async function mailOnce(unit: Unit, plugins: readonly Plugin[], source: Source, by: 'VISITOR' | 'AGENT'): Promise<Mailed> {
  // Seen by whoever comes next, for the conversation is locked.
  const { rows } = await sql`
    select 1 from system_mail where kind = 'TRANSCRIPT' and conversation_id = ${source.conversationId}
      and created_at > clock_timestamp() - make_interval(secs => ${ASK_AGAIN_SECONDS}) limit 1`.execute(unit.tx);
  return rows.length > 0 ? 'queued' : mail(unit, plugins, source, 'ASKED', by);
}

async function mail(unit: Unit, plugins: readonly Plugin[], source: Source, why: Transcript['why'], by: 'VISITOR' | 'AGENT' = 'VISITOR'): Promise<Mailed> {
  const { tx } = unit;
  const to = await reachedAt(tx, source.conversationId, ['email-address']);
  if (to === null) return 'no-address';
  // An agent who sends it has read it.
  if (by === 'VISITOR' && !(await isAnsweredOrProven(tx, source, to))) return 'unanswered';
  const { lines, shortened } = await readLines(tx, source);
  if (lines.length === 0) return 'no-address';
  await lockTranscripts(tx);
  if (await isEnough(tx, source.channelId, to.value)) return 'too-many';
  await queueSystemMail(unit, [
    {
      kind: 'TRANSCRIPT',
      to: { contactId: source.contactId },
      recipient: to.value,
      ...transcriptMail({ channelName: source.channelName, lines, shortened, why }),
      conversationId: source.conversationId,
      ticketId: source.ticketId,
      channelId: await carrier(tx, plugins, source.from),
    },
  ]);
  return 'queued';
}

/** A person has answered in it, or the address is one by which its contact is recognised: mail came from there. */
async function isAnsweredOrProven(tx: Tx, { conversationId, contactId }: Source, { kind, value }: StoredIdentity): Promise<boolean> {
  const { rows } = await sql<{ holds: boolean }>`
    select exists (select 1 from contact_identity where contact_id = ${contactId} and kind = ${kind} and value = ${value})
      or exists (select 1 from message where conversation_id = ${conversationId} and direction = 'OUTBOUND' and author_user_id is not null) as holds`.execute(
    tx,
  );
  return rows[0]?.holds === true;
}

/** Whether a day's transcripts to that address, or of that channel, have gone out. All of them count, whoever had them sent; the caller holds the lock. */
async function isEnough(tx: Tx, channelId: string, address: string): Promise<boolean> {
  const { rows } = await sql<{ to_address: number; of_channel: number }>`
    select count(*) filter (where m.recipient = ${address}) as to_address,
      count(*) filter (where ${channelId}::uuid in (c.channel_id, c.origin_channel_id)) as of_channel
    from system_mail m left join conversation c on c.id = m.conversation_id
    where m.kind = 'TRANSCRIPT' and m.created_at > clock_timestamp() - interval '1 day'`.execute(tx);
  const [row] = rows;
  return Number(row?.to_address) >= TRANSCRIPTS_TO_ADDRESS || Number(row?.of_channel) >= TRANSCRIPTS_OF_CHANNEL;
}

/** The channel the settings name, where it is connected and can begin with an address; null: the system sender. */
async function carrier(tx: Tx, plugins: readonly Plugin[], key: string | undefined): Promise<string | null> {
  if (key === undefined) return null;
  const row = await tx.selectFrom('channel').select(['id', 'plugin']).where('key', '=', key).where('disconnected_at', 'is', null).executeTakeFirst();
  const plugin = plugins.find((one) => one.key === row?.plugin);
  return row !== undefined && plugin !== undefined && canStartWith(plugin, 'email-address') ? row.id : null;
}

/**
 * What was said on that channel: never a comment, and never what went by another, for a typed address does not prove that its owner had part in the chat,
 * nor a visitor that they had part in the mail.
 */
async function readLines(tx: Tx, { conversationId, channelId }: Source): Promise<{ readonly lines: readonly TranscriptLine[]; readonly shortened: boolean }> {
  const { rows } = await sql<{ direction: 'INBOUND' | 'OUTBOUND'; author: string | null; contact: string | null; text: string; at: Date }>`
    select m.direction, u.name as author, coalesce(p.name, m.sender ->> 'name') as contact, m.text, m.occurred_at as at
    from message m left join app_user u on u.id = m.author_user_id left join contact p on p.id = m.contact_id
    where m.conversation_id = ${conversationId} and m.channel_id = ${channelId} and m.direction <> 'COMMENT'
    order by m.occurred_at desc, m.arrival desc limit ${TRANSCRIPT_MESSAGES + 1}`.execute(tx);
  const lines = rows.slice(0, TRANSCRIPT_MESSAGES).map((row): TranscriptLine => {
    const inbound = row.direction === 'INBOUND';
    return { from: inbound ? 'visitor' : 'us', author: inbound ? row.contact : row.author, at: row.at, text: row.text };
  });
  return { lines: lines.toReversed(), shortened: rows.length > TRANSCRIPT_MESSAGES };
}
