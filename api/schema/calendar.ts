import { clockTime } from '#domain/working-hours.ts';
import { builder } from '../builder.ts';
import type { CalendarPeriodRow, HolidayRow } from '../rows.ts';
import { WeekdayEnum, WEEKDAYS } from './enums.ts';
import { ORDERS } from './orders.ts';
import { CalendarConnection, CalendarRef, SlaPolicyRef } from './refs.ts';

const PeriodRef = builder.objectRef<CalendarPeriodRow>('BusinessPeriod').implement({
  description: 'A stretch of one weekday in which time counts, by the calendar’s own clock.',
  fields: (t) => ({
    weekday: t.field({ type: WeekdayEnum, description: 'Which day.', resolve: ({ weekday }) => WEEKDAYS[weekday - 1] ?? 'MONDAY' }),
    from: t.string({ description: 'Hours and minutes: “09:00”.', resolve: ({ from_minute }) => clockTime(from_minute) }),
    to: t.string({ description: 'Hours and minutes, not included; “24:00” is the end of the day.', resolve: ({ to_minute }) => clockTime(to_minute) }),
  }),
});

const HolidayRef = builder.objectRef<HolidayRow>('Holiday').implement({
  description: 'A day of which no time counts.',
  fields: (t) => ({
    date: t.exposeString('date', { description: 'By the calendar’s own clock: “2026-12-25”.' }),
    name: t.exposeString('name', { nullable: true, description: 'What people call it; null: nothing was said.' }),
  }),
});

/** A calendar may have a thousand. */
const MANY = 100;

builder.node(CalendarRef, {
  description: 'When working time passes: hours by weekday, by the clock of a time zone, and holidays. Any user sees all of them.',
  id: { resolve: (calendar) => calendar.id },
  loadOne: (id, { load }) => load.calendar.load(id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, unique without regard to case.' }),
    timeZone: t.exposeString('time_zone', { description: 'By whose clock: an IANA time zone, “Europe/Berlin”.' }),
    periods: t.field({
      type: [PeriodRef],
      description: 'When time counts, by weekday and time.',
      resolve: (calendar, _args, { load }) => load.calendarPeriodsOf.load(calendar.id),
    }),
    holidays: t.field({
      type: [HolidayRef],
      complexity: { field: 1, multiplier: MANY },
      description: 'Days of which no time counts, the earliest first.',
      resolve: (calendar, _args, { load }) => load.holidaysOf.load(calendar.id),
    }),
    policies: t.field({
      type: [SlaPolicyRef],
      description: 'The SLA policies that go by it, in the order in which they are tried.',
      resolve: (calendar, _args, { load }) => load.slaPoliciesOf.load(calendar.id),
    }),
    version: t.exposeInt('version', { description: 'Goes up with every edit; given as `expectedVersion` it guards against overwriting somebody else’s.' }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: (calendar) => calendar.created_at }),
  }),
});

builder.queryField('businessCalendars', (t) =>
  t.connection(
    {
      type: CalendarRef,
      description: 'The account’s calendars, in the order they were made.',
      resolve: (_root, args, { load, db }) =>
        load.page(args, ORDERS.calendar, db.selectFrom('business_calendar').selectAll('business_calendar').where('deleted_at', 'is', null)),
    },
    CalendarConnection,
  ),
);
