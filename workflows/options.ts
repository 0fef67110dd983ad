/** Tried for ever: with PostgreSQL away for an hour everything waits and nothing fails. Short intervals, for people wait. */
export const RETRY = { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '15s' } as const;

/** From now (the workflow's own clock) until an instant; at least a little, so that a timer that is early does not spin. */
export function millisecondsUntil(iso: string): number {
  return Math.max(50, Date.parse(iso) - Date.now());
}
