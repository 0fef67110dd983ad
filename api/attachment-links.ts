import { timingSafeEqual } from 'node:crypto';
import type { Keys } from '#commands/secrets.ts';
import { LIMITS } from './limits.ts';

/** What a link needs: the deployment's keys, and where the API is reached; without that it is relative. */
export interface LinkDeps {
  readonly keys: Pick<Keys, 'signLink'>;
  readonly publicUrl?: string;
}

/** Links are the same for so many seconds, so that a browser that has a picture need not fetch it again. */
const STEADY_SECONDS = 300;

/**
 * Where an attachment can be fetched without a token, as an `<img>` does, by whoever has the link, for at most a quarter of an hour: given out only to those who may
 * see it, signed by the deployment.
 */
export function attachmentLink({ keys, publicUrl = '' }: LinkDeps, attachmentId: string, now = Date.now()): string {
  const steady = Math.floor(now / 1000 / STEADY_SECONDS) * STEADY_SECONDS;
  const until = steady + LIMITS.attachmentLinkSeconds;
  return `${publicUrl}/attachments/${attachmentId}?until=${until}&sig=${keys.signLink(signed(attachmentId, until))}`;
}

/** `forged`: we never signed it. `over`: we did, and its time is up. */
export function judgeLink(
  keys: Pick<Keys, 'signLink'>,
  attachmentId: string,
  link: { readonly until: string; readonly signature: string },
  now = Date.now(),
): 'good' | 'over' | 'forged' {
  const until = /^\d{1,12}$/.test(link.until) ? Number(link.until) : Number.NaN;
  const given = Buffer.from(link.signature);
  const wanted = Buffer.from(keys.signLink(signed(attachmentId, until)));
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return 'forged';
  return until * 1000 > now ? 'good' : 'over';
}

function signed(attachmentId: string, until: number): string {
  return `attachment ${attachmentId} ${until}`;
}
