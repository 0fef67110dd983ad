import type { OpenTickets } from '#commands/capacity.ts';
import type { NotificationKind } from '#db/schema.ts';
import { builder } from '../builder.ts';
import type { SignInRow, TeamRow, UserRow } from '../rows.ts';
import { AvailabilityEnum, MembershipEnum, NotificationKindEnum, RoleEnum, SeatEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { NotificationConnection, NotificationRef, SkillRef, TeamRef, UserConnection, UserRef } from './refs.ts';

interface Membership {
  readonly team: TeamRow;
  readonly kind: 'PRIMARY' | 'EXTRA';
}

const MembershipRef = builder.objectRef<Membership>('TeamMembership').implement({
  description: 'That a user belongs to a team.',
  fields: (t) => ({
    team: t.field({ type: TeamRef, description: 'The team.', resolve: (membership) => membership.team }),
    kind: t.field({ type: MembershipEnum, description: 'How they belong to it.', resolve: (membership) => membership.kind }),
  }),
});

const SignInRef = builder.objectRef<SignInRow>('SignIn').implement({
  description: 'Who a user is to an OpenID Connect provider.',
  fields: (t) => ({
    issuer: t.exposeString('issuer', { description: 'The provider’s address, as its tokens have it.' }),
    subject: t.exposeString('subject', { description: 'What the provider calls them; it never changes there.' }),
    createdAt: t.field({ type: 'DateTime', description: 'When they signed in with it first.', resolve: (one) => one.created_at }),
  }),
});

const CapacityRef = builder.objectRef<UserRow>('Capacity').implement({
  description: 'Limits on the open tickets a user owns, for automatic decisions only; null: no limit.',
  fields: (t) => ({
    total: t.exposeInt('capacity_total', { nullable: true, description: 'Open tickets in all.' }),
    voice: t.exposeInt('capacity_voice', { nullable: true, description: 'Open tickets of channels of the group voice.' }),
    messaging: t.exposeInt('capacity_messaging', { nullable: true, description: 'Open tickets of channels of the group messaging.' }),
    written: t.exposeInt('capacity_written', { nullable: true, description: 'Open tickets of channels of the group written.' }),
  }),
});

const OpenTicketsRef = builder.objectRef<OpenTickets>('OpenTickets').implement({
  description: 'Open tickets a user owns, counted as their limits count them, those of places the viewer does not see too.',
  fields: (t) => ({
    total: t.exposeInt('total', { description: 'In all, those without a conversation too.' }),
    voice: t.exposeInt('voice', { description: 'Those whose conversation now goes on in a channel of the group voice.' }),
    messaging: t.exposeInt('messaging', { description: 'The same of the group messaging.' }),
    written: t.exposeInt('written', { description: 'The same of the group written.' }),
  }),
});

builder.node(UserRef, {
  description: 'Someone inside. Any user sees all users.',
  id: { resolve: (user) => user.id },
  loadOne: (id, { load }) => load.user.load(id),
  fields: (t) => ({
    email: t.exposeString('email', { description: 'Their email address, in lower case.' }),
    name: t.exposeString('name', { description: 'Their full name.' }),
    role: t.field({ type: RoleEnum, description: 'What they may do.', resolve: (user) => user.role }),
    seat: t.field({ type: SeatEnum, description: 'Whether they can be assigned automatically.', resolve: (user) => user.seat }),
    availability: t.field({ type: AvailabilityEnum, description: 'Whether they take new work now.', resolve: (user) => user.availability }),
    timeZone: t.exposeString('time_zone', { description: 'Their IANA time zone: “Europe/Berlin”.' }),
    lastActiveAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When they last made an authenticated request, to within a minute; null: never.',
      resolve: (user) => user.last_active_at,
    }),
    deactivatedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Since when they can not sign in; null: they can.',
      resolve: (user) => user.deactivated_at,
    }),
    createdAt: t.field({ type: 'DateTime', description: 'When they were added.', resolve: (user) => user.created_at }),
    signIns: t.field({
      type: [SignInRef],
      description: 'Who they are to the account’s sign-in providers, at most one for each; seen by themselves and by super admins.',
      resolve: (user, _args, { load }) => load.signInsOf.load(user.id),
    }),
    skills: t.field({
      type: [SkillRef],
      description: 'What they can do, by category and name: rules may ask for it.',
      resolve: (user, _args, { load }) => load.skillsOf.load(user.id),
    }),
    capacity: t.field({
      type: CapacityRef,
      description: 'How many open tickets they may own before no automatic decision gives them another.',
      resolve: (user) => user,
    }),
    openTickets: t.field({
      type: OpenTicketsRef,
      description: 'What they own now of what `capacity` limits: from a limit on no automatic decision gives them another.',
      resolve: (user, _args, { load }) => load.openTicketsOf.load(user.id),
    }),
    teams: t.field({
      type: [MembershipRef],
      description: 'The teams they belong to, the primary one first.',
      resolve: async (user, _args, { load }) => {
        const rows = await load.membershipsOf.load(user.id);
        const teams = await Promise.all(rows.map((row) => load.team.load(row.team_id)));
        return rows.flatMap((row, at) => {
          const team = teams[at];
          return team == null ? [] : [{ team, kind: row.kind }];
        });
      },
    }),
  }),
});

/** What only oneself sees. */
const ViewerRef = builder.objectRef<{ readonly userId: string }>('Viewer').implement({
  description: 'Whoever asks, with what only they see.',
  fields: (t) => ({
    user: t.field({
      type: UserRef,
      description: 'The user whose token it is.',
      resolve: async ({ userId }, _args, { load }) => {
        const user = await load.user.load(userId);
        if (user === null) throw new Error('the viewer is no user');
        return user;
      },
    }),
    notifications: t.connection(
      {
        type: NotificationRef,
        description: 'What they were told of, the newest first.',
        args: { unreadOnly: t.arg.boolean({ defaultValue: false, description: 'Leave out what they have read.' }) },
        resolve: async (_viewer, args, { load, db, see }) => {
          const visible = await see();
          let query = db.selectFrom('notification').selectAll('notification').where(visible.notification);
          if (args.unreadOnly === true) query = query.where('read_at', 'is', null);
          return load.page(args, ORDERS.notification, query);
        },
      },
      NotificationConnection,
    ),
    notificationsOff: t.field({
      type: [NotificationKindEnum],
      description: 'The kinds they have switched off in the API.',
      resolve: async ({ userId }, _args, { load }) => (await load.switchedOffOf.load(userId)).map((row) => row.kind as NotificationKind),
    }),
    notificationMailsOff: t.field({
      type: [NotificationKindEnum],
      description: 'The kinds of which they get no mail.',
      resolve: async ({ userId }, _args, { load }) => (await load.mailOffOf.load(userId)).map((row) => row.kind as NotificationKind),
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({ type: ViewerRef, description: 'Whoever asks.', resolve: (_root, _args, { viewer }) => ({ userId: viewer.userId }) }),
);

builder.queryField('users', (t) =>
  t.connection(
    {
      type: UserRef,
      description: 'All users, in the order they were added.',
      args: { includeDeactivated: t.arg.boolean({ defaultValue: false, description: 'Also those who can not sign in any more.' }) },
      resolve: (_root, args, { load, db }) => {
        let query = db.selectFrom('app_user').selectAll('app_user');
        if (args.includeDeactivated !== true) query = query.where('deactivated_at', 'is', null);
        return load.page(args, ORDERS.user, query);
      },
    },
    UserConnection,
  ),
);
