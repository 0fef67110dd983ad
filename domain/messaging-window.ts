import type { MessagingWindow } from '@trunkline/channel-sdk';

const HOUR = 3_600_000;

/** What one kind of sender may say to a contact, and until when. */
export interface WindowState {
  /** While it is open: until then. */
  readonly openUntil: Date | null;
  /** Once it has closed: since then. */
  readonly closedAt: Date | null;
  /** What may be sent once it has closed. */
  readonly afterwards: MessagingWindow['afterwards'];
}

/**
 * The window a plugin declares for a sender, after the contact's last message by that channel (its receipt, by our clock). Of several the widest counts, and the
 * moment it closes is no longer in it. Null: none is declared, or the contact has never written there, so that there is none to be outside of.
 */
export function windowState(windows: readonly MessagingWindow[], sender: MessagingWindow['sender'], lastInboundAt: Date | null, now: Date): WindowState | null {
  const own = windows.filter((one) => one.sender === sender);
  if (own.length === 0 || lastInboundAt === null) return null;
  const closes = new Date(lastInboundAt.getTime() + Math.max(...own.map(({ hours }) => hours)) * HOUR);
  const open = now < closes;
  return {
    openUntil: open ? closes : null,
    closedAt: open ? null : closes,
    afterwards: own.some(({ afterwards }) => afterwards === 'template') ? 'template' : 'nothing',
  };
}
