import type { PageContext } from '@trunkline/channel-sdk';
import { isAllowed } from './origins.ts';
import type { FormSettings } from './settings.ts';

/** Names of the page's own fields; those of a form never begin so. */
export const OWN = { proof: '_shown', trap: '_homepage', embed: '_embed', parent: '_parent' } as const;

/** The page around us, where the form is embedded. */
export interface Embedded {
  /** Its origin, which the form's settings allow; null: it did not say, or is not allowed, and is told nothing. */
  readonly parent: string | null;
}

/** As the snippet names it, in the address or in the form. Null: not embedded. */
export function embeddedIn(
  named: { get(name: string): string | null },
  { channel, pageUrl }: Pick<PageContext<FormSettings>, 'channel' | 'pageUrl'>,
): Embedded | null {
  if (named.get(OWN.embed) === null) return null;
  const parent = named.get(OWN.parent);
  return { parent: parent !== null && isAllowed(parent, channel.settings, pageUrl) ? parent : null };
}
