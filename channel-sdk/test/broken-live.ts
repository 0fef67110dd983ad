import type { Identity, PageContext, Plugin } from '../index.ts';
import { liveSamples } from '../testing/reference-live-samples.ts';
import { liveReference } from '../testing/reference-live.ts';
import { there, type Broken } from './broken.ts';

type Context = PageContext<unknown>;

const page = there(liveReference.page);
const preview = there(liveReference.preview);
const transcripts = there(liveReference.transcripts);
const extractAttachments = there(liveReference.extractAttachments);
const greetingOf = (settings: unknown) => (typeof settings === 'object' && settings !== null && 'greeting' in settings ? String(settings.greeting) : '');

/** A live page with one mistake, by the check that must find it. */
export const BROKEN_LIVE: Readonly<Record<string, Broken>> = {
  'streams what happens to its visitor, and nothing of another': asked(
    (context) => ({
      ...context,
      // Whoever listened first hears it all.
      news: (visitor, signal) => context.news(first(context, visitor), signal),
      history: (visitor, after) => (context.news === undefined ? Promise.resolve([]) : context.history(visitor, after)),
    }),
    /does not reach the open page|shown another visitor's message/,
  ),
  'loses nothing between history and news, and goes on after the last message': asked((context) => {
    // Listens only once all of the history is read: what is said in between is in neither.
    const read = Promise.withResolvers<void>();
    return {
      ...context,
      async *news(visitor, signal) {
        await read.promise;
        yield* context.news(visitor, signal);
      },
      async history(visitor, after) {
        const found = await context.history(visitor, after);
        if (found.length === 0) read.resolve();
        // Nobody writes twice while one page is read.
        return found.filter(({ text }) => !text.startsWith('said meanwhile'));
      },
    };
  }, /what is said while history is read is lost/),
  'ends when the visitor has gone, and so do its news': asked(
    (context) => ({ ...context, news: (visitor) => context.news(visitor, new AbortController().signal) }),
    /news go on for a page that is gone/,
  ),
  'refuses visitors nobody has signed': live(
    {
      // Compares only as much as was given.
      page: (request, context) => {
        const [id = '', given = ''] = (request.headers.get('authorization') ?? '').split('.');
        const wanted = context.sign(`visitor ${id}`);
        const same = given.length > 40 && wanted.endsWith(given);
        return page(same ? signed(request, `${id}.${wanted}`) : request, context);
      },
    },
    /with a forged proof is answered 20\d/,
  ),
  'makes one message of what a page sends twice': asked((context) => {
    return { ...context, deliver: (raw) => context.deliver({ ...raw, body: renamed(raw.body) }) };
  }, /of 3 messages, one sent twice, 4 are there/),
  'tells at once that the visitor is writing, and stores nothing of it': asked(
    (context) => ({ ...context, tell: (visitor, what) => context.tell(what === 'typing' ? { ...visitor, value: 'somebody' } : visitor, what) }),
    /nobody is told that the visitor is writing/,
  ),
  'tells that a page is there for each sign of life the page gives, and for nothing else': asked(
    (context) => ({
      ...context,
      news(visitor, signal) {
        context.tell(visitor, 'here');
        return context.news(visitor, signal);
      },
    }),
    /a page that gave no sign of life is there/,
  ),
  'shows what people wrote as text, never as HTML': live(
    {
      page: async (request, context) => {
        const answer = await page(request, context);
        return answer.headers.get('content-type') === 'text/html' ? new Response(`<title>${context.channel.name}</title>`, answer) : answer;
      },
    },
    /GET \/ runs a script that somebody wrote/,
  ),

  'answers preview from the settings alone': live(
    { preview: (settings, author) => [...preview(settings, author), { label: 'Hello', text: 'Hello', html: `Hello ${author.fullName}` }] },
    /preview: its HTML runs a script/,
  ),
  'answers snippet from the settings alone': live(
    { snippet: (settings, pageUrl) => `<iframe src="${pageUrl}/" title="${greetingOf(settings)}"></iframe>` },
    /snippet: runs what stands in the settings/,
  ),
  'answers transcripts from the settings alone': live(
    { transcripts: (settings) => ({ ...transcripts(settings), from: `${greetingOf(settings)}${Math.random()}` }) },
    /transcripts gives another answer the second time/,
  ),
  'answers replyChannel from the settings alone': live(
    {
      replyChannel: () => {
        fetch('https://provider.example/channels').catch(() => undefined);
        return 'ch-7';
      },
    },
    /replyChannel asks somebody/,
  ),
};

/** Checks that have another mistake to find, too. */
export const ALSO_BROKEN_LIVE: readonly (readonly [string, Broken])[] = [
  [
    'gives attachments as they were sent',
    live(
      { extractAttachments: async (refs, raw, context) => (await extractAttachments(refs, raw, context)).toReversed().map((one) => one ?? new Uint8Array()) },
      /refs that are none give bytes/,
    ),
  ],
  [
    'gives attachments as they were sent',
    live({ extractAttachments: async (refs) => refs.map(({ ref }) => (ref === 'file' ? Uint8Array.of(0) : null)) }, /attachment 0 is not what was sent/),
  ],
  [
    'loses nothing between history and news, and goes on after the last message',
    asked((context) => {
      let pages = 0;
      return { ...context, history: async (visitor, after) => ((pages += 1) > 1 ? [] : context.history(visitor, after)) };
    }, /of 250 messages the last does not come/),
  ],
  [
    'loses nothing between history and news, and goes on after the last message',
    asked((context) => {
      let fresh = true;
      return {
        ...context,
        history: (visitor, after) => {
          const from = fresh ? undefined : after;
          fresh = false;
          return context.history(visitor, from);
        },
      };
    }, /gets everything again/),
  ],
  [
    'gives back which quick reply was chosen',
    live(
      {
        parse: async (raw, context) =>
          (await liveReference.parse(raw, context)).map((event) =>
            event.type === 'message' && event.choice !== undefined ? { ...event, choice: event.choice.toLowerCase().replaceAll('"', '') } : event,
          ),
      },
      /does not say which quick reply/,
    ),
  ],
];

function live(members: Partial<Plugin>, says: RegExp): Broken {
  return { plugin: { ...liveReference, ...members }, samples: liveSamples, says };
}

/** The page, asked with another context. */
function asked(other: (context: Context) => Context, says: RegExp): Broken {
  return live({ page: (request, context) => page(request, other(context)) }, says);
}

const firsts = new WeakMap<object, Identity>();

/** The visitor who came first to this desk. */
function first(context: Context, visitor: Identity): Identity {
  const found = firsts.get(context.tell) ?? visitor;
  firsts.set(context.tell, found);
  return found;
}

function signed(request: Request, proof: string): Request {
  const headers = new Headers(request.headers);
  headers.set('authorization', proof);
  return new Request(request, { headers });
}

let count = 0;

/** Under another id each time. */
function renamed(body: Uint8Array): Uint8Array {
  const said: unknown = JSON.parse(Buffer.from(body).toString());
  return Buffer.from(JSON.stringify({ ...(typeof said === 'object' ? said : {}), id: `again-${(count += 1)}` }));
}
