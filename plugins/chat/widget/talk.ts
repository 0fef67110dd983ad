import { retryAfterMs } from './backoff.ts';
import type { Alone } from './alone.ts';
import type { Keep } from './keep.ts';
import type { Outcome, Outgoing } from './outbox.ts';
import { type Config, readConfig, readProblem, textOf } from './protocol.ts';
import { TEXTS } from './texts.ts';

/** Answers that are worth another try, besides the server's own failures. */
const TRY_AGAIN: readonly number[] = [401, 408, 425];
const TIME_LIMIT_MS = 30_000;

export interface Talk {
  /** Null: there is no such channel. Rejects where nobody answers. */
  config(): Promise<Config | null>;
  /** The visitor has been here before. */
  known(): boolean;
  /** `lastId` is asked when the request goes out: a new visitor begins at the start. */
  stream(lastId: () => string | null, signal: AbortSignal): Promise<Response>;
  message(message: Outgoing): Promise<Outcome>;
  /** Nothing depends on these: what fails is left. True: the server took it. */
  typing(): Promise<boolean>;
  read(through: string): Promise<boolean>;
  /** A sign of life of this page. */
  here(): Promise<boolean>;
  transcript(): Promise<'queued' | 'no-address' | 'no-conversation' | 'too-many' | 'failed'>;
}

/**
 * What the widget and the server say to each other. The visitor is known by a token in the page's own storage, asked for when it is first needed;
 * when the server does not know it any more, another is asked for, once a page view.
 */
export function createTalk(base: string, keep: Keep, alone: Alone, newVisitor: () => void): Talk {
  let renewed = false;

  /** Alone among the tabs: two that open at once are one visitor. */
  function token(refused: string | null): Promise<string | Response> {
    const kept = keep.get('');
    if (kept !== null && kept !== refused) return Promise.resolve(kept);
    return alone(async () => {
      const theirs = keep.get('');
      if (theirs !== null && theirs !== refused) return theirs;
      const response = await send('visitor', { method: 'POST' });
      if (!response.ok) return response;
      const fresh = textOf(await response.json(), 'token');
      if (fresh === null) throw new Error('a visitor without a token');
      keep.set('', fresh);
      return fresh;
    });
  }

  function send(path: string, init: RequestInit): Promise<Response> {
    return fetch(base + path, { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(TIME_LIMIT_MS), ...init });
  }

  async function signed(path: string, init: RequestInit, headers: () => Readonly<Record<string, string>>): Promise<Response> {
    const mine = await token(null);
    if (typeof mine !== 'string') return mine;
    const request = (bearer: string) => send(path, { ...init, headers: { ...headers(), authorization: `Bearer ${bearer}` } });
    const response = await request(mine);
    if (response.status !== 401 || renewed) return response;
    renewed = true;
    const other = await token(mine);
    newVisitor();
    return typeof other === 'string' ? request(other) : other;
  }

  const post = (path: string, body: unknown): Promise<Response> =>
    signed(path, { method: 'POST', body: JSON.stringify(body) }, () => ({ 'content-type': 'application/json' }));

  const took = (answer: Promise<Response>): Promise<boolean> =>
    answer.then(
      ({ ok }) => ok,
      () => false,
    );

  return {
    async config() {
      const response = await send('config', {});
      if (response.status >= 500 || response.status === 429) throw new Error(`config ${response.status}`);
      return response.ok ? readConfig(await response.json()) : null;
    },
    known: () => keep.get('') !== null,
    // A stream has no time limit: who reads it sees when it has gone quiet.
    stream: (lastId, signal) =>
      signed('stream', { signal }, (): Readonly<Record<string, string>> => {
        const after = lastId();
        return after === null ? {} : { 'last-event-id': after };
      }),
    async message({ id, text, choice, email, page }) {
      const response = await post('messages', { id, text, choice, email, page }).catch(() => null);
      if (response === null) return { type: 'later', why: 'offline', ms: null };
      if (response.ok) return { type: 'taken' };
      const { status } = response;
      const ms = retryAfterMs(response.headers.get('retry-after'), Date.now());
      if (status === 429) return { type: 'later', why: 'fast', ms };
      if (status >= 500 || TRY_AGAIN.includes(status)) return { type: 'later', why: 'busy', ms };
      const { message } = readProblem(await response.json().catch(() => null));
      return { type: 'refused', problem: message ?? TEXTS.refused };
    },
    typing: () => took(post('typing', {})),
    read: (through) => took(post('read', { through })),
    here: () => took(signed('here', {}, () => ({}))),
    async transcript() {
      const response = await post('transcript', {}).catch(() => null);
      if (response?.ok === true) return 'queued';
      if (response?.status === 429) return 'too-many';
      const { code } = readProblem(await response?.json().catch(() => null));
      return code === 'NoAddress' ? 'no-address' : code === 'NoConversation' ? 'no-conversation' : 'failed';
    },
  };
}
