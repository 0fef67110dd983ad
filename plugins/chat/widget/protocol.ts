import type { VisibleMessage } from '@trunkline/channel-sdk';

/** What the widget is told about its channel before anybody opens it. */
export interface Config {
  readonly name: string;
  /** `#rrggbb`. */
  readonly accent: string;
  readonly position: 'left' | 'right';
  readonly avatarUrl: string | null;
  readonly greeting: string | null;
  readonly enabled: boolean;
  readonly available: boolean;
  readonly awayMessage: string | null;
  readonly asksEmail: boolean;
  readonly transcript: boolean;
  readonly closedMessage: string | null;
}

/** What one event of the stream says; null: nothing this widget knows. */
export type News =
  | { readonly type: 'ready'; readonly available: boolean | null }
  | { readonly type: 'message'; readonly message: VisibleMessage }
  | { readonly type: 'typing'; readonly author: string }
  | { readonly type: 'joined'; readonly author: string }
  /** What comes after this is new. */
  | { readonly type: 'known' }
  | { readonly type: 'closed' };

export const MAX_TEXT = 4_000;
const ACCENT = /^#[0-9a-f]{6}$/i;

/** Reads the answer of `config`. Null: it is not one. What is missing has a plain default, so that a newer engine's widget file and an older answer agree. */
export function readConfig(value: unknown): Config | null {
  const fields = record(value);
  const name = text(fields?.['name']);
  if (fields === null || name === null) return null;
  const accent = text(fields['accent']);
  return {
    name,
    accent: accent !== null && ACCENT.test(accent) ? accent : '#1f4fd8',
    position: fields['position'] === 'left' ? 'left' : 'right',
    avatarUrl: text(fields['avatarUrl']),
    greeting: text(fields['greeting']),
    enabled: fields['enabled'] !== false,
    available: fields['available'] !== false,
    awayMessage: text(fields['awayMessage']),
    asksEmail: fields['asksEmail'] === true,
    transcript: fields['transcript'] === true,
    closedMessage: text(fields['closedMessage']),
  };
}

/** Reads an event of the stream. */
export function readNews(type: string, data: string): News | null {
  const fields = record(json(data));
  switch (type) {
    case 'ready': {
      const available = fields?.['available'];
      return { type, available: typeof available === 'boolean' ? available : null };
    }
    case 'message': {
      const message = readMessage(fields);
      return message === null ? null : { type, message };
    }
    case 'typing':
    case 'joined': {
      const author = text(fields?.['author']);
      return author === null ? null : { type, author };
    }
    case 'known':
    case 'closed':
      return { type };
    default:
      return null;
  }
}

/** The first problem an answer names, in the server's words. */
export function readProblem(value: unknown): { readonly code: string | null; readonly field: string | null; readonly message: string | null } {
  const fields = record(value);
  const errors = fields?.['errors'];
  const first = record(Array.isArray(errors) ? errors[0] : null);
  return { code: text(fields?.['code']), field: text(first?.['field']), message: text(first?.['message']) };
}

/** The named text of an object, or null. */
export function textOf(value: unknown, name: string): string | null {
  return text(record(value)?.[name]);
}

/** Null where it is not JSON. */
export function json(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

function readMessage(fields: Fields | null): VisibleMessage | null {
  const id = text(fields?.['id']);
  if (fields === null || id === null) return null;
  const replies = fields['quickReplies'];
  return {
    id,
    from: fields['from'] === 'visitor' ? 'visitor' : 'us',
    providerMessageId: text(fields['providerMessageId']),
    author: text(fields['author']),
    text: typeof fields['text'] === 'string' ? fields['text'] : '',
    html: null,
    quickReplies: (Array.isArray(replies) ? replies : []).flatMap((one: unknown) => {
      const [label, choice] = [textOf(one, 'label'), textOf(one, 'choice')];
      return label === null || choice === null ? [] : [{ label, choice }];
    }),
    at: text(fields['at']) ?? '',
  };
}

type Fields = Readonly<Record<string, unknown>>;

function record(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
