import type { PageContext } from '@trunkline/channel-sdk';
import type { FieldProblem } from './said.ts';
import type { ChatSettings } from './settings.ts';

/** Whether pages of a site may carry the widget. Ours always may; a request without an origin is from no other site's script. */
export function isAllowed(origin: string | null, { channel, pageUrl }: Pick<PageContext<ChatSettings>, 'channel' | 'pageUrl'>): boolean {
  const { allowedOrigins } = channel.settings;
  return (
    origin === null || allowedOrigins.length === 0 || allowedOrigins.includes('*') || allowedOrigins.includes(origin) || origin === new URL(pageUrl).origin
  );
}

/** Headers of every answer. `origin`: of an allowed site, whose script may read it; it carries no cookies, so nobody is signed in by them. */
export function headersFor(origin: string | null): Record<string, string> {
  return {
    vary: 'origin',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(origin === null ? {} : { 'access-control-allow-origin': origin, 'access-control-expose-headers': 'retry-after' }),
  };
}

export const PREFLIGHT: Readonly<Record<string, string>> = {
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'authorization, content-type, last-event-id',
  'access-control-max-age': '600',
};

const REFUSALS = {
  Unauthentic: [401, 'This token is not ours: ask for a new one.'],
  OriginNotAllowed: [403, 'This chat does not take what that site sends.'],
  NotFound: [404, 'There is no such address.'],
  WrongMethod: [405, 'This address does not take that method.'],
  NoAddress: [409, 'We have no email address to send it to.'],
  NoConversation: [409, 'There is nothing to send yet.'],
  NotOffered: [409, 'This chat sends no transcripts.'],
  TooLarge: [413, 'This is too large: send less at once.'],
  Invalid: [422, 'This can not be read.'],
  TooMany: [429, 'No more transcripts can be sent for now. Please try again later.'],
  Unavailable: [503, 'We could not take it in just now. Please try again in a moment.'],
} as const;

export type RefusalCode = keyof typeof REFUSALS;

/** Seconds after which it may be tried again: of a day's limit an hour, for nobody is told how full it is; a moment. */
const RETRY_AFTER: Partial<Readonly<Record<RefusalCode, string>>> = { TooMany: '3600', Unavailable: '5' };

/** Says no, and why, in one shape for all of them. */
export function refuse(origin: string | null, code: RefusalCode, problems?: readonly FieldProblem[], more: Readonly<Record<string, string>> = {}): Response {
  const [status, message] = REFUSALS[code];
  const after = RETRY_AFTER[code];
  const headers = { ...headersFor(origin), ...(after === undefined ? {} : { 'retry-after': after }), ...more };
  return Response.json({ code, errors: problems ?? [{ field: null, message }] }, { status, headers });
}
