import type { IdentityKind, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { chooseReplyChannel, replyChannels, type ReplyOption, type ReplySituation } from '#domain/reply-channel.ts';
import { settingPath } from './channel-settings.ts';
import { NoReplyChannel, NotFound, NotPossible, type Problem } from './refusals.ts';

/** What was read to choose by, and what was chosen. */
export interface ChosenChannel {
  readonly channelId: string;
  /** The conversation's current channel when it was read. */
  readonly currentId: string;
}

/** Chooses the channel an answer goes through; reads only. Throws `NotFound`, `NotPossible`, `NoReplyChannel`. */
export async function chooseChannel(
  tx: Tx,
  plugins: readonly Plugin[],
  reply: { readonly conversationId: string; readonly userId: string; readonly channelId: string | null },
): Promise<ChosenChannel> {
  const situation = (await readSituations(tx, plugins, reply.userId, [reply.conversationId])).get(reply.conversationId);
  if (situation === undefined) throw new NotFound('conversation', reply.conversationId);
  const choice = chooseReplyChannel(situation, reply.channelId);
  if ('channelId' in choice) return { channelId: choice.channelId, currentId: situation.current.channelId };
  switch (choice.refused) {
    case 'CHANNEL_UNKNOWN':
      throw new NotFound('channel', reply.channelId ?? '');
    case 'CHANNEL_CANNOT_START':
      throw await whyNot(tx, reply.userId, reply.channelId ?? '');
    case 'NONE_CONNECTED':
    case 'CHOOSE_ONE':
      throw new NoReplyChannel(choice.refused);
    default:
      throw new NotPossible(choice.refused);
  }
}

export interface ReplyChannelRow {
  readonly channelId: string;
  /** An answer that names no channel goes through this one. */
  readonly isDefault: boolean;
}

/** The channels through which a user may answer each of these conversations, in a number of statements that does not grow with them. */
export async function replyChannelsOf(
  db: Db | Tx,
  plugins: readonly Plugin[],
  userId: string,
  conversationIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ReplyChannelRow[]>> {
  const situations = await readSituations(db, plugins, userId, conversationIds);
  return new Map([...situations].map(([id, situation]) => [id, replyChannels(situation)]));
}

/** What is wrong with the channels that a channel's settings name: for answers, and to mail transcripts by. Empty: nothing, or they name none. */
export async function namedChannelProblems(db: Db | Tx, plugins: readonly Plugin[], plugin: Plugin, settings: unknown): Promise<readonly Problem[]> {
  const named = [
    [plugin.replyChannel?.(settings), plugin.capabilities.repliesThrough],
    [plugin.transcripts?.(settings).from, 'email-address'],
  ] as const;
  const problems = await Promise.all(
    named.map(async ([key, kind]) => (key === undefined || kind === undefined ? undefined : keyProblem(db, plugins, settings, key, kind))),
  );
  // One channel may be named for both: the first field that holds its key is told once.
  return [...new Map(problems.flatMap((one) => (one === undefined ? [] : [[one.path, one] as const]))).values()];
}

async function keyProblem(db: Db | Tx, plugins: readonly Plugin[], settings: unknown, key: string, kind: IdentityKind): Promise<Problem | undefined> {
  const row = await db.selectFrom('channel').select('plugin').where('key', '=', key).where('disconnected_at', 'is', null).executeTakeFirst();
  const capabilities = plugins.find((one) => one.key === row?.plugin)?.capabilities;
  if (capabilities?.outbound === 'start' && capabilities.identities[0] === kind) return undefined;
  return { path: settingPath(settings, key), message: `is not the key of a connected channel that can write to an ${kind}` };
}

interface ConversationSituation {
  readonly id: string;
  readonly channel_id: string;
  readonly key: string;
  readonly plugin: string;
  readonly settings: Record<string, unknown>;
  readonly connected: boolean;
  readonly worked_in: boolean;
  readonly kinds: string[];
  readonly here: boolean;
}

interface ThreadRow {
  readonly conversation_id: string;
  readonly id: string;
  readonly key: string;
  readonly plugin: string;
  readonly worked_in: boolean;
}

async function readSituations(
  db: Db | Tx,
  plugins: readonly Plugin[],
  userId: string,
  conversationIds: readonly string[],
): Promise<ReadonlyMap<string, ReplySituation>> {
  const byKey = new Map(plugins.map((plugin) => [plugin.key, plugin]));
  const starting = plugins.filter(({ capabilities }) => capabilities.outbound === 'start').map(({ key }) => key);
  const { rows } = await sql<ConversationSituation>`
    select c.id, c.channel_id, h.key, h.plugin, h.settings, h.disconnected_at is null as connected,
      exists (select 1 from place_member m where m.place_id = h.place_id and m.user_id = ${userId}) as worked_in,
      array(select i.kind from contact_identity i where i.contact_id = c.contact_id
        union select p.kind from participant p where p.conversation_id = c.id and p.given_at is not null) as kinds,
      exists (select 1 from contact_identity i join visitor_presence v on v.kind = i.kind and v.value = i.value
        where i.contact_id = c.contact_id and v.channel_id = h.id and v.here) as here
    from conversation c join channel h on h.id = c.channel_id
    where c.id = any(${[...conversationIds]}::uuid[])`.execute(db);
  const { rows: others } = await sql<{ id: string; key: string; plugin: string; worked_in: boolean }>`
    select h.id, h.key, h.plugin, exists (select 1 from place_member m where m.place_id = h.place_id and m.user_id = ${userId}) as worked_in
    from channel h where h.disconnected_at is null and h.plugin = any(${starting}::text[]) order by h.id`.execute(db);
  const { rows: written } = await sql<ThreadRow>`
    select c.id as conversation_id, h.id, h.key, h.plugin, exists (select 1 from place_member m where m.place_id = h.place_id and m.user_id = ${userId}) as worked_in
    from conversation c join channel h on h.id <> c.channel_id and h.disconnected_at is null
      and exists (select 1 from message m where m.conversation_id = c.id and m.channel_id = h.id and m.direction = 'INBOUND')
    where c.id = any(${[...conversationIds]}::uuid[]) order by h.id`.execute(db);
  const option = (row: Omit<ThreadRow, 'conversation_id'>): ReplyOption => ({
    channelId: row.id,
    key: row.key,
    connected: true,
    capabilities: byKey.get(row.plugin)?.capabilities ?? null,
    workedIn: row.worked_in,
  });
  const starters = others.map(option);
  const threads = Map.groupBy(written, (row) => row.conversation_id);
  return new Map(
    rows.map((row) => {
      const plugin = byKey.get(row.plugin);
      const current: ReplyOption = {
        channelId: row.channel_id,
        key: row.key,
        connected: row.connected,
        capabilities: plugin?.capabilities ?? null,
        workedIn: row.worked_in,
      };
      return [
        row.id,
        {
          current,
          preferredKey: plugin?.replyChannel?.(row.settings),
          visitorLeft: plugin?.capabilities.live === true && !row.here,
          contactKinds: row.kinds,
          threads: (threads.get(row.id) ?? []).map(option),
          starters,
        },
      ];
    }),
  );
}

/** Of a channel that was asked for and can not begin a conversation; one in whose place the user does not work is not found (API-6). */
async function whyNot(tx: Tx, userId: string, channelId: string): Promise<NotFound | NotPossible> {
  const row = await tx
    .selectFrom('channel')
    .innerJoin('place_member', 'place_member.place_id', 'channel.place_id')
    .select('disconnected_at')
    .where('channel.id', '=', channelId)
    .where('place_member.user_id', '=', userId)
    .executeTakeFirst();
  if (row === undefined) return new NotFound('channel', channelId);
  return new NotPossible(row.disconnected_at === null ? 'CHANNEL_CANNOT_START' : 'CHANNEL_DISCONNECTED');
}
