/**
 * The contract of a Trunkline channel plugin. A plugin imports this package, Node's own modules and its own packages,
 * and nothing else of Trunkline: it translates between a provider and the events below, and never touches the
 * database, Temporal or GraphQL (PLUG-1, PLUG-2).
 */
export * from './plugin.ts';
export * from './raw-delivery.ts';
export * from './define.ts';
export * from './capabilities.ts';
export * from './events.ts';
export * from './address.ts';
export * from './outbound.ts';
export * from './outbound-refusal.ts';
export * from './context.ts';
export * from './page.ts';
export * from './calls.ts';
export * from './opening-hours.ts';
export * from './failures.ts';
