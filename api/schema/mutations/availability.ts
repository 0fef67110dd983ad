import { Forbidden, NotFound } from '#commands/refusals.ts';
import { addOutOfOffice, clearAvailability, removeOutOfOffice, setAvailability, setWorkingHours } from '#commands/user-availability.ts';
import { builder } from '../../builder.ts';
import type { Viewer } from '../../access.ts';
import type { ApiContext } from '../../context.ts';
import { reaches } from '../../roles.ts';
import { AvailabilityEnum, WeekdayEnum, WEEKDAYS } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { OutOfOfficeRef, UserRef } from '../refs.ts';

const user = ({ userId }: { readonly userId: string }, { load }: ApiContext) => load.user.load(userId);
const WHICH = 'Which user; none: oneself.';

/** One's own, or as an admin anybody's. */
function whose(viewer: Viewer, named: string | undefined): string {
  const userId = named ?? viewer.userId;
  if (userId !== viewer.userId && !reaches(viewer.role, 'ADMIN')) throw new Forbidden('the role admin, for somebody else');
  return userId;
}

mutation('setAvailability', {
  description:
    'Says by hand whether a user takes new work: oneself, or as an admin anybody. It holds until `availabilityUntil`, the next change that their hours or absences bring.',
  type: UserRef,
  input: (t) => ({
    userId: t.globalID({ for: [UserRef], description: WHICH }),
    availability: t.field({ type: AvailabilityEnum, required: true, description: 'Whether they take new work now.' }),
  }),
  work: async (input, { unit, context: { viewer } }) => {
    const userId = whose(viewer, input.userId?.id);
    await setAvailability(unit, { userId, availability: input.availability });
    return { userId };
  },
  read: user,
});

mutation('clearAvailability', {
  description: 'Takes back what was said by hand: working hours and absences alone say again whether a user is available. One’s own, or as an admin anybody’s.',
  type: UserRef,
  input: (t) => ({ userId: t.globalID({ for: [UserRef], description: WHICH }) }),
  work: async (input, { unit, context: { viewer } }) => {
    const userId = whose(viewer, input.userId?.id);
    await clearAvailability(unit, { userId });
    return { userId };
  },
  read: user,
});

const WorkingPeriodInputRef = builder.inputType('WorkingPeriodInput', {
  description: 'A stretch of one weekday, by the user’s own clock. One over midnight is written as two.',
  fields: (t) => ({
    weekday: t.field({ type: WeekdayEnum, required: true, description: 'Which day.' }),
    from: t.string({ required: true, description: 'Hours and minutes: “09:00”.' }),
    to: t.string({ required: true, description: 'Hours and minutes, later than from; at most “24:00”.' }),
  }),
});

mutation('setWorkingHours', {
  description: 'Replaces a user’s working hours, and their time zone where it is given. One’s own, or as an admin anybody’s.',
  type: UserRef,
  input: (t) => ({
    userId: t.globalID({ for: [UserRef], description: WHICH }),
    periods: t.field({
      type: [WorkingPeriodInputRef],
      required: true,
      description: 'When they work; several a day may be, none may overlap. None at all: at any time.',
    }),
    timeZone: t.string({ description: 'Their IANA time zone: “Europe/Berlin”; none: as it is.' }),
  }),
  work: async ({ userId: named, periods, timeZone }, { unit, context: { viewer } }) => {
    const userId = whose(viewer, named?.id);
    const written = periods.map(({ weekday, from, to }) => ({ weekday: WEEKDAYS.indexOf(weekday) + 1, from, to }));
    await setWorkingHours(unit, { userId, periods: written, ...(timeZone == null ? {} : { timeZone }) });
    return { userId };
  },
  read: user,
});

mutation('addOutOfOffice', {
  description: 'Says that a user is out of office for a while. One’s own, or as an admin anybody’s.',
  type: UserRef,
  input: (t) => ({
    userId: t.globalID({ for: [UserRef], description: WHICH }),
    from: t.field({ type: 'DateTime', required: true, description: 'When it begins; may be past.' }),
    to: t.field({ type: 'DateTime', required: true, description: 'When it is over: later than from, and not past.' }),
  }),
  work: async ({ userId: named, from, to }, { unit, context: { viewer } }) => {
    const userId = whose(viewer, named?.id);
    await addOutOfOffice(unit, { userId, from, to });
    return { userId };
  },
  read: user,
});

mutation('removeOutOfOffice', {
  description: 'Takes a range out of office back, also one that is over. One’s own, or as an admin anybody’s.',
  type: UserRef,
  input: (t) => ({ outOfOfficeId: t.globalID({ for: [OutOfOfficeRef], required: true, description: 'Which range.' }) }),
  work: async ({ outOfOfficeId: { id } }, { unit, context: { viewer } }) => {
    const found = await unit.tx.selectFrom('out_of_office').select('user_id').where('id', '=', id).executeTakeFirst();
    if (found === undefined) throw new NotFound('out of office', id);
    whose(viewer, found.user_id);
    return removeOutOfOffice(unit, { outOfOfficeId: id });
  },
  read: user,
});
