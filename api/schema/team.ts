import { builder } from '../builder.ts';
import { MembershipEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { TeamConnection, TeamRef, UserConnection, UserRef } from './refs.ts';

builder.node(TeamRef, {
  description: 'Users who work together. Any user sees all teams.',
  id: { resolve: (team) => team.id },
  loadOne: (id, { load }) => load.team.load(id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, unique without regard to case.' }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: (team) => team.created_at }),
    members: t.connection(
      {
        type: UserRef,
        description: 'Its members, in the order they were added as users.',
        args: { kind: t.arg({ type: MembershipEnum, description: 'Only primary or only extra members.' }) },
        resolve: (team, args, { load, db }) =>
          load.nestedPage(`team.members ${args.kind ?? ''}`, team.id, args, ORDERS.user, (parent) => {
            const query = db
              .selectFrom('team_member')
              .innerJoin('app_user', 'app_user.id', 'team_member.user_id')
              .selectAll('app_user')
              .where('team_member.team_id', '=', parent);
            return args.kind == null ? query : query.where('team_member.kind', '=', args.kind);
          }),
      },
      UserConnection,
    ),
  }),
});

builder.queryField('teams', (t) =>
  t.connection(
    {
      type: TeamRef,
      description: 'All teams, in the order they were made.',
      resolve: (_root, args, { load, db }) => load.page(args, ORDERS.team, db.selectFrom('team').selectAll('team')),
    },
    TeamConnection,
  ),
);
