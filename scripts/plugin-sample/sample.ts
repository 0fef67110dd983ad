import type { ChannelInfo, InboundEvent, Plugin, RawDelivery } from '@trunkline/channel-sdk';
import { disguised, form } from './content.ts';
import { createDisguise, escaped } from './disguise.ts';
import type { Stored } from './known.ts';

/** What a plugin's samples say, as far as it is needed here. */
export interface Signer {
  readonly settings: { readonly valid: unknown };
  readonly webhook?: { sign(raw: RawDelivery, channel: ChannelInfo<unknown>): RawDelivery };
}

/** As it stands in a file. */
export interface Sample {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly encoding: 'utf8';
  readonly receivedAt: string;
  /** What it gives, by the plugin as it is now. Absent where the plugin has no samples, for their settings are those it is parsed with. */
  readonly gives?: readonly InboundEvent[];
}

export interface Made {
  readonly sample: Sample;
  /** Whether the plugin's samples signed it anew; the signature it came with is left out in any case. */
  readonly signed: boolean;
}

/** Of the connection, not of the message: secrets, addresses of people and proxies, and a signature over other bytes. */
const LEFT_OUT =
  /^(authorization|cookie|forwarded|via|host|content-length|x-real-ip|true-client-ip|x-forwarded-.*|cf-.*|.*(signature|hmac|secret|token|api-?key).*)$/;

/** Shorter texts ('yes', 'message') may well be a word of the provider's. */
const SHORTEST_TEXT = 12;

/** Makes a sample that holds nobody's data. Throws where that can not be promised, and says nothing of what stands in the delivery. */
export async function makeSample(
  { raw, known, plugin: key, channel: { key: channelKey, address } }: Stored,
  plugin: Plugin | undefined,
  signer: Signer | undefined,
): Promise<Made> {
  const channel = plugin === undefined || signer === undefined ? undefined : await sampleChannel(plugin, signer);
  const disguise = createDisguise({ ...known, own: [address, channel?.address ?? 'our-address'] });
  const text = decoded(raw.body);
  const body = text === undefined ? undefined : disguised(text, raw.headers['content-type'] ?? '', disguise);
  if (body === undefined) {
    throw new Error(
      'The delivery is neither JSON nor a form nor plain text (a mail, say): who stands in it can not be replaced safely. Write its sample by hand.',
    );
  }
  const [, query] = raw.url.split('?', 2);
  const headers = Object.entries(raw.headers).filter(([name]) => !LEFT_OUT.test(name));
  const plain: RawDelivery = {
    method: raw.method,
    url: `https://help.example/hooks/${key}/sample-1${query === undefined ? '' : `?${form(query.replaceAll(channelKey, 'sample-1'), disguise)}`}`,
    headers: Object.fromEntries(headers.map(([name, value]) => [name, disguise.text(value)])),
    body: new Uint8Array(Buffer.from(body)),
    receivedAt: raw.receivedAt,
  };
  refuseLeftovers(
    [body, plain.url, ...Object.values(plain.headers)],
    [...known.identities, ...known.names, ...known.texts.filter((one) => one.length >= SHORTEST_TEXT)],
  );
  const signed = channel === undefined ? undefined : signer?.webhook?.sign(plain, channel);
  const { body: _, ...rest } = signed ?? plain;
  const gives = plugin === undefined || channel === undefined ? undefined : await eventsOf(plugin, channel, signed ?? plain);
  return { sample: { ...rest, body, encoding: 'utf8', ...(gives === undefined ? {} : { gives }) }, signed: signed !== undefined };
}

function decoded(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return undefined;
  }
}

/** The last look: whatever we know of these people must be gone, in every way of writing it down. */
function refuseLeftovers(parts: readonly string[], known: readonly string[]): void {
  const written = parts.flatMap((part) => [part, unescaped(part)]);
  const left = known.filter((one) => {
    const whole = new RegExp(`(?<![\\p{L}\\p{N}])${escaped(one)}(?![\\p{L}\\p{N}])`, 'iu');
    return written.some((part) => whole.test(part));
  });
  if (left.length > 0)
    throw new Error(`${left.length} known names, addresses or texts would still stand in the sample; nothing was written. Write it by hand.`);
}

function unescaped(part: string): string {
  const plain = part.replace(/\\u([0-9a-f]{4})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))).replaceAll('\\/', '/');
  try {
    return decodeURIComponent(plain.replaceAll('+', ' '));
  } catch {
    return plain;
  }
}

async function sampleChannel(plugin: Plugin, { settings }: Signer): Promise<ChannelInfo<unknown>> {
  const result = await plugin.settings['~standard'].validate(settings.valid);
  if (result.issues !== undefined) throw new Error("The valid settings of the plugin's samples are refused by its own schema.");
  return { key: 'sample-1', address: plugin.address(result.value), name: 'Sample', enabled: true, settings: result.value };
}

async function eventsOf(plugin: Plugin, channel: ChannelInfo<unknown>, raw: RawDelivery): Promise<readonly InboundEvent[]> {
  return plugin.parse(raw, {
    channel,
    now: () => Date.parse(raw.receivedAt),
    fetch: () => Promise.reject(new Error('parse must not call anybody')),
    sign: (text) => text,
    log: () => undefined,
    signal: new AbortController().signal,
  });
}
