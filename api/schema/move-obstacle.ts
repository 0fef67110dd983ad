import type { MoveObstacle } from '#commands/migration-obstacles.ts';
import { builder, isUuid } from '../builder.ts';
import { LackEnum } from './enums.ts';
import { ChatflowRef, TeamRef, UserRef } from './refs.ts';

const ObstacleEnum = builder.enumType('MoveObstacleCode', {
  description: 'What keeps a channel from being moved to the help desk.',
  values: {
    ALREADY_THERE: { description: 'It lives in the help desk.' },
    DISCONNECTED: { description: 'It is disconnected.' },
    NOT_MOVABLE: { description: 'Channels of its kind are not moved: disconnect it, then connect it to the help desk.' },
    PLUGIN: { description: 'Its plugin is not configured, or could not say.' },
    PLUGIN_SAYS: { description: 'Its plugin says why not.' },
    BOT_WITHOUT_HAND_OFF: { description: 'A chatflow of steps hands off to nobody whom the help desk can give something.' },
    BOT_CREATES_TICKET: { description: 'A step of a chatflow makes a ticket, which the help desk does by itself.' },
  } as const,
});

export const MoveObstacleRef = builder.objectRef<MoveObstacle>('MoveObstacle').implement({
  description: 'One thing that keeps a channel from being moved.',
  fields: (t) => ({
    code: t.field({ type: ObstacleEnum, description: 'What it is.', resolve: ({ code }) => code }),
    reason: t.exposeString('reason', { description: 'In words, for people.' }),
    chatflow: t.field({
      type: ChatflowRef,
      nullable: true,
      description: 'In which chatflow; null: it is about the channel or its settings.',
      resolve: ({ chatflowId }, _args, { load }) => (chatflowId === null ? null : load.chatflow.load(chatflowId)),
    }),
    step: t.exposeString('step', { nullable: true, description: 'The id of the chatflow’s step; null: it is about the whole chatflow.' }),
    user: t.field({
      type: UserRef,
      nullable: true,
      description: 'Whom a hand-off names and does not reach; with `team`: as a primary member of it. Null: it is about no user, or there is no such user.',
      resolve: ({ userId }, _args, { load }) => (isUuid(userId) ? load.user.load(userId) : null),
    }),
    team: t.field({
      type: TeamRef,
      nullable: true,
      description: 'The team that a hand-off names; null: it is about no team, or there is no such team.',
      resolve: ({ teamId }, _args, { load }) => (isUuid(teamId) ? load.team.load(teamId) : null),
    }),
    why: t.field({ type: LackEnum, nullable: true, description: 'Of BOT_WITHOUT_HAND_OFF: why it reaches nobody.', resolve: ({ why }) => why }),
  }),
});
