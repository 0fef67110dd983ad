import { clockTime } from '#domain/working-hours.ts';
import { builder } from '../builder.ts';
import type { WorkingPeriodRow } from '../rows.ts';
import { WeekdayEnum, WEEKDAYS } from './enums.ts';
import { OutOfOfficeRef, UserRef } from './refs.ts';

const WorkingPeriodRef = builder.objectRef<WorkingPeriodRow>('WorkingPeriod').implement({
  description: 'A stretch of one weekday in which somebody works, by the clock of their own time zone.',
  fields: (t) => ({
    weekday: t.field({ type: WeekdayEnum, description: 'Which day.', resolve: ({ weekday }) => WEEKDAYS[weekday - 1] ?? 'MONDAY' }),
    from: t.string({ description: 'Hours and minutes: “09:00”.', resolve: ({ from_minute }) => clockTime(from_minute) }),
    to: t.string({ description: 'Hours and minutes, not included; “24:00” is the end of the day.', resolve: ({ to_minute }) => clockTime(to_minute) }),
  }),
});

builder.node(OutOfOfficeRef, {
  description: 'A range in which somebody is out of office, whatever their working hours say.',
  id: { resolve: (row) => row.id },
  loadOne: (id, { load }) => load.outOfOffice.load(id),
  fields: (t) => ({
    from: t.field({ type: 'DateTime', description: 'When it begins.', resolve: (row) => row.from_at }),
    to: t.field({ type: 'DateTime', description: 'When it is over; not included.', resolve: (row) => row.to_at }),
  }),
});

builder.objectFields(UserRef, (t) => ({
  availabilityUntil: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'When their availability changes next by itself: an override ends there. Null: not within a year.',
    resolve: (user) => user.availability_until,
  }),
  availabilitySetAt: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'Since when it is set by hand; null: it follows working hours and absences.',
    resolve: (user) => user.availability_set_at,
  }),
  workingHours: t.field({
    type: [WorkingPeriodRef],
    description: 'When they work, by weekday and time; none: at any time.',
    resolve: (user, _args, { load }) => load.workingHoursOf.load(user.id),
  }),
  outOfOffice: t.field({
    type: [OutOfOfficeRef],
    description: 'When they are out of office, now or later, the earliest first.',
    resolve: (user, _args, { load }) => load.outOfOfficeOf.load(user.id),
  }),
}));
