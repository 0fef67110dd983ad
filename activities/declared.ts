import type { Capabilities, Identity, InboundEvent } from '@trunkline/channel-sdk';

/**
 * Where events are not what their plugin's capabilities declare: a path, never a value; undefined: nowhere. An identity of a kind that it does not
 * name would be matched with the contacts of other channels, and a state that it does not report would be believed of messages it sent.
 */
export function undeclared({ identities, receipts }: Pick<Capabilities, 'identities' | 'receipts'>, events: readonly InboundEvent[]): string | undefined {
  for (const [at, event] of events.entries()) {
    if (identitiesOf(event).some(({ kind }) => !identities.includes(kind))) return `events.${at}: a kind of identity its capabilities do not name`;
    if ((event.type === 'receipt' || event.type === 'watermark') && !receipts.includes(event.state)) {
      return `events.${at}.state: not among the receipts of its capabilities`;
    }
  }
  return undefined;
}

/** Whom an event is matched by. What is only added to them (a typed address) may be of another kind. */
function identitiesOf(event: InboundEvent): readonly Identity[] {
  switch (event.type) {
    case 'message':
      return [event.contact, event.author ?? null, ...event.participants].filter((one) => one !== null);
    case 'call':
      return event.contact === null ? [] : [event.contact];
    case 'identity-changed':
      return [event.old, event.new];
    case 'typing':
    case 'watermark':
    case 'identity-added':
    case 'consent':
    case 'presence':
      return [event.contact];
    case 'receipt':
    case 'catch-up':
    case 'health':
      return [];
  }
}
