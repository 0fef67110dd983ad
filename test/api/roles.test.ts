import {
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLOutputType,
} from 'graphql';
import { definePlugin } from '@trunkline/channel-sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Role } from '#db/schema.ts';
import { setAccessList } from '#commands/places.ts';
import { transact } from '#commands/unit.ts';
import { RATES } from '#api/limits.ts';
import { ROLES, reaches, scopeOf, type Operation } from '#api/roles.ts';
import { schema } from '#api/schema/index.ts';
import { flowPlugin } from '../support/chatflow.ts';
import { plainPlugin } from '../support/fixtures.ts';
import { tableRows } from '../structure/markdown.ts';
import { makeGround, OVERDUE, type Ground } from './ground.ts';
import { globalId, openWorld, type Answer, type Person, type World } from './support.ts';

type Cell = 'yes' | 'place' | 'own' | 'no';
interface Row {
  readonly operation: string;
  readonly cells: Readonly<Record<Role, Cell>>;
  readonly condition: string;
  readonly scope: string | undefined;
}

const ROLE_ORDER: readonly Role[] = ['AGENT', 'ADMIN', 'SUPER_ADMIN'];
const isCell = (text: string | undefined): text is Cell => text === 'yes' || text === 'place' || text === 'own' || text === 'no';

/** The page's tables, by the kind of operation: they stand under their headings in this order. */
const tables: Readonly<Record<'Query' | 'Mutation' | 'Subscription', readonly Row[]>> = (() => {
  const rows = tableRows('docs/roles.md').flatMap(([operation = '', agent, admin, superAdmin, condition = '', scope]): Row[] =>
    isCell(agent) && isCell(admin) && isCell(superAdmin)
      ? [{ operation, cells: { AGENT: agent, ADMIN: admin, SUPER_ADMIN: superAdmin }, condition, scope }]
      : [],
  );
  const fields = (kind: string) => new Set(Object.keys(fieldsOf(kind)));
  const [queries, subscriptions] = [fields('Query'), fields('Subscription')];
  const mutations = rows.filter(({ scope }) => scope !== undefined);
  const others = rows.filter(({ scope }) => scope === undefined);
  const firstSubscription = others.findIndex(
    (row, index) => subscriptions.has(row.operation) && index > 0 && (others[index - 1]?.operation ?? '') > row.operation,
  );
  return {
    Query: others.slice(0, firstSubscription).filter((row) => queries.has(row.operation)),
    Mutation: mutations,
    Subscription: others.slice(firstSubscription),
  };
})();

function fieldsOf(kind: string): Readonly<Record<string, GraphQLField<unknown, unknown>>> {
  const type = schema.getType(kind);
  if (!isObjectType(type)) throw new Error(`no ${kind}`);
  return type.getFields();
}

test('the page has a row for every query, mutation and subscription of the schema, in alphabetical order, and none besides [API-6]', () => {
  for (const kind of ['Query', 'Mutation', 'Subscription'] as const) {
    expect(tables[kind].map(({ operation }) => operation)).toEqual(Object.keys(fieldsOf(kind)).toSorted());
  }
});

test('the page says of every mutation the role and the scope that the code asks [API-5] [API-6]', () => {
  expect(Object.keys(ROLES).toSorted()).toEqual(tables.Mutation.map(({ operation }) => operation));
  for (const { operation, cells, scope } of tables.Mutation) {
    const name = operation as Operation;
    for (const role of ROLE_ORDER) expect(cells[role] !== 'no', `${operation} as ${role}`).toBe(reaches(role, ROLES[name]));
    expect(scope, operation).toBe(scopeOf(name));
  }
});

test('a role never loses what the one before has [API-6]', () => {
  const width: Readonly<Record<Cell, number>> = { no: 0, own: 1, place: 2, yes: 3 };
  for (const { operation, cells } of [...tables.Query, ...tables.Mutation, ...tables.Subscription]) {
    expect(width[cells.ADMIN], operation).toBeGreaterThanOrEqual(width[cells.AGENT]);
    expect(width[cells.SUPER_ADMIN], operation).toBeGreaterThanOrEqual(width[cells.ADMIN]);
  }
});

// What follows tries every one of them over HTTP. ---------------------------------------------------------------------

let world: World;
/** With access to every place, and with access to none. */
let inside: Readonly<Record<Role, Person>>;
let outside: Readonly<Record<Role, Person>>;
/** Somebody whose own things the others try to touch. */
let somebody: Person;

beforeAll(async () => {
  // What was said on its channels can be mailed to whoever said it.
  const mailed = definePlugin({ ...plainPlugin, transcripts: () => ({ onClose: false }) });
  world = await openWorld({ plugins: [mailed, flowPlugin], rates: { ...RATES, callerPerMinute: 100_000, unauthenticatedPerMinute: 100_000 } });
  const three = async (): Promise<Record<Role, Person>> => ({
    AGENT: await world.user({ role: 'AGENT' }),
    ADMIN: await world.user({ role: 'ADMIN' }),
    SUPER_ADMIN: await world.user({ role: 'SUPER_ADMIN' }),
  });
  [inside, outside] = [await three(), await three()];
  somebody = await world.user();
  await closePlaces();
});
afterAll(() => world?.close());

async function closePlaces(): Promise<void> {
  const places = await world.db.selectFrom('place').select('id').execute();
  const userIds = ROLE_ORDER.map((role) => inside[role].id);
  for (const { id: placeId } of places)
    await transact(world.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId, access: { userIds, teamIds: [] } }));
}

/** Arguments that the types alone do not say. */
const EXAMPLES: Readonly<Record<string, (ground: Ground, whose: Person) => Readonly<Record<string, unknown>>>> = {
  channelByKey: ({ keys }) => ({ key: keys.channel }),
  checkChatflow: ({ keys }) => ({ channelId: globalId('Channel', keys.flowing), kind: 'LIVE', definition: {} }),
  saveChatflow: ({ keys, unique }) => ({ channelId: globalId('Channel', keys.flowing), name: unique, kind: 'LIVE', entryPoint: unique, definition: {} }),
  channelPreview: ({ gid }) => ({ channelId: gid('Channel') }),
  previewRouting: ({ gid }) => ({ channelId: gid('Channel') }),
  slaReport: () => ({ from: new Date(0), to: new Date(1), by: 'OWNER' }),
  ticketByNumber: ({ keys }) => ({ number: keys.ticketNumber }),
  ticketImportPreview: (ground, whose) => ({ uploadId: ground.uploadOf(whose.id), format: 'NDJSON' }),
  createPipeline: ({ unique }) => ({
    name: unique,
    statuses: [
      { name: 'Open', category: 'OPEN' },
      { name: 'Closed', category: 'CLOSED' },
    ],
  }),
  makeTicket: ({ keys }) => ({ conversationId: globalId('Conversation', keys.withoutTicket) }),
  connectChannel: ({ gid, unique }) => ({ plugin: 'plain', name: unique, placeId: gid('HelpDesk'), settings: { address: unique } }),
  startTicketImport: (ground, whose) => ({ uploadId: ground.uploadOf(whose.id), format: 'NDJSON', source: ground.unique }),
  retryMessage: ({ keys }) => ({ messageId: globalId('Message', keys.failedMessage) }),
  settleMaybeSent: ({ keys }) => ({ messageId: globalId('Message', keys.uncertainMessage), sent: true }),
  assign: ({ gid }) => ({ subjectId: gid('Ticket'), ownerId: null }),
  reply: ({ gid }) => ({ conversationId: gid('Conversation'), text: 'x' }),
  startConversation: ({ gid, unique }) => ({ channelId: gid('Channel'), to: { kind: 'email-address', value: `${unique}@outside.example` }, text: 'x' }),
  setAccessList: ({ gid }) => ({ placeId: gid('Inbox'), access: { userIds: ROLE_ORDER.map((role) => inside[role].gid) } }),
  setRoutingRule: ({ gid }) => ({ channelId: gid('Channel'), rule: { kind: 'NOBODY' } }),
  createInbox: ({ unique }) => ({ name: unique, access: { userIds: ROLE_ORDER.map((role) => inside[role].gid) } }),
  // Another's new one beside the ground's own would be one too many in the end.
  saveWebhook: ({ gid, unique }) => ({ webhookId: gid('Webhook'), name: `${unique} anew`, url: 'https://hooks.outside.example/' }),
  saveSkill: ({ unique }) => ({ category: 'language', name: unique }),
  createUser: ({ unique }) => ({ name: 'x', email: `${unique}@inside.example` }),
  addSenderRule: ({ unique }) => ({ list: 'DENY', pattern: `${unique}@outside.example` }),
  removeSignIn: ({ gid, keys }) => ({ userId: gid('User'), issuer: keys.issuer }),
  setSystemSender: ({ gid }) => ({ channelId: gid('Channel') }),
  setAvailability: (_ground, whose) => ({ userId: whose.gid, availability: 'AVAILABLE' }),
  clearAvailability: (_ground, whose) => ({ userId: whose.gid }),
  setWorkingHours: (_ground, whose) => ({ userId: whose.gid, periods: [] }),
  addOutOfOffice: (_ground, whose) => ({ userId: whose.gid, from: new Date(0), to: new Date(Date.now() + 3_600_000) }),
  removeOutOfOffice: (ground, whose) => ({ outOfOfficeId: ground.outOfOfficeOf(whose.id) }),
  setNotificationSwitch: () => ({ kind: 'TICKET_ASSIGNED', on: true }),
  createApiToken: (_ground, whose) => ({ userId: whose.gid, name: 'x' }),
  revokeApiToken: (ground, whose) => ({ tokenId: ground.tokenOf(whose.id) }),
  markNotificationRead: (ground, whose) => ({ notificationId: ground.notificationOf(whose.id) }),
  updateUser: ({ gid }) => ({ userId: gid('User'), name: 'New name' }),
  previewSla: ({ gid }) => ({ policyId: gid('SlaPolicy'), at: new Date(0) }),
  saveBusinessCalendar: ({ gid, unique }) => ({
    calendarId: gid('BusinessCalendar'),
    name: unique,
    timeZone: 'Europe/Berlin',
    periods: [{ weekday: 'MONDAY', from: '09:00', to: '17:00' }],
    applyTo: 'NEW_TICKETS',
  }),
  saveSlaPolicy: ({ gid, unique }) => ({
    policyId: gid('SlaPolicy'),
    name: unique,
    conditions: [{ property: `properties.${unique}`, operator: 'IS', values: ['x'] }],
    targets: [{ goal: 'CLOSE', minutes: 60 }],
    applyTo: 'NEW_TICKETS',
  }),
  channelMigrationPreflightProgress: ({ keys }) => ({ channelId: globalId('Channel', keys.elsewhere) }),
  channelMigrationProgress: ({ gid }) => ({ id: gid('ChannelMigration') }),
  channelMigration: ({ gid }) => ({ id: gid('ChannelMigration') }),
  channelMigrationPreflight: ({ keys }) => ({ channelId: globalId('Channel', keys.elsewhere) }),
  startChannelMigration: ({ keys }) => ({ channelId: globalId('Channel', keys.elsewhere), history: 'NONE' }),
  orderSlaPolicies: ({ keys }) => ({ policyIds: keys.policies, applyTo: 'NEW_TICKETS' }),
};

/** Operations by which nobody else's things can be named. */
const ONLY_ONES_OWN = new Set(['setNotificationSwitch']);
/** What those whose role is too low do not even see, and so are not refused (API-6): by whether they have access to the place. */
const UNSEEN: Readonly<Record<string, (role: Role, at: 'inside' | 'outside') => boolean>> = {
  startChannelMigration: (role, at) => role === 'AGENT' && at === 'outside',
  withdrawChannelMigration: (role) => role === 'AGENT',
};
/** Lists of what no ground has, for one at a time is there in the account. */
const LISTS_NOTHING = new Set(['notices']);
/** Where nothing is named that could be hidden, a place one may not see is refused. */
const REFUSED_OUTSIDE = new Set(['createTicket', 'slaReport']);

function exampleOf(name: string, kind: string, ground: Ground, whose: Person): Record<string, unknown> {
  const given = EXAMPLES[name]?.(ground, whose);
  const [input] = fieldsOf(kind)[name]?.args ?? [];
  if (kind === 'Mutation' && input !== undefined) {
    const type = getNamedType(input.type);
    if (!isInputObjectType(type)) throw new Error(`${name} has no input`);
    return { input: given ?? required(name, Object.values(type.getFields()), ground) };
  }
  return given ?? required(name, fieldsOf(kind)[name]?.args ?? [], ground);
}

/** A value for everything that must be given, by its type and name. */
function required(name: string, fields: readonly (GraphQLArgument | GraphQLInputField)[], ground: Ground): Record<string, unknown> {
  return Object.fromEntries(
    fields.filter(({ type }) => isNonNullType(type)).map((field) => [field.name, valueOf(`${name}.${field.name}`, field.name, field.type, ground)]),
  );
}

function valueOf(where: string, name: string, given: GraphQLInputType, ground: Ground): unknown {
  const type = getNullableType(given);
  if (isListType(type)) return [valueOf(where, name.replace(/s$/, ''), type.ofType, ground)];
  if (isEnumType(type)) return type.getValues()[0]?.name;
  if (isInputObjectType(type)) return required(where, Object.values(type.getFields()), ground);
  switch (type.name) {
    case 'ID':
      return ground.idFor(where, name);
    case 'String':
      return ground.unique;
    case 'Boolean':
      return true;
    case 'Int':
      return 1;
    case 'JSONObject':
      return {};
    case 'DateTime':
      return new Date(Date.now() + 3_600_000).toISOString();
    default:
      throw new Error(`${where}: no example of ${type.name}; add one to EXAMPLES`);
  }
}

/** What to ask for: the type, and the id where there is one. */
function selection(output: GraphQLOutputType): string {
  const type = getNamedType(output);
  if (isUnionType(type))
    return `{ __typename ${type
      .getTypes()
      .map((one) => `... on ${one.name} ${inner(one)}`)
      .join(' ')} }`;
  if (isObjectType(type) || isInterfaceType(type)) return inner(type);
  return '';
}

function inner(type: { readonly name: string; getFields(): Readonly<Record<string, GraphQLField<unknown, unknown>>> }): string {
  const fields = type.getFields();
  const edges = fields['edges'];
  if (edges !== undefined) {
    const node = getNamedType(edges.type);
    return isObjectType(node) && node.getFields()['node'] !== undefined
      ? `{ edges { node ${selection(node.getFields()['node']?.type ?? edges.type)} } }`
      : '{ __typename }';
  }
  if (type.name === 'FeedPage') return '{ __typename items { event { id conversation { id } } } }';
  if (type.name === 'FeedItem') return '{ __typename event { id conversation { id } } }';
  return fields['id'] === undefined ? '{ __typename }' : '{ __typename id }';
}

async function ask(who: Person, kind: string, name: string, ground: Ground, whose: Person): Promise<Answer> {
  const field = fieldsOf(kind)[name];
  if (field === undefined) throw new Error(`no ${name}`);
  const values = { ...(field.args.some((argument) => argument.name === 'first') ? { first: 100 } : {}), ...exampleOf(name, kind, ground, whose) };
  const given = field.args.filter((argument) => argument.name in values);
  const variables = given.map((argument) => `$${argument.name}: ${String(argument.type)}`).join(', ');
  const passed = given.map((argument) => `${argument.name}: $${argument.name}`).join(', ');
  return who.raw(
    `${kind.toLowerCase()} ${variables === '' ? '' : `(${variables})`} { ${name}${passed === '' ? '' : `(${passed})`} ${selection(field.type)} }`,
    values,
  );
}

type Outcome = 'allowed' | 'refused' | 'not found' | 'not done';

/** What an answer amounts to. Done is done: a refusal for another reason would hide what comes of who asks. */
function outcomeOf(name: string, answer: Answer, ground: Ground): Outcome {
  expect(
    answer.errors.map(({ message }) => message),
    name,
  ).toEqual([]);
  const value = answer.data[name];
  if (value === null || value === undefined) return 'not found';
  const text = JSON.stringify(value);
  if (text.startsWith('{"__typename":"Forbidden"')) return 'refused';
  if (text.startsWith('{"__typename":"NotFound"')) return 'not found';
  if (isRefusal(text)) return 'not done';
  const listed = /^\{"edges":|^\{"__typename":"FeedPage"|^\[/.test(text);
  if (listed && !LISTS_NOTHING.has(name) && !ground.all.some((id) => text.includes(id))) return 'not found';
  return 'allowed';
}

test('nobody does or sees anything: 401 for each, whatever it is [API-5] [API-6]', async () => {
  const ground = await makeGround(world.db, somebody);
  for (const kind of ['Query', 'Mutation', 'Subscription'] as const) {
    for (const { operation } of tables[kind]) {
      const field = fieldsOf(kind)[operation];
      const values = exampleOf(operation, kind, ground, somebody);
      const response = await fetch(world.endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: `${kind.toLowerCase()} { ${operation} ${selection(field?.type ?? (undefined as never))} }`, variables: values }),
      });
      expect(response.status, operation).toBe(401);
      expect(response.headers.get('www-authenticate'), operation).toMatch(/^Bearer/);
    }
  }
});

describe.each(ROLE_ORDER)('as %s', (role) => {
  test('every query answers as the page says [API-6]', async () => {
    for (const [who, at] of [
      [inside[role], 'inside'],
      [outside[role], 'outside'],
    ] as const) {
      const ground = await makeGround(world.db, who);
      const others = await makeGround(world.db, somebody);
      for (const { operation, cells } of tables.Query) {
        const cell = cells[role];
        const about = `${operation} ${at}`;
        const answer = operation === 'events' ? await eventsAfter(who, ground) : await ask(who, 'Query', operation, ground, who);
        const outcome = outcomeOf(operation, answer, ground);
        if (cell === 'no') expect(outcome, about).not.toBe('allowed');
        else if (cell === 'place' && at === 'outside') expect(outcome, about).toBe(REFUSED_OUTSIDE.has(operation) ? 'refused' : 'not found');
        else expect(outcome, about).toBe('allowed');
        // One's own, and of others only what the page says.
        if (operation === 'apiTokens') expect(JSON.stringify(answer.data).includes(others.tokenOf(somebody.id)), about).toBe(cell === 'yes');
      }
    }
    expect(world.errors).toEqual([]);
  });

  test('every subscription brings what the page says, and nothing else [API-6]', async () => {
    for (const { operation, cells } of tables.Subscription) {
      if (OF_NO_PLACE.has(operation)) continue;
      expect(cells[role], operation).toBe('place');
      const before = await inside[role].ask('{ events { ... on FeedPage { cursor } } }');
      const after = before['events']?.['cursor'];
      const ground = await makeGround(world.db, somebody);
      const values = { ...exampleOf(operation, 'Subscription', ground, somebody), after };
      const field = fieldsOf('Subscription')[operation];
      const given = (field?.args ?? []).filter((argument) => argument.name in values);
      const query = `subscription (${given.map((one) => `$${one.name}: ${String(one.type)}`).join(', ')}) {
        ${operation}(${given.map((one) => `${one.name}: $${one.name}`).join(', ')}) { __typename ... on ${ITEMS[operation] ?? 'FeedItem'} { event { conversation { id } why } } } }`;
      // What was being written when the cursor was read comes after it too.
      const shown = inside[role].listen(query, values);
      for (let seen = ''; !seen.includes(ground.gid('Conversation'));) seen = JSON.stringify(await shown.next());
      shown.close();
      const hidden = outside[role].listen(query, values);
      if (operation.startsWith('conversation')) {
        expect(await hidden.next(), `${operation} outside`).toEqual({ [operation]: { __typename: 'NotFound' } });
        continue;
      }
      // An event that is about them, and has no place: the first that they may see, though those of the place came before.
      const [kind, data] = operation === 'slaEvents' ? ['SLA_GOAL_CHANGED', OVERDUE] : ['PEOPLE_CHANGED', '{}'];
      const about = { kind, actor: 'SYSTEM', user_id: outside[role].id, why: 'A_MARK', ticket_id: ground.keys.ticket, data } as const;
      await world.db.insertInto('event').values(about).execute();
      for (;;) {
        const item = await hidden.next();
        expect(JSON.stringify(item), `${operation} outside`).not.toContain(ground.gid('Conversation'));
        if (JSON.stringify(item).includes('A_MARK')) break;
        // An admin sees also what else has no place.
        expect(role, `${operation} outside`).not.toBe('AGENT');
      }
      hidden.close();
    }
  });
});

/** Streams that are no part of the feed: whoever may have one is given its first item at once. */
const OF_NO_PLACE = new Set(['channelMigrationPreflightProgress', 'channelMigrationProgress', 'notices']);

describe.each(ROLE_ORDER)('as %s', (role) => {
  test('every stream of no place begins, or is not found, as the page says [API-6]', async () => {
    const ground = await makeGround(world.db, somebody);
    for (const { operation, cells } of tables.Subscription.filter((row) => OF_NO_PLACE.has(row.operation))) {
      const values = exampleOf(operation, 'Subscription', ground, somebody);
      const given = (fieldsOf('Subscription')[operation]?.args ?? []).filter((argument) => argument.name in values);
      const typed = given.length === 0 ? '' : `(${given.map((one) => `$${one.name}: ${String(one.type)}`).join(', ')})`;
      const passed = given.length === 0 ? '' : `(${given.map((one) => `${one.name}: $${one.name}`).join(', ')})`;
      for (const [who, at] of [
        [inside[role], 'inside'],
        [outside[role], 'outside'],
      ] as const) {
        const stream = who.listen(`subscription ${typed} { ${operation}${passed} { __typename } }`, values);
        const type = String((await stream.next())?.[operation]?.['__typename']);
        stream.close();
        const refused = operation === 'channelMigrationPreflightProgress' && at === 'inside' ? 'Forbidden' : 'NotFound';
        if (cells[role] === 'no') expect(type, `${operation} ${at}`).toBe(refused);
        else expect(['MigrationProgressItem', 'Notices', 'PreflightPartItem'], `${operation} ${at}`).toContain(type);
      }
    }
  });
});

// Last, for each try leaves a new one of everything behind.
describe.each(ROLE_ORDER)('as %s', (role) => {
  test('every mutation is done, refused or not found as the page says [API-6]', async () => {
    const grounds = new Map<string, Ground>();
    const refusing = async (who: Person) => {
      const ground = grounds.get(who.id) ?? (await makeGround(world.db, who));
      grounds.set(who.id, ground);
      return ground;
    };
    for (const { operation, cells } of tables.Mutation) {
      const cell = cells[role];
      const tryAs = async (who: Person, whose: Person): Promise<Outcome> => {
        const ground = await makeGround(world.db, whose);
        return outcomeOf(operation, await ask(who, 'Mutation', operation, ground, whose), ground);
      };
      const [member, stranger] = [inside[role], outside[role]];
      const about = `${operation} as ${role}`;
      if (cell === 'no') {
        // Refused, it changes nothing: so one ground does for all.
        for (const [who, at] of [
          [member, 'inside'],
          [stranger, 'outside'],
        ] as const) {
          const ground = await refusing(who);
          const unseen = UNSEEN[operation]?.(role, at) === true;
          expect(outcomeOf(operation, await ask(who, 'Mutation', operation, ground, who), ground), `${about}, ${at}`).toBe(unseen ? 'not found' : 'refused');
        }
      } else {
        expect(await tryAs(member, member), `${about}, inside`).toBe('allowed');
        const beyond = await tryAs(stranger, stranger);
        if (cell === 'place') expect(beyond, `${about}, outside`).toBe(REFUSED_OUTSIDE.has(operation) ? 'refused' : 'not found');
        else expect(beyond, `${about}, outside`).toBe('allowed');
        if (cell === 'own' && !ONLY_ONES_OWN.has(operation)) expect(await tryAs(stranger, somebody), `${about}, another’s`).not.toBe('allowed');
        if (cell === 'yes' && isOwned(operation)) expect(await tryAs(stranger, somebody), `${about}, another’s`).toBe('allowed');
      }
    }
    expect(world.errors).toEqual([]);
  }, 300_000);
});

/** What each subscription brings. */
const ITEMS: Readonly<Record<string, string>> = {
  events: 'FeedItem',
  slaEvents: 'SlaEvent',
  ticketChanged: 'TicketItem',
  conversationMessages: 'MessageItem',
  conversationActivity: 'ActivityItem',
};

function isOwned(operation: string): boolean {
  return tables.Mutation.some((row) => row.operation === operation && row.cells.AGENT === 'own');
}

function isRefusal(text: string): boolean {
  const type = schema.getType(/^\{"__typename":"(\w+)"/.exec(text)?.[1] ?? '');
  return isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Refusal');
}

/** Everything after the ground was begun. */
async function eventsAfter(who: Person, ground: Ground): Promise<Answer> {
  const query = 'query ($after: String) { events(after: $after) { __typename ... on FeedPage { items { event { id conversation { id } } } } } }';
  return who.raw(query, { after: ground.cursor });
}
