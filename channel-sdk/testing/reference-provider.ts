import type { OutboundMessage } from '../index.ts';
import type { StandIn } from './samples.ts';

/** What it took. */
export interface ReferenceMessage {
  readonly id: string;
  readonly ours: string;
  readonly to: string;
  readonly text: string;
  readonly template?: OutboundMessage['template'];
  readonly choices?: OutboundMessage['quickReplies'];
}

export interface ReferenceProvider extends StandIn {
  readonly messages: readonly ReferenceMessage[];
}

const PAGE = 10;
/** What its account has to say; the second was refused. */
const TEMPLATES = [
  { name: 'still-there', language: 'en', text: 'Are you still there, {{1}}?', approved: true },
  { name: 'good-offer', language: 'en', text: 'Buy, {{1}}, buy {{2}}!', approved: false },
];

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
    const fault = refused() ?? (how === 'silence' ? new Promise<Response>(() => undefined) : muddled());
    if (fault !== undefined) return fault;
    switch (kind) {
      case 'messages': {
        const found = messages.find(({ ours }) => ours === decodeURIComponent(name));
        return found === undefined ? new Response(null, { status: 404 }) : Response.json({ id: found.id });
      }
      case 'templates':
        return Response.json({ templates: TEMPLATES });
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
    const no = refused(`no to ${message.to}: "${message.text}"`);
    if (no !== undefined) return no;
    const { template } = message;
    if (template !== undefined && !TEMPLATES.some(({ name }) => name === template.name)) return new Response('no such template', { status: 400 });
    messages.push(message);
    for (const listener of listeners) await listener();
    if (how === 'silence') return new Promise(() => undefined);
    return muddled() ?? Response.json({ id: message.id });
  }

  function refused(reason = 'no'): Response | undefined {
    switch (how) {
      case 'rate-limit':
        return new Response('slow down', { status: 429, headers: { 'retry-after': '7' } });
      case 'unavailable':
        return new Response('away', { status: 503 });
      case 'reject':
        return new Response(reason, { status: 400 });
      case 'disconnect':
        return new Response('who are you?', { status: 401 });
      default:
        return undefined;
    }
  }

  function muddled(): Response | undefined {
    if (how === 'garbage') return new Response('<html>fine</html>');
    return how === 'huge' ? new Response('a'.repeat(10 * 1024 * 1024)) : undefined;
  }

  return {
    messages,
    fetch: (input, init) => answer(new Request(input, init)),
    behave: (fault) => void (how = fault),
    taken: () => messages.length,
    onTaken: (listener) => void listeners.push(listener),
    last() {
      const message = messages.at(-1);
      if (message === undefined) return undefined;
      const { to, text, template, choices } = message;
      return { to, text, ...(template === undefined ? {} : { template }), ...(choices === undefined ? {} : { quickReplies: choices }) };
    },
    remember: (n) => void history.push(n),
  };
}
