import email from '@trunkline/plugin-email';
import type { Progress } from '../servers/progress.ts';
import type { Stack } from '../servers/stack.ts';
import { apiClient, eventually, nodes, type Api, type Edges } from './graphql.ts';
import { openOutside, type Outside } from './mailbox.ts';

/** One line of the day: what was done, what should have come of it, what did. */
export interface Episode {
  readonly what: string;
  readonly expected: string;
  readonly found: string;
}

interface Person {
  readonly id: string;
  readonly name: string;
  readonly api: Api;
}

interface Cast {
  readonly admin: Api;
  readonly ada: Person;
  readonly bo: Person;
  readonly cyd: Person;
  readonly outside: Outside;
}

const SUPPORT = 'support@acme.example';
const BILLING = 'billing@acme.example';
const HELLO = 'hello@acme.example';

/** A day through the front doors: a mail client on the one side, GraphQL on the other, everything between them real. */
export async function playDay(stack: Stack, progress: Progress): Promise<readonly Episode[]> {
  const outside = await openOutside(stack.addresses.smtp);
  try {
    const cast = await progress.during('Hiring people and connecting channels', () => setUp(stack, outside));
    const episodes: Episode[] = [];
    for (const [title, play] of EPISODES) episodes.push(...(await progress.during(title, () => play(cast))));
    return episodes;
  } finally {
    await outside.close();
  }
}

async function setUp(stack: Stack, outside: Outside): Promise<Cast> {
  const { graphql } = stack.addresses;
  const admin = apiClient(graphql, stack.token ?? '');
  const hire = async (name: string): Promise<Person> => {
    const user = await admin.do<{ id: string }>('createUser', '... on User { id }', {
      name,
      email: `${name.toLowerCase()}@staff.example`,
      role: 'AGENT',
      seat: 'PAID',
    });
    const made = await admin.do<{ token: string }>('createApiToken', '... on NewApiToken { token }', { userId: user.id, name: 'demo' });
    return { id: user.id, name, api: apiClient(graphql, made.token) };
  };
  const [ada, bo, cyd] = [await hire('Ada'), await hire('Bo'), await hire('Cyd')];
  const team = await admin.do<{ id: string }>('createTeam', '... on Team { id }', { name: 'First line' });
  await admin.do('setTeamMembers', '... on Team { id }', { teamId: team.id, primaryUserIds: [ada.id, bo.id], extraUserIds: [cyd.id] });
  const places = await admin.run<{ places: Edges<{ id: string; kind: string }> }>('{ places(first: 10) { edges { node { id kind } } } }');
  const place = (kind: string): string => nodes(places.places).find((one) => one.kind === kind)?.id ?? '';
  const connect = (name: string, address: string, kind: string, routing?: object): Promise<unknown> =>
    admin.do('connectChannel', '... on Channel { id }', {
      plugin: email.key,
      name,
      placeId: place(kind),
      settings: {
        kind: 'other',
        address,
        companyName: 'Acme',
        fromName: 'agent-and-company',
        smtp: { host: '127.0.0.1', port: outside.smtpPort, secure: 'none' },
      },
      ...(routing === undefined ? {} : { routing }),
    });
  await connect('Support', SUPPORT, 'HELP_DESK', { kind: 'SPECIFIC', teamIds: [team.id] });
  await connect('Billing', BILLING, 'HELP_DESK');
  await connect('Hello', HELLO, 'INBOX');
  return { admin, ada, bo, cyd, outside };
}

const EPISODES: readonly (readonly [string, (cast: Cast) => Promise<readonly Episode[]>])[] = [
  ['A first mail, its answer, and the answer to that', firstMail],
  ['Ten people write at once', crowd],
  ['A mail to a channel that routes to nobody', triage],
  ['A conversation in the inbox gets a ticket later', inbox],
  ['Handing over, closing, and a customer who comes back', handover],
  ['An agent writes first', agentFirst],
  ['The same mail twice, and a mail to nobody', twice],
];

interface Thread {
  readonly conversation: string;
  readonly id: string | null;
  readonly number: number | null;
  readonly owner: string | null;
  readonly status: string;
  readonly messages: readonly { readonly direction: string; readonly state: string | null }[];
}

const CONVERSATION = `id subject status owner { name } ticket { id number }
  messages(first: 50) { edges { node { direction delivery { state } } } }`;

interface ConversationNode {
  readonly id: string;
  readonly subject: string | null;
  readonly status: string;
  readonly owner: { readonly name: string } | null;
  readonly ticket: { readonly id: string; readonly number: number } | null;
  readonly messages: Edges<{ readonly direction: string; readonly delivery: { readonly state: string } | null }>;
}

async function threads(api: Api): Promise<readonly (Thread & { readonly subject: string })[]> {
  const data = await api.run<{ conversations: Edges<ConversationNode> }>(`{ conversations(first: 50) { edges { node { ${CONVERSATION} } } } }`);
  return nodes(data.conversations).map((one) => ({
    conversation: one.id,
    subject: one.subject ?? '',
    id: one.ticket?.id ?? null,
    number: one.ticket?.number ?? null,
    owner: one.owner?.name ?? null,
    status: one.status,
    messages: nodes(one.messages).map((message) => ({ direction: message.direction, state: message.delivery?.state ?? null })),
  }));
}

/** The conversation of a subject once it is as it should be. */
async function thread(api: Api, subject: string, ready: (found: Thread) => boolean = () => true): Promise<Thread> {
  return eventually(`the conversation "${subject}"`, async () => (await threads(api)).find((one) => one.subject === subject && ready(one)));
}

const owned = (found: Thread): boolean => found.owner !== null;
const arrived =
  (count: number) =>
  (found: Thread): boolean =>
    found.messages.length >= count;

async function reply(person: Person, conversationId: string, text: string): Promise<void> {
  await person.api.do('reply', '... on Message { id }', { conversationId, text });
}

async function mailTo(outside: Outside, address: string, count: number): Promise<void> {
  await eventually(`mail number ${count} to a customer`, async () => (outside.received(address).length >= count ? true : undefined));
}

async function firstMail({ admin, ada, bo, outside }: Cast): Promise<readonly Episode[]> {
  const customer = 'carla@home.example';
  await outside.send({
    from: customer,
    name: 'Carla',
    to: SUPPORT,
    subject: 'My lamp flickers',
    text: 'It flickers since Monday.',
    html: '<p>It flickers since <b>Monday</b>.</p>',
  });
  const found = await thread(admin, 'My lamp flickers', owned);
  const owner = found.owner === 'Ada' ? ada : bo;
  await reply(owner, found.conversation, 'Which bulb is in it?');
  await mailTo(outside, customer, 1);
  const got = outside.received(customer)[0];
  await outside.answer(customer, 'The one that came with it.');
  const after = await thread(admin, 'My lamp flickers', arrived(3));
  return [
    {
      what: 'a first mail to support',
      expected: 'ticket, owner of the first line',
      found:
        `ticket ${after.number === null ? 'missing' : 'made'}, owner ${['Ada', 'Bo'].includes(after.owner ?? '') ? 'of the first line' : after.owner}`.replace(
          'ticket made, owner of',
          'ticket, owner of',
        ),
    },
    {
      what: 'the answer as a mail',
      expected: `from "${owner.name} at Acme", in the thread`,
      found: `from "${got?.from?.name}", ${got?.inReplyTo === undefined ? 'not in the thread' : 'in the thread'}`,
    },
    { what: 'the customer’s answer to it', expected: 'the same conversation, 3 messages', found: `the same conversation, ${after.messages.length} messages` },
  ];
}

async function crowd({ admin, outside }: Cast): Promise<readonly Episode[]> {
  const people = Array.from({ length: 10 }, (_, index) => `guest${index}@home.example`);
  await Promise.all(
    people.map((from, index) => outside.send({ from, name: `Guest ${index}`, to: SUPPORT, subject: `Question ${index}`, text: 'A question.' })),
  );
  const all = await eventually('ten tickets with an owner', async () => {
    const found = (await threads(admin)).filter((one) => one.subject.startsWith('Question ') && one.number !== null && one.owner !== null);
    return found.length === 10 ? found : undefined;
  });
  const numbers = new Set(all.map((one) => one.number));
  return [{ what: 'ten mails at once', expected: '10 tickets, each with an owner', found: `${numbers.size} tickets, each with an owner` }];
}

async function triage({ admin, cyd, outside }: Cast): Promise<readonly Episode[]> {
  await outside.send({ from: 'dora@home.example', name: 'Dora', to: BILLING, subject: 'Wrong invoice', text: 'Twice the sum.' });
  const waiting = await thread(admin, 'Wrong invoice');
  await reply(cyd, waiting.conversation, 'I look into it.');
  await mailTo(outside, 'dora@home.example', 1);
  const taken = await thread(admin, 'Wrong invoice', owned);
  return [
    { what: 'a mail to a channel with the rule nobody', expected: 'unassigned', found: waiting.owner ?? 'unassigned' },
    { what: 'the first who replies', expected: 'owner Cyd', found: `owner ${taken.owner}` },
  ];
}

async function inbox({ admin, ada, outside }: Cast): Promise<readonly Episode[]> {
  await outside.send({ from: 'emil@home.example', name: 'Emil', to: HELLO, subject: 'Do you ship to Malta?', text: 'Just asking.' });
  const before = await thread(admin, 'Do you ship to Malta?');
  await ada.api.do('makeTicket', '... on Ticket { id }', { conversationId: before.conversation });
  const after = await thread(admin, 'Do you ship to Malta?', (found) => found.number !== null);
  return [
    {
      what: 'a mail to an inbox',
      expected: 'a conversation without a ticket',
      found: `a conversation ${before.number === null ? 'without' : 'with'} a ticket`,
    },
    { what: 'a ticket made from it by hand', expected: 'a ticket', found: after.number === null ? 'no ticket' : 'a ticket' },
  ];
}

async function handover({ admin, ada, bo, cyd, outside }: Cast): Promise<readonly Episode[]> {
  const customer = 'fred@home.example';
  await outside.send({ from: customer, name: 'Fred', to: SUPPORT, subject: 'Return label', text: 'I need one.' });
  const first = await thread(admin, 'Return label', owned);
  const owner = first.owner === 'Ada' ? ada : bo;
  await owner.api.do('comment', '... on Message { id }', { conversationId: first.conversation, text: 'Cyd knows the labels.' });
  await owner.api.do('assign', '... on Assignment { __typename }', { subjectId: first.id, ownerId: cyd.id });
  await reply(cyd, first.conversation, 'Here it is.');
  await mailTo(outside, customer, 1);
  await cyd.api.do('closeConversation', '... on Conversation { id }', { conversationId: first.conversation });
  const closed = await thread(admin, 'Return label', (found) => found.status === 'CLOSED');
  await outside.answer(customer, 'It does not print.');
  const back = await thread(admin, 'Return label', (found) => found.status === 'OPEN' && found.messages.length === 4);
  return [
    { what: 'handed over with a comment', expected: 'owner Cyd', found: `owner ${closed.owner}` },
    {
      what: 'the customer comes back after the close',
      expected: 'the same ticket, open again',
      found: `${back.number === first.number ? 'the same' : 'another'} ticket, ${back.status === 'OPEN' ? 'open again' : 'closed'}`,
    },
    {
      what: 'what the customer never saw',
      expected: '1 mail, no comment',
      found: `${outside.received(customer).length} mail, ${outside.received(customer).some((mail) => mail.text?.includes('Cyd knows')) ? 'a comment' : 'no comment'}`,
    },
  ];
}

async function agentFirst({ admin, bo, outside }: Cast): Promise<readonly Episode[]> {
  const { channels } = await admin.run<{ channels: Edges<{ id: string; address: string }> }>('{ channels(first: 10) { edges { node { id address } } } }');
  const channel = nodes(channels).find((one) => one.address === BILLING);
  await bo.api.do('startConversation', '... on Conversation { id }', {
    channelId: channel?.id,
    to: { kind: 'email-address', value: 'gina@home.example' },
    subject: 'Your refund',
    text: 'It is on its way.',
  });
  await mailTo(outside, 'gina@home.example', 1);
  await outside.answer('gina@home.example', 'Thank you!');
  const found = await thread(admin, 'Your refund', arrived(2));
  return [{ what: 'an agent writes first, the customer answers', expected: 'one conversation, owner Bo', found: `one conversation, owner ${found.owner}` }];
}

async function twice({ admin, outside }: Cast): Promise<readonly Episode[]> {
  const mail = { from: 'hank@home.example', name: 'Hank', to: SUPPORT, subject: 'Once only', text: 'Please.' };
  await outside.send({ ...mail });
  await thread(admin, 'Once only', owned);
  const refused = await outside.send({ ...mail, to: 'nobody@acme.example' }).then(
    () => 'taken',
    (error: unknown) => (error instanceof Error && 'responseCode' in error ? `refused with ${String(error.responseCode)}` : 'failed'),
  );
  return [{ what: 'a mail to an address nobody has', expected: 'refused with 550', found: refused }];
}
