import { channelOf, pageContext, quietContext } from '../bench.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { createLiveDesk } from '../live-desk.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import { channelsOf, HOSTILE } from './from-settings.ts';

const ORIGIN = 'https://help.acme.example';
const TYPES = ['', 'application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'multipart/form-data', 'text/plain', 'nonsense'];
const BODIES = ['', '0', 'null', '{', '[[[[', '{"text":{}}', '%', 'a=%ff&a=%', '--x\r\n\r\n--x--', '\u0000\u0001', 'a'.repeat(5 * 1024 * 1024)];
const QUERIES = ['', '?', '?%', '?a=%ff', `?a=${'b'.repeat(8_000)}`, '?__proto__=1&constructor=2'];

/** Public pages: anybody may ask them anything. */
export function pageChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { page } = plugin;
  const pages = samples.page;
  if (page === undefined || pages === undefined) return [];
  const urlOf = (key: string) => `${ORIGIN}/pages/${plugin.key}/${key}`;
  return [
    {
      name: 'takes in what a visitor sends, as its samples say',
      rule: 'PLUG-4',
      async run() {
        const channel = await channelOf(subject);
        for (const visit of pages.visits) {
          const context = pageContext(channel, urlOf(channel.key));
          const request = await visit.request(context.pageUrl, context);
          const before = context.delivered.length;
          const { status } = await valueOf(`page at "${visit.name}"`, () => page(request, context));
          must(status === visit.status, `"${visit.name}" is answered ${status}, not ${visit.status}`, 'mend page, or the sample');
          const delivered = context.delivered.slice(before);
          must(delivered.length > 0 === visit.delivers, `"${visit.name}" makes ${delivered.length} deliveries`, 'hand over with context.deliver, and await it');
          for (const raw of delivered) await valueOf(`parse of what "${visit.name}" delivers`, () => plugin.parse(raw, quietContext(channel)));
        }
      },
    },
    {
      name: 'answers garbage on its pages without an error of the server',
      rule: 'PLUG-10',
      async run() {
        const channel = await channelOf(subject);
        const ask = async (path: string, init: RequestInit, what: string) => {
          const context = pageContext(channel, urlOf(channel.key));
          const request = new Request(context.pageUrl + path, init);
          const { status } = await valueOf(`page at ${what}`, () => page(request, context));
          must(status < 500, `${what} is answered ${status}`, 'answer what can not be read with 400, what is not there with 404');
        };
        for (const path of [...pages.paths, '', '/nowhere', '/..%2f', '/%']) {
          for (const query of QUERIES) await ask(path + query, {}, `GET ${path}${query.slice(0, 20)}`);
          for (const method of ['HEAD', 'OPTIONS', 'DELETE', 'PROPFIND']) await ask(path, { method }, `${method} ${path}`);
          for (const type of TYPES) {
            for (const body of BODIES)
              await ask(path, { method: 'POST', body, headers: { 'content-type': type } }, `POST ${path} of ${body.length} letters as "${type}"`);
          }
        }
      },
    },
    {
      name: 'shows what people wrote as text, never as HTML',
      rule: 'FORM-2',
      async run() {
        for (const named of await channelsOf(subject)) {
          const channel = { ...named, name: HOSTILE };
          const desk = createLiveDesk();
          const context = { ...pageContext(channel, urlOf(channel.key)), ...desk.members };
          const look = async (request: Request, what: string) => {
            const response = await valueOf(`page at ${what}`, () => page(request, context));
            if (!/html|svg|xml/.test(response.headers.get('content-type') ?? 'text/html')) return response.body?.cancel();
            must(!(await response.text()).includes(HOSTILE), `${what} runs a script that somebody wrote`, 'escape every text that goes into HTML');
          };
          for (const path of [...pages.paths, '', `/${encodeURIComponent(HOSTILE)}`]) {
            for (const query of ['', `?text=${encodeURIComponent(HOSTILE)}`])
              await look(new Request(context.pageUrl + path + query), `GET ${path.slice(0, 20)}`);
          }
          for (const visit of pages.visits) await look(await visit.request(context.pageUrl, context), `"${visit.name}"`);
          if (pages.live === undefined) continue;
          const visitor = await pages.live.visit((request) => page(request, context), context.pageUrl);
          desk.say(visitor.visitor, { text: HOSTILE, html: HOSTILE, author: HOSTILE });
          await look(visitor.stream(), 'the stream');
        }
      },
    },
    {
      name: 'does not thank a visitor for what could not be stored',
      rule: 'PLUG-4',
      async run() {
        const channel = await channelOf(subject);
        for (const visit of pages.visits.filter(({ delivers }) => delivers)) {
          const context = { ...pageContext(channel, urlOf(channel.key)), deliver: () => Promise.reject(new Error('the database is away')) };
          const request = await visit.request(context.pageUrl, context);
          const outcome = await outcomeOf(`page at "${visit.name}" while nothing can be stored`, () => page(request, context));
          const thanked = outcome.failure === undefined && outcome.value.status < 400;
          must(!thanked, `"${visit.name}" is answered as taken, though it could not be stored`, 'await context.deliver, and answer 503 where it rejects');
        }
      },
    },
  ];
}
