import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { BotDefinition, HandOffRule, HandOffStep } from '#domain/chatflow.ts';
import { readReach, type Reach, type ReachLack } from './help-desk-reach.ts';
import { askPlugin, type PluginObstacle } from './plugin-says.ts';
import { NotFound } from './refusals.ts';
import type { Keys } from './secrets.ts';

/** Why a hand-off reaches nobody in the help desk. `NO_STEP`: the chatflow has none; `NOBODY_NAMED`: its rule names no user and no team. */
export type HandOffLack = ReachLack | 'NO_PRIMARY_MEMBER' | 'NOBODY_NAMED' | 'NO_STEP';

/** One thing that keeps a channel from being moved to the help desk (MIG-2, MIG-5). */
export interface MoveObstacle {
  readonly code: 'ALREADY_THERE' | 'DISCONNECTED' | PluginObstacle['code'] | 'BOT_WITHOUT_HAND_OFF' | 'BOT_CREATES_TICKET';
  /** For people; ids are in the fields below, names nowhere. */
  readonly reason: string;
  /** Null: it is about the channel, or its plugin's own settings. */
  readonly chatflowId: string | null;
  /** The id of the chatflow's step; null: it is about the whole chatflow. */
  readonly step: string | null;
  /** Whom a hand-off names and does not reach; with `teamId`: as a primary member of that team. */
  readonly userId: string | null;
  readonly teamId: string | null;
  /** Of `BOT_WITHOUT_HAND_OFF` alone. */
  readonly why: HandOffLack | null;
}

/** Primary members of a team that are named one by one as those who are not reached. */
export const NAMED_OF_TEAM = 20;

/**
 * Why a channel can not be moved to the help desk now, all at once; empty: nothing stands in the way (MIG-2, MIG-5). Changes nothing. Two statements more than
 * the plugin's own answer takes, however many chatflows there are. Throws `NotFound`.
 *
 * A chatflow of steps must hand off to at least one user who can be given something in the help desk, by whichever of its steps: *specific users and teams* hands off
 * to the users it names and to the primary members of the teams it names; *contact owner* to its default user alone, for the owner is whoever it is then; *nobody* to
 * nobody. Where none is reached, each of them is named. A plugin whose own settings name targets is held to the same. One that only shows a text before people
 * answer hands nothing off, and one that is switched off says nothing.
 */
export async function eligibility(
  db: Db | Tx,
  context: { readonly plugins: readonly Plugin[]; readonly keys: Keys },
  channelId: string,
): Promise<readonly MoveObstacle[]> {
  const channel = await db
    .selectFrom('channel')
    .select(['id', 'plugin', 'place', 'disconnected_at'])
    .where(sql<string>`id::text`, '=', channelId)
    .executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', channelId);
  const { obstacles, targets } = await askPlugin(db, context, channel);
  const bots = await readBots(db, channel.id);
  const named = [...bots.flatMap(({ definition }) => handOffs(definition).map(({ rule }) => namedBy(rule))), ...(targets === null ? [] : [targets])];
  const reach = await readReach(db, { userIds: named.flatMap(({ userIds }) => userIds), teamIds: named.flatMap(({ teamIds }) => teamIds) });
  return [
    ...(channel.place === 'HELP_DESK' ? [obstacle('ALREADY_THERE', 'it lives in the help desk already')] : []),
    ...(channel.disconnected_at === null ? [] : [obstacle('DISCONNECTED', 'it is disconnected')]),
    ...obstacles.map(({ code, reason }) => obstacle(code, reason)),
    ...(targets === null || isEmpty(targets) ? [] : ofSettings(targets, reach)),
    ...bots.flatMap((bot) => ofBot(bot, reach)),
  ];
}

/** A chatflow of steps that is switched on. */
export interface Bot {
  readonly id: string;
  readonly definition: BotDefinition;
}

/** Those of a channel, the oldest first. */
export async function readBots(db: Db | Tx, channelId: string): Promise<readonly Bot[]> {
  const rows = await db
    .selectFrom('chatflow')
    .select(['id', 'definition'])
    .where('channel_id', '=', channelId)
    .where('kind', '=', 'BOT')
    .where('enabled', '=', true)
    .orderBy('id')
    .execute();
  // What is stored was checked when it was saved.
  return rows.map(({ id, definition }) => ({ id, definition: definition as BotDefinition }));
}

export function handOffs({ steps }: BotDefinition): readonly HandOffStep[] {
  return steps.filter((step) => step.type === 'hand-off');
}

export interface Named {
  readonly userIds: readonly string[];
  readonly teamIds: readonly string[];
}

/** Whom a hand-off's rule names. */
export function namedBy({ userIds = [], teamIds = [], defaultUserId }: HandOffRule): Named {
  return { userIds: defaultUserId === undefined ? userIds : [...userIds, defaultUserId], teamIds };
}

function ofBot({ id, definition }: Bot, reach: Reach): readonly MoveObstacle[] {
  const steps = handOffs(definition);
  const about = { chatflowId: id };
  const reaches = steps.some(({ rule }) => reachesAnybody(namedBy(rule), reach));
  const none = steps.length === 0 ? [without('NO_STEP', about)] : steps.flatMap((step) => notReached(namedBy(step.rule), reach, { ...about, step: step.id }));
  const tickets = definition.steps.filter(({ type }) => type === 'create-ticket');
  return [
    ...(reaches ? [] : none),
    ...tickets.map((step) => obstacle('BOT_CREATES_TICKET', 'a step makes a ticket, which the help desk does by itself', { ...about, step: step.id })),
  ];
}

function ofSettings(targets: Named, reach: Reach): readonly MoveObstacle[] {
  return reachesAnybody(targets, reach) ? [] : notReached(targets, reach, {});
}

function isEmpty({ userIds, teamIds }: Named): boolean {
  return userIds.length + teamIds.length === 0;
}

function reachesAnybody({ userIds, teamIds }: Named, { users, teams }: Reach): boolean {
  return userIds.some((id) => users.get(id) === null) || teamIds.some((id) => (teams.get(id) ?? []).some(({ lack }) => lack === null));
}

type About = Partial<Pick<MoveObstacle, 'chatflowId' | 'step' | 'userId' | 'teamId'>>;

/** Each that a hand-off names, with why it does not reach them. */
function notReached(named: Named, { users, teams }: Reach, about: About): readonly MoveObstacle[] {
  if (isEmpty(named)) return [without('NOBODY_NAMED', about)];
  const ofUsers = named.userIds.map((userId) => without(users.get(userId) ?? 'UNKNOWN', { ...about, userId }));
  const ofTeams = named.teamIds.flatMap((teamId) => {
    const members = (teams.get(teamId) ?? []).slice(0, NAMED_OF_TEAM);
    if (members.length === 0) return [without('NO_PRIMARY_MEMBER', { ...about, teamId })];
    return members.map(({ userId, lack }) => without(lack ?? 'UNKNOWN', { ...about, userId, teamId }));
  });
  return [...ofUsers, ...ofTeams];
}

const WORDS: Readonly<Record<HandOffLack, string>> = {
  UNKNOWN: 'somebody a hand-off names is not there any more',
  DEACTIVATED: 'somebody a hand-off names is deactivated',
  NO_SEAT: 'somebody a hand-off names has no paid seat',
  NO_ACCESS: 'somebody a hand-off names can not be assigned anything in the help desk',
  NO_PRIMARY_MEMBER: 'a team a hand-off names has no primary member',
  NOBODY_NAMED: 'a hand-off names nobody',
  NO_STEP: 'a chatflow of steps never hands off to people',
};

function without(why: HandOffLack, about: About): MoveObstacle {
  return { ...obstacle('BOT_WITHOUT_HAND_OFF', WORDS[why], about), why };
}

function obstacle(code: MoveObstacle['code'], reason: string, about: About = {}): MoveObstacle {
  return { code, reason, chatflowId: null, step: null, userId: null, teamId: null, why: null, ...about };
}
