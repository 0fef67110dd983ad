import { parentPort, workerData } from 'node:worker_threads';
import { isChannelFailure, type Plugin } from '@trunkline/channel-sdk';
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
  const answer = (message: ParseAnswer): void => port.postMessage(message);
  port.on('message', (request: ParseRequest) => void parse(plugin, request).then(answer));
  answer({ type: 'ready' });
}

async function parse(plugin: Plugin, { id, channel, signingKey, raw }: ParseRequest): Promise<ParseAnswer> {
  try {
    const events: unknown = await plugin.parse(raw, {
      channel,
      now: () => Date.now(),
      fetch: () => Promise.reject(new Error('parse must not call anybody')),
      sign: (text) => signText(signingKey, text),
      log: () => undefined,
      signal: new AbortController().signal,
    });
    return { type: 'events', id, events: cleanText(events) };
  } catch (error) {
    if (isChannelFailure(error)) return { type: 'failure', id, failure: error.failure };
    return { type: 'error', id, error: error instanceof Error ? error.name : typeof error };
  }
}

await main();
