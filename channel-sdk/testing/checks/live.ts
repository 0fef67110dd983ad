import type { ChannelInfo, InboundEvent, PageContext, RawDelivery } from '../../index.ts';
import { channelOf, pageContext, quietContext } from '../bench.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { createHost } from '../host.ts';
import { createLiveDesk, type LiveDesk } from '../live-desk.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import { readStream, soon, type OpenStream } from '../read-stream.ts';
import type { LiveVisit } from '../samples.ts';

const ORIGIN = 'https://help.acme.example';
const MANY = 250;

/** A live page with a desk behind it and visitors in front of it. */
interface Scene {
  readonly channel: ChannelInfo<unknown>;
  readonly context: PageContext<unknown>;
  readonly desk: LiveDesk;
  readonly delivered: readonly RawDelivery[];
  ask(request: Request): Promise<Response>;
  visit(): Promise<LiveVisit>;
  open(request: Request): Promise<OpenStream>;
}

/** Pages that hold a conversation that goes on now. */
export function liveChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { page, capabilities } = plugin;
  const live = samples.page?.live;
  if (capabilities.live !== true || page === undefined || live === undefined) return [];

  /** Every stream that is still open at the end is left. */
  const scene = async (play: (scene: Scene) => Promise<void>) => {
    const channel = await channelOf(subject);
    const desk = createLiveDesk();
    const plain = pageContext(channel, `${ORIGIN}/pages/${plugin.key}/${channel.key}`);
    const context: PageContext<unknown> = { ...plain, ...desk.members };
    const streams: OpenStream[] = [];
    const ask = (request: Request) => valueOf('page', () => page(request, context));
    const open = async (request: Request) => {
      const stream = readStream(await ask(request));
      streams.push(stream);
      must(stream.status === 200, `the stream is answered ${stream.status}`, 'mend page, or the sample');
      return stream;
    };
    try {
      await play({ channel, context, desk, ask, open, delivered: plain.delivered, visit: () => live.visit(ask, context.pageUrl) });
    } finally {
      await Promise.all(streams.map((stream) => stream.leave()));
    }
  };
  const parsed = async ({ channel, delivered }: Scene): Promise<readonly InboundEvent[]> => {
    const events: InboundEvent[] = [];
    for (const raw of delivered) events.push(...(await valueOf('parse of what a visitor wrote', () => plugin.parse(raw, quietContext(channel)))));
    return events;
  };

  const checks: ConformanceCheck[] = [
    {
      name: 'streams what happens to its visitor, and nothing of another',
      rule: 'CHAT-2',
      run: () =>
        scene(async ({ desk, open, visit }) => {
          const [one, two] = [await visit(), await visit()];
          must(one.visitor.value !== two.visitor.value, 'two visitors are one', 'give each an id of their own, which nobody can guess');
          const [first, second] = [await open(one.stream()), await open(two.stream())];
          desk.say(one.visitor, { text: 'only for the first' });
          must(await first.says('only for the first'), 'a message does not reach the open page', 'write what news gives as it comes');
          desk.tell(one.visitor, { type: 'typing', author: 'Typing Ada' });
          must(await first.says('Typing Ada'), 'that an agent is writing does not reach the open page', 'write every kind of news');
          desk.tell(one.visitor, { type: 'joined', author: 'Joining Ben' });
          must(await first.says('Joining Ben'), 'that an agent has joined does not reach the open page', 'write every kind of news');
          const before = first.text().length;
          desk.tell(one.visitor, { type: 'closed' });
          must(await soon(() => first.text().length > before), 'that it was closed does not reach the open page', 'write every kind of news');
          const quickReplies = [{ label: 'A person, please', choice: 'talk-to-a-person' }];
          desk.say(two.visitor, { text: 'only for the second', quickReplies });
          must(await second.says('only for the second'), 'a message does not reach the open page', 'write what news gives as it comes');
          if (capabilities.quickReplies !== undefined)
            must(await second.says('talk-to-a-person'), 'quick replies do not reach the open page', 'write label and choice of each');
          const mixed = first.text().includes('only for the second') || second.text().includes('only for the first');
          must(!mixed, "a page is shown another visitor's message", 'ask history and news for the visitor whose proof you checked');
        }),
    },
    {
      name: 'loses nothing between history and news, and goes on after the last message',
      rule: 'CHAT-2',
      run: () =>
        scene(async ({ desk, open, visit }) => {
          const one = await visit();
          const kept = Array.from({ length: MANY }, (_, n) => desk.say(one.visitor, { text: `kept ${n}.` }));
          desk.meanwhile = () => desk.say(one.visitor, { text: 'said meanwhile' });
          const stream = await open(one.stream());
          must(await stream.says(`kept ${MANY - 1}.`), `of ${MANY} messages the last does not come`, 'ask history for the next page until there is none');
          must(await stream.says('said meanwhile'), 'what is said while history is read is lost', 'begin news first, then read history');
          const missing = kept.filter(({ text }) => !stream.text().includes(text)).length;
          must(missing === 0, `${missing} of ${MANY} messages are missing`, 'give every page of history, oldest first');
          desk.meanwhile = () => desk.say(one.visitor, { text: 'said meanwhile, again' });
          const later = await open(one.stream(kept[MANY - 2]?.id));
          const whole = (await later.says(`kept ${MANY - 1}.`)) && (await later.says('said meanwhile, again'));
          must(whole, 'a page that comes back misses messages', 'ask history for what is after the last message it has');
          must(!later.text().includes('kept 0.'), 'a page that comes back gets everything again', 'ask history for what is after the last message it has');
        }),
    },
    {
      name: 'ends when the visitor has gone, and so do its news',
      rule: 'CHAT-6',
      run: () =>
        scene(async ({ desk, open, visit }) => {
          const one = await visit();
          const [left, stays] = [await open(one.stream()), await open(one.stream())];
          must(await soon(() => desk.listening(one.visitor) === 2), 'an open page does not listen for news', 'begin news when the stream begins');
          await left.leave();
          must(await soon(() => desk.listening(one.visitor) === 1), 'news go on for a page that is gone', "abort news' signal when the stream is cancelled");
          desk.say(one.visitor, { text: 'to who is still here' });
          must(await stays.says('to who is still here'), 'the other page of the visitor hears nothing any more', 'give each stream a signal of its own');
          const { signal, abort } = abortable();
          const cut = await open(new Request(one.stream(), { signal }));
          must(await soon(() => desk.listening(one.visitor) === 2), 'an open page does not listen for news', 'begin news when the stream begins');
          abort();
          await cut.leave();
          must(await soon(() => desk.listening(one.visitor) === 1), 'news go on after a connection was cut', "abort news' signal when the stream is cancelled");
        }),
    },
    {
      name: 'refuses visitors nobody has signed',
      rule: 'CHAT-2',
      run: () =>
        scene(async ({ desk, visit, context, delivered }) => {
          const one = await visit();
          const forged = one.forged();
          must(forged.length > 0, 'the sample forges nothing', 'give requests with a proof that was not signed, was cut short, is of another visitor');
          for (const request of forged) {
            desk.asked.clear();
            const what = `${request.method} ${new URL(request.url).pathname.slice(new URL(context.pageUrl).pathname.length)} with a forged proof`;
            const outcome = await outcomeOf(what, () => page(request, context));
            const { status } = outcome.value ?? { status: outcome.failure?.code === 'Unauthentic' ? 401 : 500 };
            await outcome.value?.body?.cancel();
            must(status >= 400 && status < 500, `${what} is answered ${status}`, 'compare the proof with context.sign in constant time, and answer 401');
            must(desk.asked.size === 0 && delivered.length === 0, `${what} reaches a conversation`, 'check the proof before anything else');
          }
        }),
    },
    {
      name: 'makes one message of what a page sends twice',
      rule: 'CHAT-2',
      run: () =>
        scene(async (all) => {
          const [one, two] = [await all.visit(), await all.visit()];
          for (const request of [one.write('Hello', 1), one.write('Hello', 1), one.write('Hello', 2), two.write('Hello', 1)]) {
            const { status } = await all.ask(request);
            must(status < 300, `what a visitor writes is answered ${status}`, 'answer the second time as the first');
          }
          const events = await parsed(all);
          const host = createHost(subject, all.channel);
          host.apply(events);
          must(
            host.messages.length === 3,
            `of 3 messages, one sent twice, ${host.messages.length} are there`,
            "make dedupeKey of the visitor and the page's own id",
          );
          for (const { visitor } of [one, two]) {
            const known = events.some(({ type, ...event }) => type === 'message' && 'contact' in event && event.contact?.value === visitor.value);
            must(known, 'a message is not of the visitor who wrote it', 'name the visitor whose proof you checked as contact');
          }
        }),
    },
    {
      name: 'tells that a page is there for each sign of life the page gives, and for nothing else',
      rule: 'CHAT-6',
      run: () =>
        scene(async ({ ask, desk, open, visit, delivered }) => {
          const [one, two] = [await visit(), await visit()];
          await open(two.stream());
          must((await ask(one.here())).status < 300, 'a sign of life is refused', 'mend page, or the sample');
          const told = desk.here.some(({ kind, value }) => kind === one.visitor.kind && value === one.visitor.value);
          must(told, 'nobody is told that the page is there', "call context.tell(visitor, 'here') for each sign of life");
          must(
            desk.here.every(({ value }) => value === one.visitor.value),
            'a page that gave no sign of life is there',
            'a stream that is open is no sign of life: it outlives a page that was frozen or has vanished',
          );
          must(delivered.length === 0, 'a sign of life is stored', "context.tell is enough: 'here' is never delivered");
        }),
    },
  ];
  if (capabilities.typing) {
    checks.push({
      name: 'tells at once that the visitor is writing, and stores nothing of it',
      rule: 'CHAT-6',
      run: () =>
        scene(async ({ ask, desk, visit, delivered }) => {
          const [one, two] = [await visit(), await visit()];
          const request = one.typing?.() ?? two.typing?.();
          must(request !== undefined, 'the sample has no typing', 'give it where typing is true');
          if (request === undefined) return;
          must((await ask(request)).status < 300, 'that a visitor is writing is refused', 'mend page, or the sample');
          const told = desk.typing.length === 1 && desk.typing[0]?.value === one.visitor.value;
          must(told, 'nobody is told that the visitor is writing', "call context.tell(visitor, 'typing')");
          must(delivered.length === 0, 'that somebody is writing is stored', "context.tell is enough: 'typing' is never delivered");
        }),
    });
  }
  return checks;
}

function abortable(): { readonly signal: AbortSignal; abort(): void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
