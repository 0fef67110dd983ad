import { createTeam, createUser, deactivateUser, setRole, setSeat, setTeamMembers, updateUser } from '#commands/people.ts';
import { AddressTaken, AlreadyExists } from '#commands/refusals.ts';
import { removeIdentity } from '#commands/sign-in.ts';
import type { ApiContext } from '../../context.ts';
import { RoleEnum, SeatEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { TeamRef, UserRef } from '../refs.ts';

const user = ({ userId }: { readonly userId: string }, { load }: ApiContext) => load.user.load(userId);
const team = ({ teamId }: { readonly teamId: string }, { load }: ApiContext) => load.team.load(teamId);

mutation('createUser', {
  description: 'Adds a user. Their address becomes their own mailbox, so no channel can have it.',
  type: UserRef,
  refusals: [AddressTaken, AlreadyExists],
  input: (t) => ({
    email: t.string({ required: true, description: 'Their email address.' }),
    name: t.string({ required: true, description: 'Their full name.' }),
    role: t.field({ type: RoleEnum, description: 'What they may do; none: AGENT.' }),
    seat: t.field({ type: SeatEnum, description: 'Whether they can be assigned automatically; none: NONE.' }),
    timeZone: t.string({ description: 'Their IANA time zone: “Europe/Berlin”; none: UTC.' }),
  }),
  work: (input, { unit }) =>
    createUser(unit, {
      email: input.email,
      name: input.name,
      ...(input.role == null ? {} : { role: input.role }),
      ...(input.seat == null ? {} : { seat: input.seat }),
      ...(input.timeZone == null ? {} : { timeZone: input.timeZone }),
    }),
  read: user,
});

mutation('updateUser', {
  description: 'Edits a user; what is left out stays as it is. There is always a super admin.',
  type: UserRef,
  refusals: [AddressTaken, AlreadyExists],
  input: (t) => ({
    userId: t.globalID({ for: [UserRef], required: true, description: 'Which user.' }),
    email: t.string({ description: 'Their email address.' }),
    name: t.string({ description: 'Their full name.' }),
    role: t.field({ type: RoleEnum, description: 'What they may do.' }),
    seat: t.field({ type: SeatEnum, description: 'Whether they can be assigned automatically.' }),
    timeZone: t.string({ description: 'Their IANA time zone.' }),
  }),
  work: async (input, { unit }) => {
    const userId = input.userId.id;
    // Its lock comes before that of the user.
    if (input.role != null) await setRole(unit, { userId, role: input.role });
    await updateUser(unit, {
      userId,
      ...(input.email == null ? {} : { email: input.email }),
      ...(input.name == null ? {} : { name: input.name }),
      ...(input.timeZone == null ? {} : { timeZone: input.timeZone }),
    });
    if (input.seat != null) await setSeat(unit, { userId, seat: input.seat });
    return { userId };
  },
  read: user,
});

mutation('deactivateUser', {
  description: 'Ends a user’s access at once: tokens are revoked, streams end. What they own stays theirs until somebody takes it.',
  type: UserRef,
  input: (t) => ({ userId: t.globalID({ for: [UserRef], required: true, description: 'Which user.' }) }),
  work: async ({ userId }, { unit }) => {
    await deactivateUser(unit, { userId: userId.id });
    return { userId: userId.id };
  },
  read: user,
});

mutation('createTeam', {
  description: 'Makes a team without members.',
  type: TeamRef,
  refusals: [AlreadyExists],
  input: (t) => ({ name: t.string({ required: true, description: 'Its name, unique without regard to case.' }) }),
  work: ({ name }, { unit }) => createTeam(unit, { name }),
  read: team,
});

mutation('setTeamMembers', {
  description: 'Replaces a team’s members. A user is a primary member of at most one team.',
  type: TeamRef,
  input: (t) => ({
    teamId: t.globalID({ for: [TeamRef], required: true, description: 'Which team.' }),
    primaryUserIds: t.globalIDList({ for: [UserRef], required: true, description: 'Its primary members: routing to the team may choose them.' }),
    extraUserIds: t.globalIDList({ for: [UserRef], description: 'Its extra members: they see what the team sees.' }),
  }),
  work: async ({ teamId, primaryUserIds, extraUserIds }, { unit }) => {
    await setTeamMembers(unit, {
      teamId: teamId.id,
      primaryUserIds: primaryUserIds.flatMap((one) => (one == null ? [] : [one.id])),
      extraUserIds: (extraUserIds ?? []).flatMap((one) => (one == null ? [] : [one.id])),
    });
    return { teamId: teamId.id };
  },
  read: team,
});

mutation('removeSignIn', {
  description: 'Lets go of who a user is to an OpenID Connect provider: their next sign-in there, by their verified address, binds anew.',
  type: UserRef,
  input: (t) => ({
    userId: t.globalID({ for: [UserRef], required: true, description: 'Which user.' }),
    issuer: t.string({ required: true, description: 'The provider, as `User.signIns` has it.' }),
  }),
  work: async ({ userId, issuer }, { unit }) => {
    await removeIdentity(unit, { userId: userId.id, issuer });
    return { userId: userId.id };
  },
  read: user,
});
