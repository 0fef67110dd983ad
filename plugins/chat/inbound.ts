import type { Identity } from '@trunkline/channel-sdk';
import { headersFor, refuse } from './answers.ts';
import { keep } from './kept.ts';
import { MAX_READ_BYTES, MAX_SAID_BYTES, readSaid, readThrough, storedSaid } from './said.ts';
import type { Visit } from './visit.ts';

/** A message of the visitor's: checked, stored without whatever else was sent, answered once it is stored. A second try with the same id is one message (CHAT-2). */
export async function readMessage({ request, context, origin }: Visit, visitor: Identity): Promise<Response> {
  const body = await bodyOf(request, MAX_SAID_BYTES);
  if (body === undefined) return refuse(origin, 'TooLarge');
  const outcome = readSaid(body);
  if ('problems' in outcome) return refuse(origin, 'Invalid', outcome.problems);
  if (!(await keep(context, 'message', visitor.value, storedSaid(outcome.said)))) return refuse(origin, 'Unavailable');
  return Response.json({ id: outcome.said.id }, { status: 202, headers: headersFor(origin) });
}

/** Up to when the visitor has seen what we wrote. */
export async function readReceipt({ request, context, origin }: Visit, visitor: Identity): Promise<Response> {
  const body = await bodyOf(request, MAX_READ_BYTES);
  if (body === undefined) return refuse(origin, 'TooLarge');
  const outcome = readThrough(body);
  if ('problems' in outcome) return refuse(origin, 'Invalid', outcome.problems);
  if (!(await keep(context, 'read', visitor.value, Buffer.from(JSON.stringify(outcome))))) return refuse(origin, 'Unavailable');
  return new Response(null, { status: 204, headers: headersFor(origin) });
}

/** Undefined: more than that. The engine has read no more than the plugin's `maxDeliveryBytes` by then. */
async function bodyOf(request: Request, maxBytes: number): Promise<Uint8Array | undefined> {
  const body = new Uint8Array(await request.arrayBuffer());
  return body.byteLength > maxBytes ? undefined : body;
}
