/** What can go wrong, as data: the engine decides on retries by these and by nothing else (PLUG-6). */
export type Failure =
  /** Not from the provider: a bad or missing signature. */
  | { readonly code: 'Unauthentic' }
  /** The delivery is not what the provider's documentation promises; trying again can not help until the plugin is mended. */
  | { readonly code: 'Malformed'; readonly where: string }
  | { readonly code: 'RateLimited'; readonly retryAfterSeconds: number }
  /** Certain not to have happened; trying again can help. */
  | { readonly code: 'Unavailable'; readonly reason: string }
  /** `closedAt`: ISO 8601, when the window closed. */
  | { readonly code: 'OutsideWindow'; readonly closedAt: string }
  /** The provider said no for good. `reason`: its code or a fixed phrase, never an address or a text. */
  | { readonly code: 'Rejected'; readonly reason: string }
  /** The channel itself is gone: a revoked token, a removed page (CH-4). */
  | { readonly code: 'Disconnected'; readonly reason: string }
  /** It may or may not have happened; it is never tried again by itself (CH-5). */
  | { readonly code: 'MaybeSent'; readonly reason: string };

export type FailureCode = Failure['code'];

/** The only error a plugin throws on purpose. Its message names code and reason, never content. */
export class ChannelFailure extends Error {
  readonly failure: Failure;
  constructor(failure: Failure, options?: { readonly cause?: unknown }) {
    const kept = shortened(failure);
    super(describeFailure(kept), options);
    this.name = 'ChannelFailure';
    this.failure = kept;
  }
}

/** Characters of a reason that are kept: it is a code or a fixed phrase. */
const REASON_CHARACTERS = 500;

/** As it can be stored and logged, whatever a provider put into it. */
function shortened(failure: Failure): Failure {
  const short = (text: string): string => text.slice(0, REASON_CHARACTERS).replaceAll('\0', '').toWellFormed();
  if ('reason' in failure && typeof failure.reason === 'string') return { ...failure, reason: short(failure.reason) };
  if ('where' in failure && typeof failure.where === 'string') return { ...failure, where: short(failure.where) };
  return failure;
}

/**
 * Whether an error is a `ChannelFailure` that says what its code promises; one that does not is as unexpected as any other error. By name too: a
 * plugin may bring its own copy of this package, whose class is another.
 */
export function isChannelFailure(error: unknown): error is ChannelFailure {
  if (!(error instanceof Error) || error.name !== 'ChannelFailure' || !('failure' in error)) return false;
  return isFailure(error.failure);
}

function isFailure(failure: unknown): failure is Failure {
  if (typeof failure !== 'object' || failure === null || !('code' in failure)) return false;
  const field = (name: string): unknown => Reflect.get(failure, name);
  const isText = (given: unknown): boolean => typeof given === 'string' && given.length <= REASON_CHARACTERS;
  switch (failure.code) {
    case 'Unauthentic':
      return true;
    case 'Malformed':
      return isText(field('where'));
    case 'RateLimited':
      // Within a year: PostgreSQL reckons with it.
      return typeof field('retryAfterSeconds') === 'number' && Math.abs(Number(field('retryAfterSeconds'))) <= 366 * 86_400;
    case 'OutsideWindow':
      return isText(field('closedAt'));
    case 'Unavailable':
    case 'Rejected':
    case 'Disconnected':
    case 'MaybeSent':
      return isText(field('reason'));
    default:
      return false;
  }
}

/** Whether trying again, by itself or by hand, can help. */
export function canRetry(failure: Failure): boolean {
  return failure.code === 'RateLimited' || failure.code === 'Unavailable';
}

/** In words, for logs and for people: code and reason. */
export function describeFailure(failure: Failure): string {
  switch (failure.code) {
    case 'Unauthentic':
      return 'Unauthentic: the signature is missing or wrong';
    case 'Malformed':
      return `Malformed: ${failure.where}`;
    case 'RateLimited':
      return `RateLimited: again after ${failure.retryAfterSeconds} s`;
    case 'OutsideWindow':
      return `OutsideWindow: closed at ${failure.closedAt}`;
    case 'Unavailable':
    case 'Rejected':
    case 'Disconnected':
    case 'MaybeSent':
      return `${failure.code}: ${failure.reason}`;
  }
}
