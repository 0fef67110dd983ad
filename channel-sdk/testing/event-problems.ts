import { IDENTITY_KINDS, type CallEvent, type Capabilities, type HealthEvent, type Identity, type InboundEvent, type ReceiptEvent } from '../index.ts';

const PHASES: readonly CallEvent['phase'][] = ['ringing', 'answered', 'missed', 'voicemail', 'ended'];
const HEALTHS: readonly HealthEvent['health'][] = ['CONNECTED', 'DEGRADED', 'DISCONNECTED'];
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
  if (event.occurredAt !== undefined && !isTime(event.occurredAt)) problems.push('occurredAt is not ISO 8601');
  JSON.stringify(event, (field, value: unknown) => {
    if (typeof value === 'string' && (!value.isWellFormed() || value.includes('\0'))) problems.push(`${field} holds a letter no database stores`);
    return value;
  });
  const known = (identity: Identity | null, field: string) => {
    if (identity === null) return;
    if (!capabilities.identities.includes(identity.kind)) problems.push(`${field}.kind is not among the declared identities`);
    if (typeof identity.value !== 'string' || identity.value === '') problems.push(`${field}.value is empty`);
  };
  const reported = (state: ReceiptEvent['state']) => {
    if (!capabilities.receipts.includes(state)) problems.push(`state "${state}" is not among the declared receipts`);
  };
  switch (event.type) {
    case 'message':
      if (typeof event.providerMessageId !== 'string' || event.providerMessageId === '') problems.push('providerMessageId is missing');
      if (event.thread.keys.length === 0) problems.push('thread.keys is empty, so no answer finds it');
      known(event.contact, 'contact');
      break;
    case 'receipt':
      reported(event.state);
      break;
    case 'call':
      if (!PHASES.includes(event.phase)) problems.push('phase is none of the contract');
      if (typeof event.providerMessageId !== 'string' || event.providerMessageId === '') problems.push('providerMessageId is missing');
      if (event.durationSeconds !== undefined && !(event.durationSeconds >= 0)) problems.push('durationSeconds is no number of seconds');
      known(event.contact, 'contact');
      break;
    case 'typing':
      if (!capabilities.typing) problems.push('typing is not declared');
      known(event.contact, 'contact');
      break;
    case 'watermark':
      reported(event.state);
      if (!isTime(event.through)) problems.push('through is not ISO 8601');
      known(event.contact, 'contact');
      break;
    case 'consent':
      if (event.purpose === 'processing' && capabilities.consent !== true) problems.push('consent to processing is not declared');
      if (event.purpose !== 'processing' && event.purpose !== 'business-initiated') problems.push('purpose is none of the contract');
      if (typeof event.given !== 'boolean') problems.push('given is neither yes nor no');
      known(event.contact, 'contact');
      break;
    case 'presence':
      if (typeof event.here !== 'boolean') problems.push('here is neither yes nor no');
      known(event.contact, 'contact');
      break;
    case 'identity-changed':
      known(event.old, 'old');
      known(event.new, 'new');
      if (event.old.kind === event.new.kind && event.old.value === event.new.value) problems.push('old and new are the same');
      break;
    case 'identity-added':
      known(event.contact, 'contact');
      if (!IDENTITY_KINDS.includes(event.added.kind) || event.added.value === '') problems.push('added is no identity');
      break;
    case 'catch-up':
      if (!capabilities.inbound.includes('catch-up')) problems.push('catch-up is not declared');
      if (event.why !== 'news' && event.why !== 'gap') problems.push('why is none of the contract');
      break;
    case 'health':
      if (!HEALTHS.includes(event.health)) problems.push('health is none of the contract');
      if (typeof event.reason !== 'string' || event.reason === '') problems.push('reason is missing');
      break;
    default:
      problems.push('type is none of the contract');
  }
  return problems;
}

function isTime(text: string): boolean {
  return ISO.test(text) && Number.isFinite(Date.parse(text));
}
