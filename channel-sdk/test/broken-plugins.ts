import { createHmac } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import {
  ChannelFailure,
  isChannelFailure,
  type CatchUpPage,
  type Failure,
  type InboundEvent,
  type InboundMessage,
  type OutboundMessage,
  type PageContext,
  type Plugin,
  type PluginContext,
  type RawDelivery,
  type SendReceipt,
  type Verdict,
} from '../index.ts';
import { reference, SIGNATURE } from '../testing/reference.ts';
import { referenceSamples } from '../testing/reference-samples.ts';
import type { ConformanceSamples } from '../testing/index.ts';
import { there, type Broken } from './broken.ts';
import { ALSO_BROKEN_LIVE, BROKEN_LIVE } from './broken-live.ts';
import { ALSO_BROKEN_VOICE, BROKEN_VOICE } from './broken-voice.ts';
import { honest, listening, listeningSamples } from './listening-plugin.ts';

type Context = PluginContext<unknown>;
type Parse = Plugin['parse'];
const { capabilities, settings, parse } = reference;
const verify = there(reference.verify);
const send = there(reference.send);
const reserve = there(reference.reserve);
const catchUp = there(reference.catchUp);
const fetchAttachment = there(reference.fetchAttachment);
const listTemplates = there(reference.listTemplates);
const page = there(reference.page);
const { validate } = settings['~standard'];

const OF_THREADS = 'leads all messages of a contact to one conversation, and nobody else to it';

/** By the name of the check that must find it, and no other may. */
export const BROKEN: Readonly<Record<string, Broken>> = {
  'keeps the contract': { plugin: { ...reference, capabilities: { ...capabilities, templates: false } }, says: /listTemplates: is there, but/ },
  'leaves out no sample that a capability calls for': {
    samples: { ...referenceSamples, deliveries: referenceSamples.deliveries.filter(({ name }) => name !== 'what became of a message') },
    says: /receipt "delivered"[^]*receipt "failed"/,
  },
  'takes deliveries as large as those of its samples': {
    plugin: { ...reference, capabilities: { ...capabilities, maxDeliveryBytes: 1 } },
    says: /"a message" has \d+ bytes, and maxDeliveryBytes is 1/,
  },
  'counts among its secrets what its settings call so': { plugin: { ...reference, secrets: ['appSecret'] }, says: /not among the secrets: token/ },
  'tells channels apart by their address': { plugin: { ...reference, address: () => 'the same' }, says: /one address/ },
  'names every wrong setting by its path': {
    plugin: validating(async (typed) => {
      const result = await validate(typed);
      return result.issues === undefined ? result : { issues: result.issues.map(({ message }) => ({ message })) };
    }),
    says: /no issue at "account"/,
  },
  'gives the same settings when they are saved again': {
    plugin: validating(async (typed) => {
      const result = await validate(typed);
      return result.issues === undefined && typeof result.value === 'object' ? { value: { ...result.value, saved: JSON.stringify(typed) } } : result;
    }),
    says: /come out otherwise/,
  },

  'takes what the provider signed': {
    plugin: verifying((raw, context) => {
      if (!raw.body.includes(0x0a)) context.fetch('https://provider.example/keys').catch(() => undefined);
      return verify(raw, context);
    }),
    says: /calls the provider/,
  },
  'refuses a delivery without its signature': {
    plugin: verifying((raw, context) => (raw.headers[SIGNATURE] === undefined && raw.method === 'POST' ? taken() : verify(raw, context))),
    says: /without a signature is taken/,
  },
  'refuses a delivery that is not what was signed': {
    // Compares only as much as was given.
    plugin: verifying((raw, context) =>
      (raw.headers[SIGNATURE] ?? '').length === 63 && signature(raw, context).startsWith(raw.headers[SIGNATURE] ?? '') ? taken() : verify(raw, context),
    ),
    says: /broken x-reference-signature is taken/,
  },
  'checks the signature over the bytes as they came': {
    plugin: verifying((raw, context) => verify({ ...raw, body: writtenAnew(raw.body) }, context)),
    says: /written with other spaces/,
  },
  'answers handshakes without a signature and stores none': {
    plugin: verifying(async (raw, context) => ({ ...(await verify(raw, context)), store: true })),
    says: /handshake "the challenge" is stored/,
  },

  'gives the events its samples name': {
    plugin: changing((event) => (event.providerMessageId.startsWith('app-') ? { ...event, providerMessageId: event.providerMessageId.toUpperCase() } : event)),
    says: /event 0\.providerMessageId is "APP-0"/,
  },
  'parses by bytes and settings alone': {
    plugin: changing((event, context) => ({ ...event, occurredAt: new Date(context.now()).toISOString() })),
    says: /other events a year later/,
  },
  'takes what it does not know for nothing': {
    plugin: parsing(async (raw, context) => {
      if (Buffer.from(raw.body).includes('"wink"')) throw new ChannelFailure({ code: 'Malformed', where: 'kind' });
      return parse(raw, context);
    }),
    says: /parse of unknownFields failed: Malformed: kind/,
  },
  'reads what is left where something is missing': {
    plugin: changing((event) => {
      if (event.text === '') throw new ChannelFailure({ code: 'Malformed', where: 'text' });
      return event;
    }),
    says: /missingFields "no text": Malformed/,
  },
  'makes one message of the same delivery 20 times at once': { plugin: countingWhatIsUnderWay(), says: /20 times at once: 11 messages/ },
  'keeps every message of a batch of 1,000': {
    plugin: parsing(async (raw, context) => (await parse(raw, context)).slice(0, 500)),
    says: /500 of 1000 messages/,
  },
  'gives the same in whatever order deliveries come': { plugin: rememberingTheLast(), says: /read otherwise in another order/ },

  'answers any bytes with events or a typed failure, in time': {
    plugin: parsing(async (raw, context) => {
      if (raw.body.length === 0) throw new TypeError('no body');
      return parse(raw, context);
    }),
    says: /with no bytes threw TypeError: no body/,
  },
  'answers any bytes at the door with a verdict or a typed failure': {
    plugin: verifying((raw, context) => {
      if (raw.body.length === 0 && raw.method === 'POST') throw new TypeError('no body');
      return verify(raw, context);
    }),
    says: /verify of .* threw TypeError: no body/,
  },
  'gives attachments as they were sent': {
    plugin: {
      ...reference,
      fetchAttachment: async (ref, context, raw) => new TextEncoder().encode(new TextDecoder().decode(await fetchAttachment(ref, context, raw))),
    },
    says: /attachment 0 is not what was sent/,
  },

  'sends a message once and gives its ids': {
    plugin: (({ reserve: _own, ...rest }) => ({
      ...rest,
      send: async (message: OutboundMessage, context: Context) => ({ ...(await send(message, context)), providerMessageId: 'the same' }),
    }))(reference),
    says: /two messages have one providerMessageId/,
  },
  'sends what was written to whom it was written to': {
    plugin: sending((message, context) => send(isPlain(message) ? { ...message, to: { ...message.to, value: 'contact-9' } } : message, context)),
    says: /another recipient/,
  },
  'sends the first message of a conversation': {
    plugin: sending((message, context) => {
      if (message.kind === 'start') throw new ChannelFailure({ code: 'Rejected', reason: 'nothing to answer to' });
      return send(message, context);
    }),
    says: /first message \(kind "start"\) failed: Rejected/,
  },
  [OF_THREADS]: threading(() => ({ joins: ['all'], keys: ['all'] }), /"a message": messages of two contacts join one conversation/),
  'calls the provider\'s fault "refused" Unavailable': {
    plugin: failing('Unavailable', { code: 'MaybeSent', reason: 'no answer' }, 'no connection'),
    says: /at "refused" is MaybeSent, not Unavailable/,
  },
  'calls the provider\'s fault "rate-limit" RateLimited': {
    plugin: failing('RateLimited', { code: 'Unavailable', reason: 'http 429' }),
    says: /is Unavailable, not RateLimited/,
  },
  'calls the provider\'s fault "unavailable" Unavailable': {
    plugin: failing('Unavailable', { code: 'MaybeSent', reason: 'http 503' }, 'http 503'),
    says: /is MaybeSent, not Unavailable/,
  },
  'calls the provider\'s fault "reject" Rejected': {
    // Knows only what the provider says of templates.
    plugin: sending((message, context) =>
      send(message, context).catch((error: unknown) => {
        const no = isChannelFailure(error) && error.failure.code === 'Rejected' && error.message.includes('http') && message.template === undefined;
        throw no ? new ChannelFailure({ code: 'Unavailable', reason: 'http 400' }) : error;
      }),
    ),
    says: /is Unavailable, not Rejected/,
  },
  'calls the provider\'s fault "disconnect" Disconnected': {
    plugin: failing('Disconnected', { code: 'Rejected', reason: 'http 401' }),
    says: /is Rejected, not Disconnected/,
  },
  'calls the provider\'s fault "garbage" MaybeSent': { plugin: readingAnswers((answer) => answer.startsWith('<html>')), says: /is Unavailable, not MaybeSent/ },
  'calls the provider\'s fault "huge" MaybeSent': { plugin: readingAnswers((answer) => answer.length > 1_000_000), says: /is Unavailable, not MaybeSent/ },
  'calls the provider\'s fault "silence" MaybeSent': {
    plugin: failing('MaybeSent', { code: 'Unavailable', reason: 'no answer' }, 'no answer'),
    says: /is Unavailable, not MaybeSent/,
  },
  'finds out what became of a send without an answer': {
    plugin: { ...reference, findSent: async () => undefined },
    says: /does not find a message the provider took/,
  },
  'reserves the same ids at every try, and sends under them': {
    plugin: {
      ...reference,
      reserve(message, context) {
        const ids = reserve(message, context);
        return { ...ids, keys: [...ids.keys, `at ${context.now()}`] };
      },
    },
    says: /other ids the second time/,
  },
  'leads answers home by the reserved keys': {
    plugin: changing((event) => ({ ...event, thread: { ...event.thread, joins: [] } })),
    says: /joins by none of the reserved keys/,
  },
  'knows its own message where the echo comes before the answer': {
    plugin: changing(({ outboundId, ...event }) => (outboundId === undefined ? event : { ...event, providerMessageId: `echo of ${outboundId}` })),
    says: /one message sent, 2 there/,
  },

  'sends attachments up to the declared limits and refuses more': {
    plugin: sending((message, context) => send({ ...message, attachments: message.attachments.slice(0, 3) }, context)),
    says: /one attachment too many: a receipt, not Rejected/,
  },
  'sends texts up to the declared length and refuses longer ones': {
    plugin: sending((message, context) => send({ ...message, text: message.text.slice(0, 1_000) }, context)),
    says: /a text over the limit: a receipt/,
  },
  'keeps the window of 24 hours of the sender "person"': {
    plugin: forgettingTheWindow('person'),
    says: /after the window closed: a receipt, not OutsideWindow/,
  },
  'keeps the window of 24 hours of the sender "automation"': {
    plugin: forgettingTheWindow('automation'),
    says: /after the window closed: a receipt, not OutsideWindow/,
  },

  'goes on from its cursor after a restart, and catches up on a gap': {
    plugin: catchingUp((found) => (found.more ? found : { ...found, cursor: String(Number(found.cursor) - 1) })),
    says: /13 messages after the cursor, where 12 are new/,
  },
  'gives what is caught up the keys it has when it is delivered': {
    plugin: catchingUp((found) => ({ ...found, events: found.events.map((event) => ({ ...event, dedupeKey: `history ${event.dedupeKey}` })) })),
    says: /7 messages of 5/,
  },

  'takes in what a visitor sends, as its samples say': {
    plugin: paging(async (request, context) => {
      const { status } = await page(request, context);
      return new Response(null, { status: status === 202 ? 200 : status });
    }),
    says: /"writes" is answered 200, not 202/,
  },
  'answers garbage on its pages without an error of the server': {
    plugin: paging((request, context) => {
      if (new URL(request.url).search === '?%') return Promise.resolve(new Response(null, { status: 500 }));
      return page(request, context);
    }),
    says: /GET \/\?% is answered 500/,
  },
  'does not thank a visitor for what could not be stored': {
    plugin: paging((request, context) => page(request, { ...context, deliver: (raw) => context.deliver(raw).catch(() => undefined) })),
    says: /answered as taken/,
  },

  'hands over what its server takes, and parses it': {
    plugin: listening(async (context, key, body, server) => (await honest(context, key, body, server)) && honest(context, key, body, server)),
    samples: listeningSamples,
    says: /2 deliveries of one/,
  },
  'confirms only what is stored': {
    plugin: listening(async (context, key, body, server) => {
      await honest(context, key, body, server);
      return 'ok';
    }),
    samples: listeningSamples,
    says: /confirms what could not be stored/,
  },
  'goes on after garbage on its port': {
    plugin: listening((context, key, body, server) => {
      if (body.includes(0xff)) server.close();
      return honest(context, key, body, server);
    }),
    samples: listeningSamples,
    says: /takes nothing after garbage/,
  },

  'does not mix two channels that are parsed at once': { plugin: keepingTheChannel(), says: /other events while another channel is parsed/ },
  'does not mix two channels that send at once': { plugin: keepingTheProvider(), says: /one provider took 0, the other 10/ },

  'listTemplates says by a typed failure why it could not be done': failingAt('listTemplates'),
  'catchUp says by a typed failure why it could not be done': failingAt('catchUp'),
  'fetchAttachment says by a typed failure why it could not be done': failingAt('fetchAttachment'),
  'lists its templates as an agent can choose them': {
    plugin: { ...reference, listTemplates: async (context) => (await listTemplates(context)).map((template) => ({ ...template, parameters: 0 })) },
    says: /outbound.template is listed with 0 parameters, not 1/,
  },
  'sends a template by its name, language and parameters': {
    plugin: sending((message, context) => {
      const { template } = message;
      if (template === undefined) return send(message, context);
      return send({ ...message, template: { ...template, parameters: template.parameters.map((text) => text.replaceAll('"', "'")) } }, context);
    }),
    says: /another template, or other parameters/,
  },
  'sends quick replies up to the declared limits, and says or refuses what is more': {
    plugin: sending(({ quickReplies, ...message }, context) =>
      send({ ...message, ...(quickReplies === undefined ? {} : { quickReplies: quickReplies.slice(0, 3) }) }, context),
    ),
    says: /one quick reply too many: the contact does not learn of it/,
  },
  'gives back which quick reply was chosen': {
    plugin: changing(({ choice, ...event }) => (choice === undefined ? event : { ...event, text: choice })),
    says: /does not say which quick reply was chosen/,
  },
  'asks for consent with a yes and a no': {
    plugin: sending(({ quickReplies, ...message }, context) =>
      send({ ...message, ...(quickReplies === undefined || message.kind === 'consent' ? {} : { quickReplies }) }, context),
    ),
    says: /other quick replies/,
  },

  ...BROKEN_VOICE,
  ...BROKEN_LIVE,

  'lets no secret into an error, a log line or an event': {
    plugin: parsing((raw, context) => {
      context.log('parsing', { settings: JSON.stringify(context.channel.settings) });
      return parse(raw, context);
    }),
    says: /a secret stands in a log line/,
  },
  'lets no text or address into an error or a log line': {
    plugin: sending((message, context) => {
      context.log('sending', { to: message.to.value });
      return send(message, context);
    }),
    says: /or to whom, stands in a log line/,
  },
};

/** Checks that have another mistake to find, too. */
export const ALSO_BROKEN: readonly (readonly [string, Broken])[] = [
  ...ALSO_BROKEN_VOICE,
  ...ALSO_BROKEN_LIVE,
  [
    'sends what was written to whom it was written to',
    {
      plugin: sending((message, context) => send(isPlain(message) && message.text.length < 100 ? { ...message, text: 'Hello' } : message, context)),
      says: /another text/,
    },
  ],
  [
    'sends the first message of a conversation',
    {
      plugin: sending((message, context) => send(message.kind === 'start' ? { ...message, to: { ...message.to, value: 'contact-9' } } : message, context)),
      says: /another recipient/,
    },
  ],
  ...[
    ({ providerMessageId }: InboundMessage) => ({ joins: [], keys: [providerMessageId] }),
    ({ providerMessageId }: InboundMessage) => ({ joins: [providerMessageId], keys: [providerMessageId] }),
    ({ contact }: InboundMessage) => ({ joins: [], keys: [`with:${contact?.value}`] }),
  ].map((own): readonly [string, Broken] => [OF_THREADS, threading(own, /two messages of one contact do not join one conversation/)]),
  [OF_THREADS, { ...threading(byContact, /no contact of the samples writes twice/), samples: writingOnce() }],
  [
    'calls the provider\'s fault "garbage" MaybeSent',
    { plugin: sendingAgainWhere('can not be read', 'garbage'), says: /at "garbage": the provider took it 2 times/ },
  ],
  ['calls the provider\'s fault "huge" MaybeSent', { plugin: sendingAgainWhere('can not be read', 'huge'), says: /at "huge": the provider took it 2 times/ }],
  ['calls the provider\'s fault "silence" MaybeSent', { plugin: sendingAgainWhere('no answer'), says: /at "silence": the provider took it 2 times/ }],
  [
    'lists its templates as an agent can choose them',
    { plugin: { ...reference, listTemplates: async (context) => (await listTemplates(context)).slice(1) }, says: /outbound.template is not listed/ },
  ],
];

/** Takes an answer that says no for the channel's end, where the provider is only away. */
function failingAt(member: 'listTemplates' | 'catchUp' | 'fetchAttachment'): Broken {
  const own = there(reference[member]) as (...given: readonly unknown[]) => Promise<unknown>;
  const calling = (...given: readonly unknown[]) =>
    own(...given).catch((error: unknown) => {
      throw isChannelFailure(error) && error.message === 'Unavailable: http 503' ? new ChannelFailure({ code: 'Disconnected', reason: 'http 503' }) : error;
    });
  return { plugin: { ...reference, [member]: calling }, says: new RegExp(`${member} at "unavailable" is Disconnected, not Unavailable`) };
}

function validating(own: (typed: unknown) => ReturnType<typeof validate>): Plugin {
  return { ...reference, settings: { '~standard': { version: 1, vendor: 'test', validate: own } } };
}

function verifying(own: (raw: RawDelivery, context: Context) => Promise<Verdict>): Plugin {
  return { ...reference, verify: async (raw, context) => own(raw, context) };
}

async function taken(): Promise<Verdict> {
  return { answer: new Response('taken'), store: true };
}

function signature(raw: RawDelivery, { channel }: Context): string {
  const secret = typeof channel.settings === 'object' && channel.settings !== null && 'appSecret' in channel.settings ? String(channel.settings.appSecret) : '';
  return createHmac('sha256', secret).update(raw.body).digest('hex');
}

function writtenAnew(body: Uint8Array): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(JSON.parse(Buffer.from(body).toString())));
  } catch {
    return body;
  }
}

function parsing(own: Parse): Plugin {
  return { ...reference, parse: own };
}

function changing(own: (event: InboundMessage, context: Context) => InboundMessage): Plugin {
  return parsing(async (raw, context) => (await parse(raw, context)).map((event): InboundEvent => (event.type === 'message' ? own(event, context) : event)));
}

/** Bytes that are read ten times at once get keys of their own from then on. */
function countingWhatIsUnderWay(): Plugin {
  const underWay = new Map<Uint8Array, number>();
  return parsing(async (raw, context) => {
    const count = (underWay.get(raw.body) ?? 0) + 1;
    underWay.set(raw.body, count);
    await setImmediate();
    underWay.set(raw.body, (underWay.get(raw.body) ?? 1) - 1);
    const events = await parse(raw, context);
    return count <= 10 ? events : events.map((event) => ({ ...event, dedupeKey: `${event.dedupeKey} ${count}` }));
  });
}

function rememberingTheLast(): Plugin {
  let last = 0;
  return changing((event) => {
    const n = Number(/^in-(\d+)$/.exec(event.providerMessageId)?.[1] ?? 0);
    const late = n >= 2 && last > n;
    last = n;
    return late ? { ...event, text: `${event.text}, late` } : event;
  });
}

function sending(own: (message: OutboundMessage, context: Context) => Promise<SendReceipt>): Plugin {
  return { ...reference, send: own };
}

/** Calls one failure another. */
function failing(code: Failure['code'], other: Failure, reason = ''): Plugin {
  return sending((message, context) =>
    send(message, context).catch((error: unknown) => {
      if (isChannelFailure(error) && error.failure.code === code && error.message.includes(reason)) throw new ChannelFailure(other);
      throw error;
    }),
  );
}

/** Takes some answers for proof that nothing was sent. */
function readingAnswers(isBad: (answer: string) => boolean): Plugin {
  return sending(async (message, context) => {
    let bad = false;
    const watched: typeof fetch = async (input, init) => {
      const response = await context.fetch(input, init);
      bad = isBad(await response.clone().text());
      return response;
    };
    return send(message, { ...context, fetch: watched }).catch((error: unknown) => {
      throw bad ? new ChannelFailure({ code: 'Unavailable', reason: 'a bad answer' }) : error;
    });
  });
}

/** Sends once more where it does not know what became of the first, and says so only then. */
function sendingAgainWhere(reason: string, answer?: 'garbage' | 'huge'): Plugin {
  return sending(async (message, context) => {
    let size = 0;
    const watched: typeof fetch = async (input, init) => {
      const response = await context.fetch(input, init);
      size = (await response.clone().text()).length;
      return response;
    };
    return send(message, { ...context, fetch: watched }).catch((error: unknown) => {
      const open = isChannelFailure(error) && error.failure.code === 'MaybeSent' && error.failure.reason.includes(reason);
      const meant = answer === undefined || (answer === 'huge') === size > 1_000_000;
      if (open && meant) return send(message, context);
      throw error;
    });
  });
}

/** The whole of what is sent in words alone. */
function isPlain({ kind, template, quickReplies }: OutboundMessage): boolean {
  return kind === 'reply' && template === undefined && quickReplies === undefined;
}

/** A channel with one conversation for each contact, whose messages have these keys beside those of answers. */
function threading(own: (event: InboundMessage) => InboundMessage['thread'], says: RegExp): Broken {
  const plugin = changing((event) => {
    const { joins, keys } = own(event);
    return { ...event, thread: { joins: [...event.thread.joins, ...joins], keys } };
  });
  return { plugin: { ...plugin, capabilities: { ...capabilities, threading: 'participant' } }, says };
}

function byContact({ contact }: InboundMessage): InboundMessage['thread'] {
  return { joins: [`with:${contact?.value}`], keys: [`with:${contact?.value}`] };
}

/** Each kind of message is of other contacts. */
function writingOnce(): ConformanceSamples {
  const { deliveries, outbound = there(referenceSamples.outbound) } = referenceSamples;
  const choice = there(outbound.choice);
  const apart = deliveries.map((sample, index): (typeof deliveries)[number] => ({
    ...sample,
    raw: (n, channel) => sample.raw(n + index * 5_000, channel),
    gives: (n) => sample.gives(n + index * 5_000),
  }));
  return { ...referenceSamples, deliveries: apart, outbound: { ...outbound, choice: (one, n, channel) => choice(one, n + 100_000, channel) } };
}

function forgettingTheWindow(sender: OutboundMessage['sender']): Plugin {
  return sending((message, context) =>
    send(message.sender === sender ? { ...message, lastInboundAt: new Date(context.now()).toISOString() } : message, context),
  );
}

function catchingUp(own: (found: CatchUpPage) => CatchUpPage): Plugin {
  return { ...reference, catchUp: async (cursor, context) => own(await catchUp(cursor, context)) };
}

function paging(own: (request: Request, context: PageContext<unknown>) => Promise<Response>): Plugin {
  return { ...reference, page: own };
}

function keepingTheChannel(): Plugin {
  let current = '';
  return parsing(async (raw, context) => {
    current = context.channel.key;
    const events = await parse(raw, context);
    return events.map((event) => (event.type === 'message' ? { ...event, entryPoint: current } : event));
  });
}

function keepingTheProvider(): Plugin {
  let latest: typeof fetch;
  return sending(async (message, context) => {
    latest = context.fetch;
    await setImmediate();
    return send(message, { ...context, fetch: latest });
  });
}
