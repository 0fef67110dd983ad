import { isWorking, nextWorkingChange, type Calendar } from './working-time.ts';

export type AvailabilityState = 'AVAILABLE' | 'AWAY';

/** A stretch in which somebody is out of office: milliseconds since 1970, `[from, to)`. */
export interface OutOfOffice {
  readonly from: number;
  readonly to: number;
}

/** What says when somebody is available (ROUTE-12). */
export interface Plan {
  /** Their working hours in their own time zone; `ALWAYS` where they have none. */
  readonly calendar: Calendar;
  readonly outOfOffice: readonly OutOfOffice[];
}

/** Set by hand at a moment. It holds until the plan's next change after that moment. */
export interface Override {
  readonly state: AvailabilityState;
  readonly at: number;
}

/** What the plan alone says. */
export function plannedState({ calendar, outOfOffice }: Plan, at: number): AvailabilityState {
  if (outOfOffice.some((one) => one.from <= at && at < one.to)) return 'AWAY';
  return isWorking(calendar, at) ? 'AVAILABLE' : 'AWAY';
}

/** The next instant after `at` at which the plan says something else; null where it does not within a year of the last absence. */
export function nextPlannedChange(plan: Plan, at: number): number | null {
  const now = plannedState(plan, at);
  let from = at;
  for (;;) {
    // Nothing changes before an absence is over, however long it is.
    const absence = plan.outOfOffice.find((one) => one.from <= from && from < one.to);
    const next = absence === undefined ? nextEdge(plan, from) : absence.to;
    if (next === null) return null;
    if (plannedState(plan, next) !== now) return next;
    from = next;
  }
}

/** Whether what was set by hand still holds. */
export function overrideHolds(plan: Plan, override: Override, at: number): boolean {
  const held = nextPlannedChange(plan, override.at);
  return held === null || at < held;
}

/** Whether somebody is available, and until when that is certain; `until` null: for good. */
export function availabilityAt(plan: Plan, override: Override | null, at: number): { readonly state: AvailabilityState; readonly until: number | null } {
  if (override !== null && overrideHolds(plan, override, at)) return { state: override.state, until: nextPlannedChange(plan, override.at) };
  return { state: plannedState(plan, at), until: nextPlannedChange(plan, at) };
}

/** The next instant at which either half of the plan changes. */
function nextEdge({ calendar, outOfOffice }: Plan, at: number): number | null {
  const edges = outOfOffice.flatMap((one) => [one.from, one.to]).filter((edge) => edge > at);
  const working = nextWorkingChange(calendar, at);
  if (working !== null) edges.push(working);
  return edges.length === 0 ? null : Math.min(...edges);
}
