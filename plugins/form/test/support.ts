import { createHash } from 'node:crypto';
import type { ChannelInfo, InboundMessage, PageContext, RawDelivery } from '@trunkline/channel-sdk';
import plugin from '../index.ts';
import { settingsSchema, type FormSettings } from '../settings.ts';

export const ORIGIN = 'https://help.acme.example';
export const PAGE_URL = `${ORIGIN}/pages/form/form-7k3q9x`;
export const SITE = 'https://shop.acme.example';
export const START = Date.UTC(2026, 0, 2, 3, 4, 5);

/** A form with a field of every kind, as an admin types it. */
export function typed(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    title: 'Contact Acme',
    senderName: 'fullname',
    allowedOrigins: [SITE],
    fields: [
      { kind: 'text', name: 'fullname', label: 'Your name' },
      { kind: 'email', name: 'email', label: 'Your email address', required: true, help: 'Only to answer you.' },
      { kind: 'phone', name: 'phone', label: 'Phone' },
      { kind: 'choice', name: 'topic', label: 'Topic', required: true, options: ['Order', { value: 'other', label: 'Something else' }] },
      { kind: 'number', name: 'count', label: 'How many?', min: 1, max: 99 },
      { kind: 'date', name: 'bought', label: 'Bought on' },
      { kind: 'text', name: 'name', label: 'Subject', required: true, maxLength: 50 },
      { kind: 'area', name: 'description', label: 'What happened?', required: true },
      { kind: 'file', name: 'photos', label: 'Photos', multiple: true, accept: ['image/*', '.pdf'] },
      { kind: 'checkbox', name: 'consent', label: 'I agree', required: true },
      { kind: 'text', name: 'utm', label: 'Source', hidden: true, value: 'direct' },
    ],
    ...more,
  };
}

/** Everything that must be filled in. */
export const GOOD: Readonly<Record<string, string>> = {
  email: 'Ada@Example.COM',
  topic: 'other',
  name: 'The lamp',
  description: 'It broke.\nTwice.',
  consent: 'true',
};

export interface Form extends PageContext<FormSettings> {
  readonly delivered: RawDelivery[];
  readonly lines: string[];
  /** Milliseconds since 1970; a test moves it. */
  clock: number;
  tooMany: boolean;
  away: boolean;
  /** Asks the page as a browser or a client would. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  /** Opens the page; returns what its form carries unseen. */
  open(path?: string): Promise<Record<string, string>>;
  /** Fills the page in and sends it, three seconds after it was opened. */
  send(
    values?: Readonly<Record<string, string>>,
    more?: { readonly hidden?: Readonly<Record<string, string>>; readonly files?: readonly File[] },
  ): Promise<Response>;
  /** The message a delivery gives. */
  parsed(index?: number): Promise<InboundMessage>;
}

export function form(more: Record<string, unknown> = {}, channel: Partial<ChannelInfo<FormSettings>> = {}): Form {
  const settings = settingsSchema.parse(typed(more));
  const info: ChannelInfo<FormSettings> = { key: 'form-7k3q9x', address: settings.formId, name: 'Contact', enabled: true, settings, ...channel };
  const made: Form = {
    channel: info,
    delivered: [],
    lines: [],
    clock: START,
    tooMany: false,
    away: false,
    now: () => made.clock,
    sign: (text) => createHash('sha256').update(`key ${text}`).digest('hex').slice(0, 52),
    fetch: () => Promise.reject(new Error('a form calls nobody')),
    log: (message, fields) => void made.lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
    signal: new AbortController().signal,
    pageUrl: PAGE_URL,
    deliver: async (raw) => {
      if (made.away) throw new Error('the database is away');
      made.delivered.push(raw);
    },
    history: async () => [],
    async *news() {},
    tell: () => undefined,
    transcript: async () => 'no-conversation',
    available: async () => true,
    allow: async () => !made.tooMany,
    async ask(path, init) {
      if (plugin.page === undefined) throw new Error('a form has a page');
      return plugin.page(new Request(PAGE_URL + path, init), made);
    },
    async open(path = '/') {
      return hiddenOf(await (await made.ask(path)).text());
    },
    async send(values = GOOD, { hidden, files = [] } = {}) {
      const carried = hidden ?? (await made.open());
      made.clock += 3_000;
      const body = new FormData();
      for (const [name, value] of Object.entries({ ...carried, ...values })) body.append(name, value);
      for (const file of files) body.append('photos', file);
      return made.ask('/', { method: 'POST', body, headers: { accept: 'text/html' } });
    },
    async parsed(index = made.delivered.length - 1) {
      const raw = made.delivered[index];
      if (raw === undefined) throw new Error('nothing was delivered');
      const [event, ...others] = await plugin.parse(raw, made);
      if (event?.type !== 'message' || others.length > 0) throw new Error('a submission is one message');
      return event;
    },
  };
  return made;
}

export function json(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
}

export interface Tag {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** Every tag of a page of ours, whose attributes are all written one way. */
export function tags(page: string): readonly Tag[] {
  return [...page.matchAll(/<([a-z][a-z0-9]*)((?:\s+[\w-]+(?:="[^"]*")?)*)\s*>/g)].map(([, name = '', rest = '']) => ({
    name,
    attributes: new Map([...rest.matchAll(/([\w-]+)(?:="([^"]*)")?/g)].map(([, key = '', value = '']) => [key, unescaped(value)])),
  }));
}

export function hiddenOf(page: string): Record<string, string> {
  const inputs = tags(page).filter(({ attributes }) => attributes.get('type') === 'hidden');
  return Object.fromEntries(inputs.map(({ attributes }) => [attributes.get('name') ?? '', attributes.get('value') ?? '']));
}

export function tagNamed(page: string, name: string): Tag {
  const found = tags(page).find(({ attributes }) => attributes.get('name') === name);
  if (found === undefined) throw new Error(`there is nothing named ${name}`);
  return found;
}

function unescaped(text: string): string {
  return text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');
}
