/** Where somebody stands among the members of a rule who take turns (ROUTE-11). */
export interface Turn {
  /** They have had their turn of the running cycle. */
  readonly served: boolean;
  /** The number of their last turn, counted over all members; null: they never had one. */
  readonly last: number | null;
}

/** How far the turns of a rule have come. */
export interface Cycle {
  readonly cycle: number;
  /** The number of the newest turn. */
  readonly turn: number;
}

/**
 * Whose turn comes first. Who has not been served in the running cycle goes before who has; among them whoever has waited longest, and newcomers
 * after those, so that they join the running cycle at its end. Zero: only their ids tell them apart.
 */
export function compareTurns(a: Turn, b: Turn): number {
  return Number(a.served) - Number(b.served) || lastOf(a) - lastOf(b);
}

/** What is noted once somebody got their turn. Where everybody who could get it was served already, their second turn begins a new cycle. */
export function nextCycle(running: Cycle | null, chosen: Turn): Cycle {
  if (running === null) return { cycle: 1, turn: 1 };
  return { cycle: running.cycle + Number(chosen.served), turn: running.turn + 1 };
}

const lastOf = (turn: Turn): number => turn.last ?? Number.MAX_SAFE_INTEGER;
