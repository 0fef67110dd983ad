import type { Identity, PageContext } from '@trunkline/channel-sdk';
import { headersFor, isAllowed, PREFLIGHT, refuse } from './answers.ts';
import { widgetFile } from './assets.ts';
import { configurationOf } from './configuration.ts';
import { readMessage, readReceipt } from './inbound.ts';
import { ownPage } from './own-page.ts';
import type { ChatSettings } from './settings.ts';
import { streamTo } from './stream.ts';
import { issueToken, visitorOf } from './token.ts';
import type { Visit } from './visit.ts';

interface Route {
  readonly methods: readonly ('GET' | 'HEAD' | 'POST')[];
  /** What anybody may ask, or what only whoever carries a token of ours may. */
  readonly answer:
    | { readonly open: (visit: Visit) => Response | Promise<Response> }
    | { readonly known: (visit: Visit, visitor: Identity) => Response | Promise<Response> };
}

/** Everything a widget asks of its channel. */
const ROUTES: Readonly<Record<string, Route>> = {
  config: {
    methods: ['GET', 'HEAD'],
    answer: { open: async ({ context, origin }) => Response.json(await configurationOf(context), { headers: headersFor(origin) }) },
  },
  visitor: {
    methods: ['POST'],
    answer: { open: ({ context, origin }) => Response.json({ token: issueToken(context.sign) }, { status: 201, headers: headersFor(origin) }) },
  },
  stream: {
    // Not HEAD: nobody would read it, and so nobody end it.
    methods: ['GET'],
    answer: { known: ({ request, context, origin }, visitor) => streamTo(context, visitor, lastKnown(request), origin) },
  },
  here: {
    // A page's answer to a sign of life: that bytes go out to a browser proves nobody there.
    methods: ['GET'],
    answer: { known: (visit, visitor) => tellOf(visit, visitor, 'here') },
  },
  messages: { methods: ['POST'], answer: { known: readMessage } },
  read: { methods: ['POST'], answer: { known: readReceipt } },
  typing: { methods: ['POST'], answer: { known: (visit, visitor) => tellOf(visit, visitor, 'typing') } },
  transcript: { methods: ['POST'], answer: { known: mailTranscript } },
};

/**
 * A widget's public addresses (CHAT-2). Whatever is sent, the answer is never of the five hundreds, but where what is sent can not be stored.
 * How much one network may send, the door counts before anything comes here. Who writes is told by a token in a header, never by a cookie: so no other page can have a visitor's browser say something.
 */
export async function page(request: Request, context: PageContext<ChatSettings>): Promise<Response> {
  const path = pathWithin(request.url, context.channel.key);
  if (path === 'widget.js') return isReading(request) ? widgetFile(request) : refuse(null, 'WrongMethod', undefined, { allow: 'GET, HEAD' });
  if (path === '') return isReading(request) ? ownPage(context) : refuse(null, 'WrongMethod', undefined, { allow: 'GET, HEAD' });
  // What the page names is found beside it only with the slash.
  if (path === undefined) return new Response(null, { status: 308, headers: { location: `./${context.channel.key}/` } });
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  const sent = request.headers.get('origin');
  const allowed = isAllowed(sent, context);
  const origin = allowed ? sent : null;
  if (route === undefined) return refuse(origin, 'NotFound');
  if (request.method === 'OPTIONS')
    return new Response(null, { status: allowed ? 204 : 403, headers: { ...headersFor(origin), ...(allowed ? PREFLIGHT : {}) } });
  if (!route.methods.some((method) => method === request.method)) {
    return refuse(origin, 'WrongMethod', undefined, { allow: [...route.methods, 'OPTIONS'].join(', ') });
  }
  if (!allowed) return refuse(null, 'OriginNotAllowed');
  const visit: Visit = { request, context, origin };
  if ('open' in route.answer) return route.answer.open(visit);
  const visitor = visitorOf(bearer(request), context.sign);
  return visitor === undefined ? refuse(origin, 'Unauthentic') : route.answer.known(visit, visitor);
}

function tellOf({ context, origin }: Visit, visitor: Identity, what: 'typing' | 'here'): Response {
  context.tell(visitor, what);
  return new Response(null, { status: 204, headers: headersFor(origin) });
}

async function mailTranscript({ context, origin }: Visit, visitor: Identity): Promise<Response> {
  if (!context.channel.settings.transcript.onRequest) return refuse(origin, 'NotOffered');
  switch (await context.transcript(visitor)) {
    case 'queued':
      return Response.json({}, { status: 202, headers: headersFor(origin) });
    case 'no-address':
      return refuse(origin, 'NoAddress');
    case 'too-many':
      return refuse(origin, 'TooMany');
    default:
      return refuse(origin, 'NoConversation');
  }
}

/** The newest message the page has. What can not be an id of ours is none. */
function lastKnown(request: Request): string | undefined {
  const id = request.headers.get('last-event-id') ?? '';
  return /^[\w-]{1,64}$/.test(id) ? id : undefined;
}

function bearer(request: Request): string {
  return /^bearer\s+(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? '';
}

/** What stands behind the channel's key, without its slash; undefined: not even that. */
function pathWithin(url: string, key: string): string | undefined {
  const { pathname } = new URL(url);
  if (pathname.endsWith(`/${key}`)) return undefined;
  return pathname.split(`/${key}/`, 2)[1] ?? 'elsewhere';
}

function isReading({ method }: Request): boolean {
  return method === 'GET' || method === 'HEAD';
}
