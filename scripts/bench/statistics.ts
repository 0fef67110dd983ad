/** The middle of an odd number of figures, the mean of the two middle ones of an even number. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The smallest figure that at least `share` of all figures do not exceed. */
export function percentile(figures: readonly number[], share: number): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Two decimal places, for tables and the JSON line. */
export function rounded(figure: number): number {
  return Math.round(figure * 100) / 100;
}

export interface Row {
  readonly what: string;
  readonly ours: string;
  readonly bare: string;
  readonly ratio: string;
  readonly wanted: string;
}

/** Prints a table with aligned columns. */
export function printTable(rows: readonly Row[]): void {
  const head: Row = { what: 'figure', ours: 'ours', bare: 'baseline', ratio: 'ratio', wanted: 'wanted' };
  const keys = ['what', 'ours', 'bare', 'ratio', 'wanted'] as const;
  const widths = keys.map((key) => Math.max(...[head, ...rows].map((row) => row[key].length)));
  for (const row of [head, ...rows]) console.log(keys.map((key, index) => row[key].padEnd(widths[index] ?? 0)).join('  '));
}
