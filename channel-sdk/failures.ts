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
    super(describeFailure(failure), options);
    this.name = 'ChannelFailure';
    this.failure = failure;
  }
}

/** Whether an error is a `ChannelFailure`. By name too: a plugin may bring its own copy of this package, whose class is another. */
export function isChannelFailure(error: unknown): error is ChannelFailure {
  if (error instanceof ChannelFailure) return true;
  if (!(error instanceof Error) || error.name !== 'ChannelFailure' || !('failure' in error)) return false;
  const { failure } = error;
  return typeof failure === 'object' && failure !== null && 'code' in failure && typeof failure.code === 'string';
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
