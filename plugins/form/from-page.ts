import type { PageContext } from '@trunkline/channel-sdk';
import { closedPage, formAgain, onToThanks } from './answers.ts';
import { checkSubmission } from './check.ts';
import { OWN } from './embedded.ts';
import { readProof, type Proof } from './proof.ts';
import type { FormSettings } from './settings.ts';
import { AFTER_A_MINUTE, AFTER_A_MOMENT, firstValue, isRobot, mayCome, readRequest, SAYINGS, storeSubmission, submissionId } from './submission.ts';

const NOTICES: Readonly<Record<Exclude<Proof['kind'], 'good'>, string>> = {
  'too-fast': 'That was very quick. Please look it over and send it again.',
  'too-old': 'This form was open for more than a day. Please look it over and send it again.',
  missing: 'Please look it over and send it again.',
};

/** What our own page sends. */
export async function fromPage(request: Request, context: PageContext<FormSettings>): Promise<Response> {
  const { settings, enabled } = context.channel;
  const sent = await readRequest(request);
  const { submitted, unreadable } = sent;
  const proof = readProof(firstValue(submitted, OWN.proof), context.now(), context.sign);
  // What was opened while the form was open is taken in, as CH-9 has it of what arrives; to everybody else it is closed.
  if (!enabled && proof.kind !== 'good') return closedPage(context, 403);
  if (!(await mayCome(request, context))) return formAgain(context, submitted, { status: 429, notice: SAYINGS.tooMany, headers: AFTER_A_MINUTE });
  if (unreadable !== undefined) return formAgain(context, submitted, { status: unreadable.status, notice: unreadable.message });
  if (isRobot(submitted, context)) return onToThanks(context, submitted);
  if (proof.kind !== 'good') return formAgain(context, submitted, { status: 422, notice: NOTICES[proof.kind] });
  const checked = checkSubmission(settings, submitted);
  if (checked.errors.length > 0) return formAgain(context, submitted, { status: 422, errors: checked.errors });
  if (await storeSubmission(context, sent, submissionId(`page ${proof.token}`, checked))) return onToThanks(context, submitted);
  return formAgain(context, submitted, { status: 503, notice: SAYINGS.unstored, headers: AFTER_A_MOMENT });
}
