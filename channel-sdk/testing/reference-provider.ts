import type { StandIn } from './samples.ts';

/** What it took. */
export interface ReferenceMessage {
  readonly id: string;
  readonly ours: string;
  readonly to: string;
  readonly text: string;
}

export interface ReferenceProvider extends StandIn {
  readonly messages: readonly ReferenceMessage[];
}

const PAGE = 10;

/** The reference channel's provider, in memory. `event`: what message `n` of its history is; `files`: what it keeps. */
export function createReferenceProvider(event: (n: number) => unknown, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): ReferenceProvider {
  const messages: ReferenceMessage[] = [];
  const history: number[] = [];
  const listeners: (() => Promise<void>)[] = [];
  let how: Parameters<StandIn['behave']>[0] = 'well';

  async function answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const [, kind, name = ''] = pathname.split('/');
    if (request.method === 'POST') return take(await request.json());
    switch (kind) {
      case 'messages': {
        const found = messages.find(({ ours }) => ours === decodeURIComponent(name));
        return found === undefined ? new Response(null, { status: 404 }) : Response.json({ id: found.id });
      }
      case 'files': {
        const file = files.get(decodeURIComponent(name));
        return file === undefined ? new Response(null, { status: 404 }) : new Response(file);
      }
      default: {
        const from = Number(searchParams.get('after'));
        const next = Math.min(history.length, from + PAGE);
        return Response.json({ events: history.slice(from, next).map(event), next, more: next < history.length });
      }
    }
  }

  async function take(message: ReferenceMessage): Promise<Response> {
    switch (how) {
      case 'rate-limit':
        return new Response('slow down', { status: 429, headers: { 'retry-after': '7' } });
      case 'unavailable':
        return new Response('away', { status: 503 });
      case 'reject':
        return new Response(`no to ${message.to}: "${message.text}"`, { status: 400 });
      case 'disconnect':
        return new Response('who are you?', { status: 401 });
      default:
        break;
    }
    messages.push(message);
    for (const listener of listeners) await listener();
    if (how === 'garbage') return new Response('<html>fine</html>');
    if (how === 'huge') return new Response('a'.repeat(10 * 1024 * 1024));
    if (how === 'silence') return new Promise(() => undefined);
    return Response.json({ id: message.id });
  }

  return {
    messages,
    fetch: (input, init) => answer(new Request(input, init)),
    behave: (fault) => void (how = fault),
    taken: () => messages.length,
    onTaken: (listener) => void listeners.push(listener),
    remember: (n) => void history.push(n),
  };
}
