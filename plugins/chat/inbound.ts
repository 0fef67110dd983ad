import type { Identity } from '@trunkline/channel-sdk';
import { headersFor, refuse } from './answers.ts';
import { keep } from './kept.ts';
import { readSaid, readThrough } from './said.ts';
import type { Visit } from './visit.ts';

/** A message of the visitor's: checked, stored as it came, answered once it is stored. A second try with the same id is one message (CHAT-2). */
export async function readMessage({ request, context, origin }: Visit, visitor: Identity): Promise<Response> {
  const body = new Uint8Array(await request.arrayBuffer());
  const outcome = readSaid(body);
  if ('problems' in outcome) return refuse(origin, 'Invalid', outcome.problems);
  if (!(await keep(context, 'message', visitor.value, body))) return refuse(origin, 'Unavailable');
  return Response.json({ id: outcome.said.id }, { status: 202, headers: headersFor(origin) });
}

/** Up to when the visitor has seen what we wrote. */
export async function readReceipt({ request, context, origin }: Visit, visitor: Identity): Promise<Response> {
  const body = new Uint8Array(await request.arrayBuffer());
  const outcome = readThrough(body);
  if ('problems' in outcome) return refuse(origin, 'Invalid', outcome.problems);
  if (!(await keep(context, 'read', visitor.value, body))) return refuse(origin, 'Unavailable');
  return new Response(null, { status: 204, headers: headersFor(origin) });
}
