import type { Capabilities, Identity, InboundEvent } from '../index.ts';

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** What keeps events from being stored or from keeping to the capabilities; empty: nothing. */
export function eventProblems(events: readonly InboundEvent[], capabilities: Capabilities): string[] {
  if (!Array.isArray(events)) return ['what it gives is not a list of events'];
  const problems = events.flatMap((event, index) => problemsOf(event, capabilities).map((problem) => `event ${index}: ${problem}`));
  const keys = new Set(events.map(({ dedupeKey }) => dedupeKey));
  if (keys.size < events.length) problems.push('two events of one delivery share a dedupeKey, so the second is lost');
  return problems;
}

function problemsOf(event: InboundEvent, capabilities: Capabilities): string[] {
  const problems: string[] = [];
  if (typeof event.dedupeKey !== 'string' || event.dedupeKey === '') problems.push('dedupeKey is missing');
  if (event.occurredAt !== undefined && !(ISO.test(event.occurredAt) && Number.isFinite(Date.parse(event.occurredAt))))
    problems.push('occurredAt is not ISO 8601');
  JSON.stringify(event, (field, value: unknown) => {
    if (typeof value === 'string' && (!value.isWellFormed() || value.includes('\0'))) problems.push(`${field} holds a letter no database stores`);
    return value;
  });
  const known = (identity: Identity | null, field: string) => {
    if (identity === null) return;
    if (!capabilities.identities.includes(identity.kind)) problems.push(`${field}.kind is not among the declared identities`);
    if (typeof identity.value !== 'string' || identity.value === '') problems.push(`${field}.value is empty`);
  };
  switch (event.type) {
    case 'message':
      if (typeof event.providerMessageId !== 'string' || event.providerMessageId === '') problems.push('providerMessageId is missing');
      if (event.thread.keys.length === 0) problems.push('thread.keys is empty, so no answer finds it');
      known(event.contact, 'contact');
      break;
    case 'receipt':
      if (!capabilities.receipts.includes(event.state)) problems.push(`state "${event.state}" is not among the declared receipts`);
      break;
    case 'call':
    case 'typing':
    case 'watermark':
    case 'consent':
    case 'presence':
      known(event.contact, 'contact');
      break;
    case 'identity-changed':
    case 'identity-added':
    case 'catch-up':
    case 'health':
      break;
    default:
      problems.push('type is none of the contract');
  }
  return problems;
}
