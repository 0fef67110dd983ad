import chat from '@trunkline/plugin-chat';
import email from '@trunkline/plugin-email';
import form from '@trunkline/plugin-form';
import type { Plugin } from '@trunkline/channel-sdk';
import { connectChannel, type ChannelDeps, type Connected } from '#commands/channels.ts';
import { createTeam, createUser, deactivateUser, setTeamMembers } from '#commands/people.ts';
import { createInbox, setAccessList } from '#commands/places.ts';
import type { Unit } from '#commands/unit.ts';
import { FIRST_NAMES, LAST_NAMES } from './texts.ts';

/** What a conversation began by. */
export const KINDS = ['mails', 'forms', 'chats'] as const;
export type Kind = (typeof KINDS)[number];

/** Who works in a seeded inbox, and its channels. */
export interface Cast {
  readonly inboxId: string;
  readonly channels: Readonly<Partial<Record<Kind, Connected>>>;
  /** Agents whom the help desk's access list has, and those whom it has not: one of them was deactivated, and still stands there. */
  readonly withAccess: readonly string[];
  readonly withoutAccess: readonly string[];
  readonly teamIds: readonly string[];
}

const IN_TEAMS = 18;
const LISTED = 12;
const OTHERS = 14;

/** Agents, two teams, the help desk's access list, an inbox and its channels, each by the command that people use. Throws `AlreadyExists` where the seed was used before. */
export async function hire(unit: Unit, deps: ChannelDeps, kinds: readonly Kind[], seed: number): Promise<Cast> {
  const agents: string[] = [];
  for (let index = 0; index < IN_TEAMS + LISTED + OTHERS; index += 1) {
    const name = `${FIRST_NAMES[index % FIRST_NAMES.length]} ${LAST_NAMES[index % LAST_NAMES.length]}`;
    const { userId } = await createUser(unit, {
      name,
      email: `agent${index + 1}.${seed}@staff.example`,
      role: 'AGENT',
      seat: index % 9 === 8 ? 'NONE' : 'PAID',
    });
    agents.push(userId);
  }
  const inTeams = agents.slice(0, IN_TEAMS);
  const listed = agents.slice(IN_TEAMS, IN_TEAMS + LISTED);
  const others = agents.slice(IN_TEAMS + LISTED);
  const teamIds: string[] = [];
  for (const [index, name] of ['First line', 'Second line'].entries()) {
    const { teamId } = await createTeam(unit, { name: `${name} ${seed}` });
    const half = inTeams.slice((index * IN_TEAMS) / 2, ((index + 1) * IN_TEAMS) / 2);
    await setTeamMembers(unit, { teamId, primaryUserIds: half.slice(2), extraUserIds: half.slice(0, 2) });
    teamIds.push(teamId);
  }
  await admit(unit, agents, listed, teamIds);
  const gone = listed.slice(-1);
  for (const userId of gone) await deactivateUser(unit, { userId });
  const { placeId: inboxId } = await createInbox(unit, { name: `Inbox ${seed}` });
  return {
    inboxId,
    channels: await connect(unit, deps, kinds, inboxId, teamIds.slice(0, 1), seed),
    withAccess: [...inTeams, ...listed.filter((id) => !gone.includes(id))],
    withoutAccess: [...others, ...gone],
    teamIds,
  };
}

/** The help desk is no longer everybody's: whoever was there before the seed keeps their access by name. */
async function admit(unit: Unit, agents: readonly string[], listed: readonly string[], teamIds: readonly string[]): Promise<void> {
  const desk = await unit.tx.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  const entries = await unit.tx.selectFrom('access_entry').selectAll().where('place_id', '=', desk.id).execute();
  const before = entries.some(({ everyone }) => everyone)
    ? await unit.tx.selectFrom('app_user').select('id').where('id', 'not in', agents).execute()
    : entries.flatMap(({ user_id: id }) => (id === null ? [] : [{ id }]));
  const teams = entries.flatMap(({ team_id: id }) => (id === null ? [] : [id]));
  await setAccessList(unit, { placeId: desk.id, access: { userIds: [...before.map(({ id }) => id), ...listed], teamIds: [...teams, ...teamIds] } });
}

async function connect(
  unit: Unit,
  deps: ChannelDeps,
  kinds: readonly Kind[],
  placeId: string,
  teamIds: readonly string[],
  seed: number,
): Promise<Cast['channels']> {
  const made = (plugin: Plugin, name: string, settings: object): Promise<Connected> =>
    connectChannel(unit, deps, { plugin: plugin.key, name: `${name} ${seed}`, placeId, settings, routing: { kind: 'SPECIFIC', teamIds } });
  // First, for the others answer by it.
  const mail = !kinds.includes('mails')
    ? undefined
    : await made(email, 'Mail', {
        kind: 'other',
        address: `hello.${seed}@acme.example`,
        companyName: 'Acme',
        smtp: { host: '127.0.0.1', port: 1025, secure: 'none' },
      });
  const answers = mail === undefined ? {} : { replyChannel: mail.key };
  return {
    ...(mail === undefined ? {} : { mails: mail }),
    ...(kinds.includes('forms') ? { forms: await made(form, 'Form', { title: `Contact us ${seed}`, ...answers }) } : {}),
    ...(kinds.includes('chats') ? { chats: await made(chat, 'Chat', { title: `Chat ${seed}`, ...answers }) } : {}),
  };
}
