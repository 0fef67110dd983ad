import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { MigrationHistory } from '#db/schema.ts';
import { quietWindow, VOLUME_HOURS, type HourCount, type QuietWindow } from '#domain/quiet-window.ts';
import { canStartWith } from './channel-settings.ts';
import { HELP_DESK_MEMBERS, membersOf, readReach } from './help-desk-reach.ts';
import {
  countConversations,
  countOwners,
  readSamples,
  takeCensus,
  type ConversationsToMove,
  type MoveSample,
  type OwnersWithoutAccess,
} from './migration-census.ts';
import { foretellDuration, type MoveDuration } from './migration-duration.ts';
import { eligibility, handOffs, namedBy, readBots, type HandOffLack, type MoveObstacle, type Named } from './migration-obstacles.ts';
import { WHAT_STAYS, type Irreversible } from './migration-words.ts';
import type { MigrationContext } from './migrations.ts';
import { askPlugin } from './plugin-says.ts';
import { NotFound } from './refusals.ts';
import { helpDeskId } from './subjects.ts';

/** What is asked to be foretold. What is left out is not chosen yet. */
export interface PreflightInput {
  readonly channelId: string;
  /** ALL unless given. With NONE nothing is moved but the channel. */
  readonly history?: MigrationHistory | null;
  /** Of the tickets that would be made; whether they fit is looked at when the move is started. */
  readonly openStatusId?: string | null;
  readonly closedStatusId?: string | null;
}

/**
 * What a move would do, in parts: each is read when it is first asked for, in a read-only transaction of its own, and once. Nothing is changed by it (MIG-6).
 * What several of them need is read for all of them together.
 */
export interface Preflight {
  /** What stands in the way; empty: it can be moved. */
  eligibility(): Promise<readonly MoveObstacle[]>;
  /** How many conversations would be moved. */
  conversations(): Promise<ConversationsToMove>;
  /** Whose conversations lose their owner, and whose tickets keep one who can not see them. */
  owners(): Promise<OwnersWithoutAccess>;
  /** Ids of users who see the channel's conversations where it lives now and would not in the help desk. */
  agents(): Promise<readonly string[]>;
  /** Whom the channel's rule, its chatflows and its plugin's settings name, and whom the help desk could give nothing. */
  routing(): Promise<readonly RoutingLack[]>;
  sla(): Promise<SlaPreflight>;
  /** Channels that are worth moving too: conversations that began on this one go on there, for agents answered by them. */
  alsoMove(): Promise<readonly AlsoMove[]>;
  volume(): Promise<InboundVolume>;
  duration(): Promise<MoveDuration>;
  /** Twenty conversations, across the cases. */
  samples(): Promise<readonly MoveSample[]>;
  irreversible(): Promise<readonly Irreversible[]>;
}

/** The parts in the order in which they are best shown while they come: what takes longest last. */
export const PREFLIGHT_PARTS = [
  'eligibility',
  'irreversible',
  'agents',
  'routing',
  'sla',
  'alsoMove',
  'conversations',
  'owners',
  'samples',
  'duration',
  'volume',
] as const satisfies readonly (keyof Preflight)[];
export type PreflightPart = (typeof PREFLIGHT_PARTS)[number];

/** Somebody who is named and whom the help desk could give nothing. */
export interface RoutingLack {
  readonly where: 'RULE' | 'DEFAULT_USER' | 'HAND_OFF' | 'SETTINGS';
  /** Of `HAND_OFF`. */
  readonly chatflowId: string | null;
  readonly step: string | null;
  /** With `teamId`: as a primary member of that team; null: it is about the team. */
  readonly userId: string | null;
  readonly teamId: string | null;
  readonly lack: HandOffLack;
}

export interface SlaPreflight {
  readonly policies: number;
  /** Without a policy no moved ticket gets a deadline. */
  readonly warning: 'NO_SLA_POLICY' | null;
}

export interface AlsoMove {
  readonly channelId: string;
  /** Conversations that began on the channel that is to be moved, and would stay behind in an inbox. */
  readonly conversations: number;
}

export interface InboundVolume {
  /** Each of the last 672 full hours, the oldest first. */
  readonly hours: readonly HourCount[];
  /** For as long as the move would take. */
  readonly quiet: QuietWindow;
}

/** Milliseconds one of its statements may take. */
export const PREFLIGHT_STATEMENT_MS = 20_000;
/** Of the conversations that went on by another channel, those in which an answer by it is looked for. */
const LOOKED_THROUGH = 1_000;
const HOUR_MS = 3_600_000;

/** Foretells the move of a channel to the help desk. Throws `NotFound`. */
export async function preflight(db: Db, context: MigrationContext, input: PreflightInput): Promise<Preflight> {
  const channel = await db
    .selectFrom('channel')
    .select(['id', 'key', 'plugin', 'place_id', 'routing_rule_id'])
    .where(sql<string>`id::text`, '=', input.channelId)
    .executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', input.channelId);
  const history = input.history ?? 'ALL';
  const statuses = { openStatusId: input.openStatusId ?? null, closedStatusId: input.closedStatusId ?? null };
  const { id: channelId, key: channelKey, plugin } = channel;
  // Without history there is nothing to count, and nobody loses anything.
  const census = once(async () => (history === 'NONE' ? [] : reading(db, (tx) => takeCensus(tx, channelId))));
  const duration = once(async () => {
    const { total } = countConversations(await census());
    const helpDesk = await reading(db, helpDeskId);
    return foretellDuration(db, { channelId, channelKey, plugin, helpDeskId: helpDesk }, total);
  });
  return {
    eligibility: once(() => reading(db, (tx) => eligibility(tx, context, channelId))),
    conversations: once(async () => countConversations(await census())),
    owners: once(async () => countOwners(await census())),
    agents: once(() => reading(db, (tx) => readAgents(tx, channel.place_id))),
    routing: once(() => reading(db, (tx) => readRouting(tx, context, channel))),
    sla: once(() => reading(db, readSla)),
    alsoMove: once(() => reading(db, (tx) => readAlsoMove(tx, context, channelId))),
    volume: once(async () => {
      const { estimatedMs } = await duration();
      return reading(db, (tx) => readVolume(tx, channelId, estimatedMs));
    }),
    duration,
    samples: once(async () => {
      const groups = await census();
      return groups.length === 0 ? [] : reading(db, (tx) => readSamples(tx, channelId, groups, statuses));
    }),
    irreversible: async () => WHAT_STAYS[history],
  };
}

function once<Value>(read: () => Promise<Value>): () => Promise<Value> {
  let asked: Promise<Value> | undefined;
  return () => (asked ??= read());
}

/** A part must never hold anybody up, and can write nothing. */
async function reading<Value>(db: Db, read: (tx: Tx) => Promise<Value>): Promise<Value> {
  return db
    .transaction()
    .setAccessMode('read only')
    .execute(async (tx) => {
      await sql`select set_config('statement_timeout', ${String(PREFLIGHT_STATEMENT_MS)}, true)`.execute(tx);
      return read(tx);
    });
}

async function readAgents(tx: Tx, placeId: string): Promise<readonly string[]> {
  const { rows } = await sql<{
    id: string;
  }>`select m.id from ${membersOf(sql`${placeId}::uuid`)} m except select d.id from ${HELP_DESK_MEMBERS} d order by id`.execute(tx);
  return rows.map(({ id }) => id);
}

async function readSla(tx: Tx): Promise<SlaPreflight> {
  const { count } = await tx
    .selectFrom('sla_policy')
    .select(sql<number>`count(*)`.as('count'))
    .where('deleted_at', 'is', null)
    .executeTakeFirstOrThrow();
  return { policies: count, warning: count === 0 ? 'NO_SLA_POLICY' : null };
}

interface RoutedChannel {
  readonly id: string;
  readonly plugin: string;
  readonly routing_rule_id: string;
}

type Naming = Pick<RoutingLack, 'where' | 'chatflowId' | 'step'> & { readonly named: Named };

/** Everybody who is named is looked at in one statement. */
async function readRouting(tx: Tx, context: MigrationContext, channel: RoutedChannel): Promise<readonly RoutingLack[]> {
  const { rows } = await sql<{ userId: string | null; teamId: string | null; isDefault: boolean }>`
    select t.user_id as "userId", t.team_id as "teamId", false as "isDefault" from routing_rule_target t where t.rule_id = ${channel.routing_rule_id}
    union all select r.default_user_id, null, true from routing_rule r where r.id = ${channel.routing_rule_id} and r.default_user_id is not null
    order by 1, 2`.execute(tx);
  const ids = (field: 'userId' | 'teamId', isDefault: boolean): string[] =>
    rows.flatMap((row) => (row[field] === null || row.isDefault !== isDefault ? [] : [row[field]]));
  const bots = await readBots(tx, channel.id);
  const { targets } = await askPlugin(tx, context, channel);
  const inChannel = { chatflowId: null, step: null };
  const namings: readonly Naming[] = [
    { where: 'RULE', ...inChannel, named: { userIds: ids('userId', false), teamIds: ids('teamId', false) } },
    { where: 'DEFAULT_USER', ...inChannel, named: { userIds: ids('userId', true), teamIds: [] } },
    ...bots.flatMap(({ id, definition }) =>
      handOffs(definition).map((step): Naming => ({ where: 'HAND_OFF', chatflowId: id, step: step.id, named: namedBy(step.rule) })),
    ),
    ...(targets === null ? [] : [{ where: 'SETTINGS', ...inChannel, named: targets } as const]),
  ];
  const { users, teams } = await readReach(tx, {
    userIds: namings.flatMap(({ named }) => named.userIds),
    teamIds: namings.flatMap(({ named }) => named.teamIds),
  });
  return namings.flatMap(({ named, ...about }) => [
    ...named.userIds.flatMap((userId): RoutingLack[] => {
      const lack = users.get(userId);
      return lack == null ? [] : [{ ...about, userId, teamId: null, lack }];
    }),
    ...named.teamIds.flatMap((teamId): RoutingLack[] => {
      const members = teams.get(teamId) ?? [];
      if (members.length === 0) return [{ ...about, userId: null, teamId, lack: 'NO_PRIMARY_MEMBER' }];
      return members.flatMap(({ userId, lack }) => (lack === null ? [] : [{ ...about, userId, teamId, lack }]));
    }),
  ]);
}

/** Email channels that stay in an inbox, by which agents answered what began here. Only a change of channel is looked at, which an index holds. */
async function readAlsoMove(tx: Tx, { plugins }: MigrationContext, channelId: string): Promise<readonly AlsoMove[]> {
  const starting = plugins.filter((plugin) => canStartWith(plugin, 'email-address')).map(({ key }) => key);
  const { rows } = await sql<AlsoMove>`
    with gone_on as (
      select c.channel_id, count(*)::int as conversations from conversation c
      where c.origin_channel_id = ${channelId} and c.origin_channel_id <> c.channel_id and c.place = 'INBOX' group by c.channel_id
    )
    select h.id as "channelId", g.conversations from gone_on g join channel h on h.id = g.channel_id
    where h.place = 'INBOX' and h.disconnected_at is null and h.plugin = any(${starting}::text[]) and exists (
      select from (
        select c.id from conversation c
        where c.origin_channel_id = ${channelId} and c.channel_id = h.id and c.origin_channel_id <> c.channel_id and c.place = 'INBOX' order by c.id desc limit ${LOOKED_THROUGH}
      ) n join message m on m.conversation_id = n.id
      where m.channel_id = h.id and m.direction = 'OUTBOUND' and not m.automatic
    )
    order by g.conversations desc, h.id`.execute(tx);
  return rows;
}

async function readVolume(tx: Tx, channelId: string, estimatedMs: number): Promise<InboundVolume> {
  const { now } = await tx.selectNoFrom(sql<Date>`now()`.as('now')).executeTakeFirstOrThrow();
  const from = (Math.floor(now.getTime() / HOUR_MS) - VOLUME_HOURS) * HOUR_MS;
  // Each hour is a stretch of the index: sorting a million messages into hours takes twice as long.
  const { rows: hours } = await sql<HourCount>`
    select h.at, (select count(*) from message m where m.channel_id = ${channelId} and m.direction = 'INBOUND'
      and m.received_at >= h.at and m.received_at < h.at + interval '1 hour') as count
    from (select to_timestamp(${from / 1000} + n * 3600) as at from generate_series(0, ${VOLUME_HOURS - 1}::int) as n) h order by h.at`.execute(tx);
  return { hours, quiet: quietWindow(hours, estimatedMs, now) };
}
