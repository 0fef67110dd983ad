import { parentPort, workerData } from 'node:worker_threads';
import { isChannelFailure, type AttachmentRef, type Plugin, type PluginContext, type RawDelivery } from '@trunkline/channel-sdk';
import { safeParts } from '#commands/safe-html.ts';
import { signText } from '#commands/secrets.ts';
import { cleanText } from './clean-text.ts';
import type { ParseAnswer, ParseRequest, ThreadData } from './parse-messages.ts';

/**
 * A parsing thread: one plugin, one channel, one delivery at a time. It may loop, crash or swell; the pool ends it then and
 * nothing else is lost (PLUG-11). It has no database, no network through its context, and says nothing of what it reads.
 */
async function main(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('parse-thread.ts runs as a worker thread only');
  const { configUrl, pluginKey } = workerData as ThreadData;
  const module = (await import(configUrl)) as { readonly default: { readonly plugins: readonly Plugin[] } };
  const plugin = module.default.plugins.find((one) => one.key === pluginKey);
  if (plugin === undefined) throw new Error(`the config names no plugin "${pluginKey}"`);
  const answer = (message: ParseAnswer): void => port.postMessage(message, message.type === 'files' ? buffersOf(message.files) : []);
  // One at a time, in the order of asking, also where the plugin waits for something.
  let turn = Promise.resolve();
  port.on('message', (request: ParseRequest) => {
    turn = turn.then(() => work(plugin, request, answer));
  });
  answer({ type: 'ready' });
}

/** Tells the events first and what may be shown of their HTML after that: HTML made to be slow costs its mail its looks and nothing else. */
async function work(plugin: Plugin, request: ParseRequest, answer: (message: ParseAnswer) => void): Promise<void> {
  const first = await parse(plugin, request);
  answer(first);
  if (first.type === 'events' && first.html) answer({ type: 'safe', id: first.id, safe: safeParts(first.events) });
}

async function parse(plugin: Plugin, { id, channel, signingKey, raw, refs, given }: ParseRequest): Promise<ParseAnswer> {
  try {
    const context: PluginContext<unknown> = {
      channel,
      now: () => Date.now(),
      fetch: () => Promise.reject(new Error('parse must not call anybody')),
      sign: (text) => signText(signingKey, text),
      log: () => undefined,
      signal: new AbortController().signal,
    };
    if (refs !== undefined) return { type: 'files', id, files: await filesOf(plugin, refs, raw, context) };
    const events = cleanText(given ?? (await plugin.parse(raw, context)));
    return { type: 'events', id, events, html: bringsHtml(events) };
  } catch (error) {
    if (isChannelFailure(error)) return { type: 'failure', id, failure: error.failure };
    return { type: 'error', id, error: error instanceof Error ? error.name : typeof error };
  }
}

function bringsHtml(events: unknown): boolean {
  return Array.isArray(events) && events.some((event: unknown) => typeof event === 'object' && event !== null && ('html' in event || 'quoted' in event));
}

/** Each in memory of its own: what is a part of something larger would take all of that along. */
async function filesOf(plugin: Plugin, refs: readonly AttachmentRef[], raw: RawDelivery, context: PluginContext<unknown>): Promise<unknown> {
  const files: unknown = await plugin.extractAttachments?.(refs, raw, context);
  if (!Array.isArray(files)) return files;
  return files.map((file: unknown) => (file instanceof Uint8Array ? new Uint8Array(file) : file));
}

function buffersOf(files: unknown): ArrayBuffer[] {
  if (!Array.isArray(files)) return [];
  return files.flatMap((file: unknown) => (file instanceof Uint8Array && file.buffer instanceof ArrayBuffer ? [file.buffer] : []));
}

await main();
