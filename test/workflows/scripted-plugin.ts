import { ChannelFailure, CONTRACT_VERSION, definePlugin, type AttachmentRef, type InboundEvent, type SendReceipt } from '@trunkline/channel-sdk';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

/** What a scripted delivery asks `parse` to do. */
export type Delivery =
  | {
      readonly do: 'message';
      readonly id: string;
      readonly from: string;
      readonly text: string;
      readonly name?: string;
      readonly files?: readonly ScriptedFile[];
      readonly html?: string;
    }
  | { readonly do: 'loop' | 'crash' | 'swell' | 'swell-outside' | 'throw' | 'wrong' };

/** A file that a delivery carries; `text` is what is in it. */
export interface ScriptedFile {
  readonly name: string;
  readonly text: string;
  readonly type?: string;
  /** What taking it out does in place of it; `lost`: the delivery does not have it. */
  readonly do?: 'loop' | 'crash' | 'throw' | 'wrong' | 'lost';
}

/** What the askable plugin's provider keeps, by the file's text: bytes, or what it fails with. A function is asked each time. */
export const provided = new Map<string, Uint8Array | Error | (() => Promise<Uint8Array>)>();
/** How often the askable plugin's provider was asked for a file. */
export const asked = new Map<string, number>();

/** What was sent, in order; `texts` that begin with a failure's code make `send` fail with it. */
export const sent: { readonly id: string; readonly text: string; readonly conversation: string }[] = [];
/** Message ids `findSent` is to know. */
export const known = new Set<string>();
/** What `findSent` fails with, by text. */
export const unanswered = new Map<string, Error>();
/** How often a text was tried. */
export const tries = new Map<string, number>();

const settings = z.object({ name: z.string(), asks: z.boolean().default(false) });

function scripted(key: string, asks: boolean, chatflows = false) {
  return definePlugin<z.infer<typeof settings>>({
    key,
    name: 'Scripted',
    contract: CONTRACT_VERSION,
    settings,
    secrets: [],
    capabilities: {
      identities: ['visitor'],
      address: 'opaque',
      threading: 'participant',
      joinsParticipantsOnly: false,
      inbound: [],
      maxDeliveryBytes: 1_000_000,
      outbound: 'reply',
      outboundContent: { maxTextLength: null, html: false, subject: false, attachments: { maxCount: 30, maxBytes: 2_000_000, types: '*' } },
      receipts: [],
      windows: [],
      templates: false,
      typing: false,
      routing: { group: 'messaging', defaultMethod: 'random' },
      sendRate: {},
      movable: { allowed: true },
      callControl: false,
      ...(chatflows ? { chatflows, quickReplies: { maxCount: 5, maxLength: 40 } } : {}),
    },
    address: (value) => value.name,
    parse: async (raw) => parse(JSON.parse(Buffer.from(raw.body).toString()) as Delivery),
    send: async (message) => send(message),
    ...(asks ? { findSent: async (message) => findSent(message), fetchAttachment: async (ref) => fetchProvided(ref.ref) } : {}),
    ...(asks ? {} : { extractAttachments: async (refs, raw) => extract(refs, JSON.parse(Buffer.from(raw.body).toString()) as Delivery) }),
  });
}

/** One that can not be asked what became of a message, and one that can. */
export const scriptedPlugin = scripted('scripted', false);
export const askablePlugin = scripted('askable', true);
/** One whose channels run chatflows. */
export const flowingPlugin = scripted('flowing', false, true);

function parse(delivery: Delivery): readonly InboundEvent[] {
  switch (delivery.do) {
    case 'message':
      return [
        {
          type: 'message',
          direction: 'inbound',
          dedupeKey: delivery.id,
          providerMessageId: delivery.id,
          contact: { kind: 'visitor', value: delivery.from, ...(delivery.name === undefined ? {} : { name: delivery.name }) },
          participants: [],
          thread: { joins: [delivery.from], keys: [delivery.from] },
          text: delivery.text,
          ...(delivery.html === undefined ? {} : { html: delivery.html }),
          attachments: (delivery.files ?? []).map(({ name, text, type }) => ({ ref: text, fileName: name, type: type ?? 'text/plain' })),
        },
      ];
    case 'loop':
      for (;;);
    case 'crash':
      process.exit(1);
    case 'swell': {
      const piece = Array.from({ length: 1_000_000 }, () => 0.5);
      const kept: number[][] = [];
      // In large pieces: it is to reach the limit of memory long before that of time.
      for (;;) kept.push(piece.slice());
    }
    case 'swell-outside': {
      const kept: Buffer[] = [];
      for (;;) {
        kept.push(Buffer.alloc(4_000_000, 1));
        for (const until = performance.now() + 5; performance.now() < until;);
      }
    }
    case 'throw':
      throw new Error('SECRET-TEXT in an error of the plugin');
    case 'wrong':
      return [{ type: 'message', dedupeKey: 'x' } as unknown as InboundEvent];
  }
}

/** Runs in a thread of its own, like `parse`. */
function extract(refs: readonly AttachmentRef[], delivery: Delivery): readonly (Uint8Array | null)[] {
  const files = delivery.do === 'message' ? (delivery.files ?? []) : [];
  return refs.map(({ ref }) => {
    const file = files.find((one) => one.text === ref);
    switch (file?.do) {
      case 'loop':
        for (;;);
      case 'crash':
        process.exit(1);
      case 'throw':
        throw new Error(`SECRET-TEXT ${ref}`);
      case 'wrong':
        return 'not bytes' as unknown as Uint8Array;
      case 'lost':
        return null;
      case undefined:
        return file === undefined ? null : new TextEncoder().encode(file.text);
    }
  });
}

async function fetchProvided(ref: string): Promise<Uint8Array> {
  asked.set(ref, (asked.get(ref) ?? 0) + 1);
  const found = provided.get(ref);
  if (found instanceof Error) throw found;
  if (typeof found === 'function') return found();
  if (found === undefined) throw new ChannelFailure({ code: 'Rejected', reason: 'no such file' });
  return found;
}

async function send({ id, text, to }: { readonly id: string; readonly text: string; readonly to: { readonly value: string } }): Promise<SendReceipt> {
  const tried = (tries.get(text) ?? 0) + 1;
  tries.set(text, tried);
  const [code, when] = text.split(' ');
  if (when === undefined || when === 'always' || tried === 1) {
    if (code === 'RateLimited') throw new ChannelFailure({ code, retryAfterSeconds: 6 });
    if (code === 'Unavailable' || code === 'Rejected' || code === 'Disconnected' || code === 'MaybeSent')
      throw new ChannelFailure({ code, reason: 'scripted' });
    if (code === 'OutsideWindow') throw new ChannelFailure({ code, closedAt: '2026-01-01T00:00:00Z' });
    if (code === 'Unexpected') throw new Error(`unexpected: ${text} to ${to.value}`);
    if (code === 'Slow') await sleep(500);
  }
  sent.push({ id, text, conversation: to.value });
  return receipt(id);
}

function findSent({ id, text }: { readonly id: string; readonly text: string }): SendReceipt | undefined {
  const error = unanswered.get(text);
  if (error !== undefined) throw error;
  return known.has(text) ? receipt(id) : undefined;
}

function receipt(id: string): SendReceipt {
  return { providerMessageId: `sent-${id}`, keys: [], state: 'sent' };
}
