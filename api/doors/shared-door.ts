import type { IncomingMessage } from 'node:http';
import { ChannelFailure, isChannelFailure, type RawDelivery, type Verdict } from '@trunkline/channel-sdk';
import type { DoorChannel } from './channel-cache.ts';
import { rawOf, refuse, UNREAD, verified, type WebhooksDeps } from './webhooks.ts';

/**
 * The one webhook of a provider that has one for all accounts of an app. Its plugin names the connected addresses a delivery speaks of; it is
 * stored for each of them that finds it authentic, for all of these or for none. A handshake speaks of nobody: every channel is asked, and the first that
 * finds it authentic answers. Where nobody does it is refused. What speaks only of addresses that nobody has here is let go: refused again and again, a provider
 * would turn the webhook off for everybody.
 */
export async function receiveShared(
  deps: WebhooksDeps,
  request: Request,
  path: { readonly plugin: string; readonly pathAndQuery: string },
  incoming: IncomingMessage | undefined,
): Promise<Response> {
  const { keeper, bodies, clientAddress } = deps;
  const plugin = keeper.plugin(path.plugin);
  if (plugin?.sharedDoor === undefined || plugin.verify === undefined) return new Response(null, { status: 404 });
  const body = await bodies.read(request, incoming, { address: clientAddress(request, incoming), maxBytes: plugin.capabilities.maxDeliveryBytes });
  if ('refused' in body) return new Response(null, UNREAD[body.refused]);
  try {
    const raw = rawOf(keeper, request, incoming, path.pathAndQuery, body.bytes);
    const named = plugin.sharedDoor(raw);
    return await (named === 'any' ? askEach(deps, plugin.key, raw) : takeForAll(deps, plugin.key, named, raw));
  } catch (error) {
    return error instanceof DoorFailure ? refuse(keeper, error.cause, { channel: error.door.channel.key }) : refuse(keeper, error, { plugin: plugin.key });
  } finally {
    body.release();
  }
}

/** Those that are being connected first: a handshake is most often theirs. */
async function askEach(deps: WebhooksDeps, plugin: string, raw: RawDelivery): Promise<Response> {
  const { keeper } = deps;
  for (const door of await keeper.findConnecting({ plugin })) {
    const answered = await answerOf(door);
    if (answered !== undefined) return answered;
  }
  for (const key of await keeper.keysOf(plugin, 'any')) {
    const door = await keeper.find(key);
    const answered = door === undefined ? undefined : await answerOf(door);
    if (answered !== undefined) return answered;
  }
  return unauthentic();

  async function answerOf(door: DoorChannel): Promise<Response | undefined> {
    const verdict = await verdictOf(deps, door, raw);
    if (verdict?.store === true) await keeper.store(door, raw);
    return verdict?.answer;
  }
}

async function takeForAll(deps: WebhooksDeps, plugin: string, addresses: readonly string[], raw: RawDelivery): Promise<Response> {
  const { keeper } = deps;
  const taking: DoorChannel[] = [];
  let answer: Response | undefined;
  // Those being connected come first: by the time the others are read one of them may be a channel, and none is missed between the two.
  const connecting = (await keeper.findConnecting({ plugin })).filter(({ channel }) => addresses.includes(channel.info.address));
  const keys = await keeper.keysOf(plugin, addresses);
  if (connecting.length === 0 && keys.length === 0) {
    keeper.log('a delivery for nobody was let go', { plugin, addresses: addresses.length });
    return new Response(null, { status: 200 });
  }
  for (const door of connecting) {
    // There is nothing yet to keep it for; its provider comes again.
    if ((await verdictOf(deps, door, raw))?.store === true) {
      throw new DoorFailure(door, new ChannelFailure({ code: 'Unavailable', reason: 'the channel is being connected' }));
    }
  }
  for (const key of keys) {
    const door = await keeper.find(key);
    const verdict = door === undefined ? undefined : await verdictOf(deps, door, raw);
    if (door === undefined || verdict === undefined) continue;
    answer ??= verdict.answer;
    if (verdict.store) taking.push(door);
  }
  if (answer === undefined) return unauthentic();
  await keeper.storeForAll(taking, raw);
  return answer;
}

/** Undefined: not authentic for this channel, whose secret may be another app's. What else goes wrong is nobody's no, and is thrown. */
async function verdictOf({ keeper, verifyMs }: WebhooksDeps, door: DoorChannel, raw: RawDelivery): Promise<Verdict | undefined> {
  try {
    return await verified(keeper, door, raw, verifyMs);
  } catch (error) {
    if (isChannelFailure(error) && error.failure.code === 'Unauthentic') return undefined;
    throw new DoorFailure(door, error);
  }
}

/** Which channel could not say. */
class DoorFailure extends Error {
  readonly door: DoorChannel;
  constructor(door: DoorChannel, cause: unknown) {
    super('a channel could not verify a delivery', { cause });
    this.door = door;
  }
}

function unauthentic(): Response {
  return new Response(null, { status: 401 });
}
