import { createInbox, setAccessList, type AccessList } from '#commands/places.ts';
import { AlreadyExists, InvalidInput } from '#commands/refusals.ts';
import { builder } from '../../builder.ts';
import type { ApiContext } from '../../context.ts';
import type { PlaceRow } from '../../rows.ts';
import { mutation } from '../mutation.ts';
import { HelpDeskRef, InboxRef, PlaceRef, TeamRef, UserRef } from '../refs.ts';
import { requireSeen } from '../require.ts';

const AccessListInputRef = builder.inputType('AccessListInput', {
  description: 'Who is to see what is in a place: everyone, or users and teams.',
  fields: (t) => ({
    everyone: t.boolean({ description: 'Every user; users and teams must then be empty.' }),
    userIds: t.globalIDList({ for: [UserRef], description: 'These users.' }),
    teamIds: t.globalIDList({ for: [TeamRef], description: 'All members of these teams.' }),
  }),
});

function accessOf(input: typeof AccessListInputRef.$inferInput): AccessList {
  const userIds = (input.userIds ?? []).flatMap((one) => (one == null ? [] : [one.id]));
  const teamIds = (input.teamIds ?? []).flatMap((one) => (one == null ? [] : [one.id]));
  if (input.everyone !== true) return { userIds, teamIds };
  if (userIds.length + teamIds.length > 0) throw new InvalidInput([{ path: 'access.everyone', message: 'everyone, or users and teams, not both' }]);
  return { everyone: true };
}

const PlaceResultRef = builder.objectRef<PlaceRow>('PlaceChange').implement({
  description: 'A place as it is after a change.',
  fields: (t) => ({ place: t.field({ type: PlaceRef, description: 'The place.', resolve: (place) => place }) }),
});

const place = ({ placeId }: { readonly placeId: string }, { load }: ApiContext) => load.place.load(placeId);

mutation('createInbox', {
  description: 'Makes a further inbox.',
  type: InboxRef,
  refusals: [AlreadyExists],
  input: (t) => ({
    name: t.string({ required: true, description: 'Its name, unique without regard to case.' }),
    access: t.field({ type: AccessListInputRef, description: 'Who sees what is in it; none: everyone.' }),
  }),
  work: ({ name, access }, { unit }) => createInbox(unit, { name, ...(access == null ? {} : { access: accessOf(access) }) }),
  read: place,
});

mutation('setAccessList', {
  description: 'Replaces a place’s access list. Whoever loses access loses it at once; their streams end.',
  type: PlaceResultRef,
  input: (t) => ({
    placeId: t.globalID({ for: [HelpDeskRef, InboxRef], required: true, description: 'Which place.' }),
    access: t.field({ type: AccessListInputRef, required: true, description: 'Who sees what is in it from now on.' }),
  }),
  work: async ({ placeId, access }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'place', placeId.id);
    await setAccessList(unit, { placeId: placeId.id, access: accessOf(access) });
    return { placeId: placeId.id };
  },
  read: place,
});
