import { randomUUID } from 'node:crypto';
import type { PageContext } from '@trunkline/channel-sdk';
import { closedPage, formAgain, onToThanks } from './answers.ts';
import { checkSubmission, type FieldError } from './check.ts';
import { corsHeaders, isAllowed } from './origins.ts';
import type { FormSettings } from './settings.ts';
import { AFTER_A_MINUTE, AFTER_A_MOMENT, isRobot, mayCome, readRequest, SAYINGS, storeSubmission, submissionId } from './submission.ts';

/** Why nothing was taken in. */
interface Refused {
  readonly status: number;
  readonly code: 'TooMany' | 'FormClosed' | 'OriginNotAllowed' | 'Unreadable' | 'InvalidFields' | 'Unavailable';
  readonly errors: readonly FieldError[];
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * What a JSON client sends, or a form on a page of the account's own, which gets a page for its answer. Neither was shown anything by us, so
 * there is no proof of when: the limit and the trap must do.
 */
export async function fromEndpoint(request: Request, context: PageContext<FormSettings>): Promise<Response> {
  const sent = await readRequest(request);
  const { settings } = context.channel;
  const origin = request.headers.get('origin');
  const foreign = origin !== null && !isAllowed(origin, settings, context.pageUrl);
  const wantsPage = (request.headers.get('accept') ?? '').includes('text/html');
  const headers = { ...corsHeaders(foreign ? null : origin), 'cache-control': 'no-store' };

  async function takeIn(): Promise<{ readonly id: string } | Refused> {
    if (!(await mayCome(request, context))) return refused(429, 'TooMany', SAYINGS.tooMany, AFTER_A_MINUTE);
    if (!context.channel.enabled) return refused(403, 'FormClosed', settings.closedText);
    if (foreign) return refused(403, 'OriginNotAllowed', SAYINGS.foreign);
    if (sent.unreadable !== undefined) return refused(sent.unreadable.status, 'Unreadable', sent.unreadable.message);
    if (isRobot(sent.submitted, context)) return { id: randomUUID().replaceAll('-', '') };
    const checked = checkSubmission(settings, sent.submitted);
    if (checked.errors.length > 0) return { status: 422, code: 'InvalidFields', errors: checked.errors };
    // A client that may try again says so by a key of its own; without one, each time is another.
    const key = request.headers.get('idempotency-key')?.slice(0, 200);
    const id = submissionId(key === undefined ? `once ${randomUUID()}` : `key ${key}`, checked);
    return (await storeSubmission(context, sent, id)) ? { id } : refused(503, 'Unavailable', SAYINGS.unstored, AFTER_A_MOMENT);
  }

  const outcome = await takeIn();
  if ('id' in outcome) return wantsPage ? onToThanks(context, sent.submitted) : Response.json({ id: outcome.id }, { status: 201, headers });
  const { status, code, errors } = outcome;
  if (!wantsPage) return Response.json({ code, errors }, { status, headers: { ...headers, ...outcome.headers } });
  if (code === 'FormClosed') return closedPage(context, status);
  const notice = errors.find(({ field }) => field === null)?.message ?? null;
  return formAgain(context, sent.submitted, { ...outcome, errors: notice === null ? errors : [], notice });
}

function refused(status: number, code: Refused['code'], message: string, headers: Refused['headers'] = {}): Refused {
  return { status, code, errors: [{ field: null, message }], headers };
}
