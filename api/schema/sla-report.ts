import { Forbidden, InvalidInput } from '#commands/refusals.ts';
import { readSlaReport, REPORT_LIMITS, type ReportGrouping, type ReportLine } from '#commands/sla-reports.ts';
import { builder } from '../builder.ts';
import { GoalKindEnum, ReportGroupingEnum } from './enums.ts';
import { ChannelRef, SlaPolicyRef, UserRef } from './refs.ts';
import { toMinutes } from './sla-goal.ts';

interface Line extends ReportLine {
  readonly by: ReportGrouping;
}

const LineRef = builder.objectRef<Line>('SlaReportLine').implement({
  description: 'What became of one goal in one group.',
  fields: (t) => ({
    channel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'By channel: which one; null: grouped otherwise, or the viewer may not see it.',
      resolve: ({ by, key }, _args, { load }) => (by === 'CHANNEL' && key !== null ? load.channel.load(key) : null),
    }),
    owner: t.field({
      type: UserRef,
      nullable: true,
      description: 'By owner: which one; null: nobody, or grouped otherwise.',
      resolve: ({ by, key }, _args, { load }) => (by === 'OWNER' && key !== null ? load.user.load(key) : null),
    }),
    policy: t.field({
      type: SlaPolicyRef,
      nullable: true,
      description: 'By policy: which one; null: grouped otherwise.',
      resolve: ({ by, key }, _args, { load }) => (by === 'POLICY' && key !== null ? load.slaPolicy.load(key) : null),
    }),
    beginsOn: t.string({
      nullable: true,
      description: 'By day, week or month: its first day, as 2026-11-21; null: grouped otherwise.',
      resolve: ({ by, key }) => (by === 'DAY' || by === 'WEEK' || by === 'MONTH' ? key : null),
    }),
    goal: t.field({ type: GoalKindEnum, description: 'Which goal.', resolve: (line) => line.goal }),
    onTime: t.exposeInt('onTime', { description: 'How many were done before their deadline.' }),
    late: t.exposeInt('late', { description: 'How many were done after it.' }),
    cancelled: t.exposeInt('cancelled', { description: 'How many were cancelled: they count neither as on time nor as late.' }),
    overdueNow: t.int({
      description: 'How many are running and overdue at the moment, of those whose deadline passed within the report’s time.',
      resolve: (line) => line.overdue,
    }),
    onTimePercent: t.float({
      nullable: true,
      description: 'Of what was done, how much was on time; null: nothing was done.',
      resolve: ({ onTime, late }) => (onTime + late === 0 ? null : (100 * onTime) / (onTime + late)),
    }),
    medianMinutes: t.float({
      nullable: true,
      description: 'Working time that half of what was done took at the most, in minutes; null: nothing was done.',
      resolve: ({ medianMs }) => (medianMs === null ? null : toMinutes(medianMs)),
    }),
    p90Minutes: t.float({
      nullable: true,
      description: 'The same of nine tenths.',
      resolve: ({ p90Ms }) => (p90Ms === null ? null : toMinutes(p90Ms)),
    }),
  }),
});

const ReportRef = builder.objectRef<{ readonly lines: readonly Line[] }>('SlaReport').implement({
  description: 'How SLA goals ended. What ended is counted with the owner and the channel that it had then; what is overdue now, with those of now.',
  fields: (t) => ({
    lines: t.field({
      type: [LineRef],
      description: 'A line for each group and goal of which there is something to count: in the order of the groups, nobody’s last.',
      resolve: ({ lines }) => [...lines],
    }),
  }),
});

builder.queryField('slaReport', (t) =>
  t.field({
    type: ReportRef,
    description: `How SLA goals ended in a time of at most ${REPORT_LIMITS.days} days, in at most ${REPORT_LIMITS.groups.toLocaleString('en')} groups. Needs access to the help desk.`,
    errors: { types: [Forbidden, InvalidInput], union: { name: 'SlaReportResult', description: 'The report, or why there is none.' } },
    args: {
      from: t.arg({ type: 'DateTime', required: true, description: 'Counted from here on: what ended, or became overdue and is still.' }),
      to: t.arg({ type: 'DateTime', required: true, description: 'Until just before this.' }),
      by: t.arg({ type: ReportGroupingEnum, required: true, description: 'What the lines are of.' }),
      channelId: t.arg.globalID({ for: [ChannelRef], description: 'Only what ended on this channel.' }),
      ownerId: t.arg.globalID({ for: [UserRef], description: 'Only what was this user’s.' }),
      policyId: t.arg.globalID({ for: [SlaPolicyRef], description: 'Only what was measured by this policy.' }),
      goal: t.arg({ type: GoalKindEnum, description: 'Only this goal.' }),
      timeZone: t.arg.string({ defaultValue: 'UTC', description: 'By whose clock days, weeks and months begin: Europe/Berlin.' }),
    },
    complexity: { field: 100, multiplier: 20 },
    resolve: async (_root, { from, to, by, channelId, ownerId, policyId, goal, timeZone }, { db, see, concerned }) => {
      const { helpDeskId } = await see();
      // Goals are the help desk's alone (SLA-11).
      if (helpDeskId === null) throw new Forbidden('access to the help desk');
      concerned.places.add(helpDeskId);
      const lines = await readSlaReport(db, {
        from,
        to,
        by,
        goal: goal ?? null,
        timeZone: timeZone ?? 'UTC',
        channelId: channelId?.id ?? null,
        ownerId: ownerId?.id ?? null,
        policyId: policyId?.id ?? null,
      });
      return { lines: lines.map((line) => ({ ...line, by })) };
    },
  }),
);
