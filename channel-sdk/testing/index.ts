/** The suite every channel plugin runs against its own samples, for any test runner. */
export { SAMPLE_NOW } from './bench.ts';
export type { ConformanceCheck } from './check.ts';
export { conformanceChecks, describeConformance, type Runner } from './conformance.ts';
export type * from './samples.ts';
