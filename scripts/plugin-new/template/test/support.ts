import { readdirSync, readFileSync } from 'node:fs';
import { isChannelFailure, type ChannelInfo, type OutboundMessage, type PluginContext, type RawDelivery } from '@trunkline/channel-sdk';
import { settings, type Settings } from '../settings.ts';
import { samples } from './samples.ts';

/** A delivery as it stands in `fixtures/`, and what it must give. */
export interface Recorded {
  readonly file: string;
  readonly raw: RawDelivery;
  /** Part of each event, in order: what is named must be equal. */
  readonly gives: readonly Readonly<Record<string, unknown>>[];
}

/** Every delivery in `fixtures/`. */
export function recordings(): readonly Recorded[] {
  const folder = new URL('../fixtures/', import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => {
      const { body, encoding, gives, ...raw } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Omit<RawDelivery, 'body'> & {
        readonly body: string;
        readonly encoding: 'utf8' | 'base64';
        readonly gives: Recorded['gives'];
      };
      return { file, gives, raw: { ...raw, body: new Uint8Array(Buffer.from(body, encoding)) } };
    });
}

/** A connected channel with the samples' settings. */
export async function channel(): Promise<ChannelInfo<Settings>> {
  const result = await settings['~standard'].validate(samples.settings.valid);
  if (result.issues !== undefined) throw new Error('the settings of the samples are refused');
  return { key: 'sample-1', address: result.value.account, name: 'Sample', enabled: true, settings: result.value };
}

/** What the engine hands to each function; `provider` stands in for the provider's API. */
export async function context(provider: typeof fetch = () => Promise.reject(new Error('nobody may be called here'))): Promise<PluginContext<Settings>> {
  return {
    channel: await channel(),
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
    fetch: provider,
    sign: (text) => text,
    log: () => undefined,
    signal: AbortSignal.timeout(10_000),
  };
}

/** An agent's reply. */
export const reply: OutboundMessage = {
  id: 'reply-1',
  kind: 'reply',
  to: { kind: 'scoped-id', value: 'person-1' },
  cc: [],
  subject: null,
  text: 'Good morning.',
  html: null,
  author: null,
  sender: 'person',
  precedingIds: [],
  inReplyTo: null,
  attachments: [],
};

/** Which failure it ends with; 'none' where it does not. */
export async function failureOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return isChannelFailure(error) ? error.failure.code : `not a ChannelFailure: ${String(error)}`;
  }
}
