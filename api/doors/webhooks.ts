import type { IncomingMessage } from 'node:http';
import { ChannelFailure, isChannelFailure, type RawDelivery, type Verdict } from '@trunkline/channel-sdk';
import { readOnlyState } from '#commands/channel-state.ts';
import type { ClientAddress } from '../client-address.ts';
import type { Bodies, BodyRefusal } from './bodies.ts';
import type { DoorChannel } from './channel-cache.ts';
import type { Doorkeeper } from './doorkeeper.ts';

/** Seconds after which a provider may come again. */
const RETRY_AFTER = '5';
/** Milliseconds `verify` may take: it calls nobody. Beyond it the provider is told to come again. */
export const VERIFY_MS = 10_000;

export interface WebhooksDeps {
  readonly keeper: Doorkeeper;
  readonly bodies: Bodies;
  readonly clientAddress: ClientAddress;
  /** Milliseconds in place of `VERIFY_MS`. */
  readonly verifyMs?: number;
}

/**
 * One webhook: authentic, stored, answered; what it says is looked at later. Nothing is acknowledged that is not in the database, and
 * nothing but the database is waited for.
 */
export async function receiveWebhook(
  { keeper, bodies, clientAddress, verifyMs }: WebhooksDeps,
  request: Request,
  path: { readonly plugin: string; readonly channelKey: string; readonly pathAndQuery: string },
  incoming: IncomingMessage | undefined,
): Promise<Response> {
  let door: DoorChannel | undefined;
  try {
    door = (await keeper.find(path.channelKey)) ?? (await findConnecting(keeper, path.channelKey));
  } catch {
    keeper.log('a channel could not be read', {});
    return unavailable();
  }
  if (door?.plugin.verify === undefined || door.plugin.key !== path.plugin) return new Response(null, { status: 404 });
  const { maxDeliveryBytes } = door.plugin.capabilities;
  const body = await bodies.read(request, incoming, { address: clientAddress(request, incoming), maxBytes: maxDeliveryBytes });
  if ('refused' in body) return new Response(null, UNREAD[body.refused]);
  const raw = rawOf(keeper, request, incoming, path.pathAndQuery, body.bytes);
  try {
    const verdict = await verified(keeper, door, raw, verifyMs);
    if (verdict.store) await keeper.store(door, raw);
    return verdict.answer;
  } catch (error) {
    return refuse(keeper, error, { channel: door.channel.key });
  } finally {
    body.release();
  }
}

/** What the plugin says of a delivery. One that it can not judge yet has what it lacks renewed, for the provider comes again. */
export async function verified(keeper: Doorkeeper, door: DoorChannel, raw: RawDelivery, verifyMs = VERIFY_MS): Promise<Verdict> {
  if (door.plugin.verify === undefined) throw new ChannelFailure({ code: 'Unauthentic' });
  const timeUp = Promise.withResolvers<never>();
  // Its body is held in memory meanwhile, which is everybody's.
  const timer = setTimeout(() => timeUp.reject(new VerifyTimedOut()), verifyMs);
  try {
    const verdict = await Promise.race([door.plugin.verify(raw, verifyContext(door)), timeUp.promise]);
    // One that was given before is of no more use, and what is no answer would fail only once the delivery is stored.
    if (!(verdict?.answer instanceof Response) || verdict.answer.bodyUsed) throw new TypeError('verify gave no answer');
    return verdict;
  } catch (error) {
    if (isChannelFailure(error) && error.failure.code === 'Unavailable') keeper.askRenewal(door);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

class VerifyTimedOut extends Error {
  override readonly name = 'VerifyTimedOut';
}

/** What a plugin verifies with: the channel's state is only to be read. */
function verifyContext({ context }: DoorChannel): DoorChannel['context'] {
  return context.state === undefined ? context : { ...context, state: readOnlyState(context.state) };
}

/** Keys come from an address, where anything may stand. */
async function findConnecting(keeper: Doorkeeper, key: string): Promise<DoorChannel | undefined> {
  return /^[a-z0-9-]{3,60}$/.test(key) ? (await keeper.findConnecting({ key }))[0] : undefined;
}

/** Who may come again with the same is told when. */
export const UNREAD: Readonly<Record<BodyRefusal, ResponseInit>> = {
  TooLarge: { status: 413, headers: { connection: 'close' } },
  TooManyOfAddress: { status: 429, headers: { connection: 'close', 'retry-after': RETRY_AFTER } },
  TooMuchOfAll: { status: 503, headers: { connection: 'close', 'retry-after': RETRY_AFTER } },
  TooSlow: { status: 408, headers: { connection: 'close' } },
  BrokenOff: { status: 400, headers: { connection: 'close' } },
};

/** The delivery as it came, from outside any proxy. */
export function rawOf(keeper: Doorkeeper, request: Request, incoming: IncomingMessage | undefined, pathAndQuery: string, body: Uint8Array): RawDelivery {
  return {
    method: request.method,
    url: keeper.publicUrl + pathAndQuery,
    headers: headersOf(request, incoming),
    body,
    receivedAt: new Date(keeper.now()).toISOString(),
  };
}

/** Only what Node parsed; a name that came twice is joined as HTTP says. */
function headersOf(request: Request, incoming: IncomingMessage | undefined): Record<string, string> {
  if (incoming === undefined) return Object.fromEntries(request.headers);
  const headers: Record<string, string> = {};
  for (const name in incoming.headers) {
    const value = incoming.headers[name];
    if (value !== undefined) headers[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return headers;
}

/** What a provider is told of a delivery that was not taken. */
export function refuse(keeper: Doorkeeper, error: unknown, named: Readonly<Record<string, string>>): Response {
  const code = isChannelFailure(error) ? error.failure.code : error instanceof VerifyTimedOut ? 'TimedOut' : 'Unexpected';
  keeper.log('a delivery was not taken', { ...named, code });
  switch (code) {
    case 'Unauthentic':
      return new Response(null, { status: 401 });
    case 'Malformed':
    case 'Rejected':
      return new Response(null, { status: 400 });
    case 'Unavailable':
    case 'RateLimited':
    case 'TimedOut':
      return unavailable();
    default:
      return new Response(null, { status: 500 });
  }
}

function unavailable(): Response {
  return new Response(null, { status: 503, headers: { 'retry-after': RETRY_AFTER } });
}
