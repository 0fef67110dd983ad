import { isInterfaceType, parse, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '#api/schema/index.ts';
import { setCapacity } from '#commands/capacity.ts';
import { assign } from '#commands/owners.ts';
import { setAccessList } from '#commands/places.ts';
import { setRoutingRule, type RuleInput } from '#commands/routing-rules.ts';
import { saveSkill, setUserSkills } from '#commands/skills.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { setAvailability } from '#commands/user-availability.ts';
import { makeChannel, plainPlugin, type MadeChannel } from '../support/fixtures.ts';
import { conversation, makeMapping, onlyThese, rowOf, walkToTheEnd } from '../commands/migration-support.ts';
import { arriving, load, ruled } from '../commands/routing-support.ts';
import { goal, makePolicy } from '../commands/sla-support.ts';
import { tableRows } from '../structure/markdown.ts';
import { read } from '../structure/source.ts';
import { globalId, openWorld, type Json, type Person, type World } from './support.ts';

const ROUTING = 'docs/guides/routing.md';
const SLA = 'docs/guides/sla.md';
const MOVE = 'docs/guides/move.md';
const GUIDES = [ROUTING, 'docs/guides/availability.md', 'docs/guides/webhooks.md', SLA];
const operations = (path: string) => [...read(path).matchAll(/^```graphql\n([\s\S]*?)^```/gm)].map(([, text = '']) => text);

let world: World;
let admin: Person;
beforeAll(async () => {
  world = await openWorld();
  admin = await world.user({ role: 'ADMIN' });
});
afterAll(() => world?.close());

/** The ids a guide leaves to its reader, by the field they are given in. */
async function ids(): Promise<Readonly<Record<string, string>>> {
  const channel = await ruled(world.db, { users: [admin.id] });
  const [conversationId = ''] = await arriving(world.db, channel, 1);
  const ticket = await world.db.selectFrom('ticket').select(['id', 'pipeline_id']).where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
  return {
    channelId: globalId('Channel', channel.id),
    ticketId: globalId('Ticket', ticket.id),
    pipelineId: globalId('Pipeline', ticket.pipeline_id),
    userId: admin.gid,
    ...(await called()),
    ...(await governed(ticket.pipeline_id)),
  };
}

/** A webhook, and a call of it that failed. */
async function called(): Promise<Readonly<Record<string, string>>> {
  const webhook = await world.db
    .insertInto('webhook')
    .values({ name: `called ${(webhooks += 1)}`, url: 'https://hooks.acme.example/called', secret: Buffer.alloc(0) })
    .returning('id')
    .executeTakeFirstOrThrow();
  const failed = { webhook_id: webhook.id, payload: JSON.stringify({ type: 'test' }), state: 'FAILED', failure: 'HTTP_410', settled_at: new Date() } as const;
  const delivery = await world.db.insertInto('webhook_delivery').values(failed).returning('id').executeTakeFirstOrThrow();
  return { webhookId: globalId('Webhook', webhook.id), webhookDeliveryId: globalId('WebhookDelivery', delivery.id) };
}
let webhooks = 0;

/** A calendar and a policy to edit, and a status in which time may rest. */
async function governed(pipelineId: string): Promise<Readonly<Record<string, string>>> {
  const policyId = await makePolicy(world.db, { targets: [goal('CLOSE', 60)] });
  const calendar = await world.db
    .insertInto('business_calendar')
    .values({ name: `of ${policyId}`, time_zone: 'UTC' })
    .returning('id')
    .executeTakeFirstOrThrow();
  await world.db.insertInto('calendar_period').values({ calendar_id: calendar.id, weekday: 1, from_minute: 540, to_minute: 1020 }).execute();
  const statuses = world.db.selectFrom('ticket_status').select('id').where('pipeline_id', '=', pipelineId).where('category', '=', 'OPEN');
  const status = await statuses.executeTakeFirstOrThrow();
  return {
    policyId: globalId('SlaPolicy', policyId),
    calendarId: globalId('BusinessCalendar', calendar.id),
    pauseStatusId: globalId('TicketStatus', status.id),
  };
}

/** The same for a field that takes several: one of each, but of what is put in order all. */
async function several(field: string, given: Readonly<Record<string, string>>): Promise<readonly string[]> {
  if (field === 'policyIds') {
    const rows = await world.db.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).orderBy('id', 'desc').execute();
    return rows.map(({ id }) => globalId('SlaPolicy', id));
  }
  return [idGiven(field.replace(/s$/, ''), given)];
}

function idGiven(field: string, given: Readonly<Record<string, string>>): string {
  const id = given[field];
  if (id === undefined) throw new Error(`no ${field} to fill in`);
  return id;
}

/** An operation with what it leaves to its reader. */
async function fill(text: string, given: Readonly<Record<string, string>>): Promise<string> {
  const lists = new Map<string, readonly string[]>();
  for (const [, field = ''] of text.matchAll(LIST)) lists.set(field, await several(field, given));
  return text
    .replaceAll(LIST, (_, field: string) => `${field}: ${JSON.stringify(lists.get(field))}`)
    .replaceAll(/(\w+): "…"/g, (_, field: string) => `${field}: ${JSON.stringify(idGiven(field, given))}`);
}
const LIST = /(\w+): \["…"(?:, "…")*\]/g;

describe.each(GUIDES)('%s', (guide) => {
  it('has operations that fit the schema and do what they are for, done one after the other as they stand [API-1]', async () => {
    const given = await ids();
    const refusals = new Set(possibleTypes('Refusal'));
    expect(operations(guide)).not.toEqual([]);
    for (const text of operations(guide)) {
      const filled = await fill(text, given);
      expect(validate(schema, parse(filled)).map(({ message }) => message)).toEqual([]);
      const answer = await admin.ask(filled);
      const types = Object.values(answer).map((one) => one['__typename']);
      expect(types, text).not.toEqual([]);
      for (const type of types) {
        expect(type, text).toBeTypeOf('string');
        expect([...refusals], text).not.toContain(type);
      }
    }
  });
});

/** A channel with one conversation of each kind that the guide's table names, in its order. */
async function kinds(
  rows: readonly (readonly string[])[],
): Promise<{ readonly channel: MadeChannel; readonly ids: readonly string[]; readonly people: ReadonlyMap<string, string | undefined> }> {
  const { db } = world;
  const channel = await makeChannel(db, { place: 'INBOX' });
  const people = new Map([
    ['has access to the help desk', (await world.user()).id],
    ['has none', (await world.user()).id],
    ['nobody', undefined],
  ]);
  const made: string[] = [];
  for (const [ticket, state, owner = ''] of rows) {
    const ownerId = people.get(owner);
    made.push(await conversation(db, channel, { ticket: ticket === 'one', closed: state === 'closed', ...(ownerId === undefined ? {} : { ownerId }) }));
  }
  return { channel, ids: made, people };
}

/** What a stream begins with. */
async function firstOf(who: Person, query: string): Promise<Json> {
  const stream = who.listen(query);
  const item = await stream.next();
  stream.close();
  if (item === null) throw new Error('the stream ended before it began');
  return item;
}

/** As the database has it. */
const plainId = (id: string | undefined) =>
  Buffer.from(id ?? '', 'base64')
    .toString()
    .split(':')[1] ?? '';

/** As the guide's table has it: numbers and what is missing, in words. */
function numbers(candidate: Json): string {
  const { outcome, open, limits, missingSkills } = candidate as unknown as Told;
  if (outcome !== 'LEFT_OUT') return `${open} open`;
  return [...limits.map((one) => `${one.of} ${one.open} of ${one.limit}`), ...missingSkills.map((one) => `without ${one.category} ${one.name}`)].join(', ');
}

interface Told {
  readonly outcome: string;
  readonly open: number | null;
  readonly limits: readonly { readonly of: string; readonly open: number; readonly limit: number }[];
  readonly missingSkills: readonly { readonly category: string; readonly name: string }[];
}

it('shows in the guide what an admin reads: each candidate, and why they would not get it [ROUTE-14]', async () => {
  const names = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gus', 'Hana'] as const;
  const people = new Map<string, string>();
  for (const name of names) people.set(name, (await world.user({ name })).id);
  const id = (name: (typeof names)[number]): string => people.get(name) ?? '';
  const run = <T>(work: (unit: Unit) => Promise<T>) => transact(world.db, { actor: 'SYSTEM' }, work);

  const channel = await ruled(world.db, { kind: 'NOBODY' }, { place: 'INBOX', createTickets: true });
  const { id: placeId } = await world.db.insertInto('place').values({ kind: 'INBOX', name: 'French' }).returning('id').executeTakeFirstOrThrow();
  await world.db.updateTable('channel').set({ place_id: placeId, default_properties: '{"language": "fr"}' }).where('id', '=', channel.id).execute();
  const { value: skill } = await run((unit) => saveSkill(unit, { category: 'language', name: 'french' }));
  for (const name of names) if (name !== 'Cleo') await run((unit) => setUserSkills(unit, { userId: id(name), skillIds: [skill.skillId] }));
  const rule: RuleInput = {
    kind: 'SPECIFIC',
    method: 'LEAST_BUSY',
    userIds: [...people.values()],
    skillRules: [{ conditions: [{ property: 'properties.language', operator: 'IS', values: ['fr'] }], skillIds: [skill.skillId], otherwise: 'WAIT' }],
  };
  await run((unit) => setAccessList(unit, { placeId, access: { userIds: [...people.values()], teamIds: [] } }));
  await run((unit) => setRoutingRule(unit, { plugins: [plainPlugin] }, { channelId: channel.id, rule }));

  await load(world.db, id('Ada'), 1);
  await load(world.db, id('Ben'), 2);
  await run((unit) => setCapacity(unit, { userId: id('Dan'), total: 2 }));
  for (const conversationId of await arriving(world.db, await ruled(world.db, { kind: 'NOBODY' }), 2)) {
    await run((unit) => assign(unit, { conversationId }, { userId: id('Dan') }));
  }
  await run((unit) => setAvailability(unit, { userId: id('Eve'), availability: 'AWAY' }));
  const withoutFinn = [...people.values()].filter((one) => one !== id('Finn'));
  await run((unit) => setAccessList(unit, { placeId, access: { userIds: withoutFinn, teamIds: [] } }));
  await world.db.updateTable('app_user').set({ seat: 'NONE' }).where('id', '=', id('Gus')).execute();
  await world.db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', id('Hana')).execute();

  const query = operations(ROUTING).find((text) => text.includes('previewRouting')) ?? '';
  const { previewRouting } = await admin.ask(query.replace('"…"', JSON.stringify(globalId('Channel', channel.id))));
  const candidates = previewRouting?.['candidates'] as unknown as readonly Json[];
  const rows = candidates.map((one) => [one['user']?.['name'], one['outcome'], one['reason'] ?? '', numbers(one)]);
  expect(tableRows(ROUTING).flatMap((row) => (row.length === 5 ? [row.slice(0, 4)] : []))).toEqual(rows);
});

interface CountedDay {
  readonly date: string;
  readonly weekday: string;
  readonly stretches: readonly { readonly fromClock: string; readonly toClock: string }[];
  readonly minutes: number;
  readonly minutesSoFar: number;
  readonly shift: string | null;
}

it('shows in the guide how a deadline is counted over a change of the clocks, as an admin reads it [SLA-3]', async () => {
  const query = operations(SLA).find((text) => text.includes('previewSla')) ?? '';
  const { previewSla } = await admin.ask(query);
  const [foretold] = previewSla?.['goals'] as unknown as readonly Json[];
  const days = foretold?.['days'] as unknown as readonly CountedDay[];
  const rows = days.map(({ date, weekday, stretches, minutes, minutesSoFar, shift }) => {
    const counts = stretches.map(({ fromClock, toClock }) => `${fromClock}–${toClock}`).join(', ');
    return [date, weekday, counts, String(minutes), String(minutesSoFar), shift ?? ''];
  });
  expect(tableRows(SLA).filter((row) => row.length === 6)).toEqual(rows);
  for (const clock of ['dueSoonAtClock', 'dueAtClock']) expect(read(SLA)).toContain(`\`${clock}\` is \`${String(foretold?.[clock])}\``);
});

// Last, for it takes the help desk from most of those whom the others made.
describe(MOVE, () => {
  it('leads through a move with operations that do what they are for, one after the other as they stand, and its table says what became of each [MIG-9] [API-1]', async () => {
    const { db } = world;
    const superAdmin = await world.user({ role: 'SUPER_ADMIN' });
    const table = tableRows(MOVE).filter(([first]) => first === 'none' || first === 'one');
    expect(table).toHaveLength(12);
    const { channel, ids: conversationIds, people } = await kinds(table);
    await onlyThese(db, [people.get('has access to the help desk') ?? '', superAdmin.id]);
    const mapping = await makeMapping(db, 'Of the guide');
    const before = await Promise.all(conversationIds.map((id) => rowOf(db, id)));
    const given: Record<string, string> = {
      channelId: globalId('Channel', channel.id),
      openStatusId: globalId('TicketStatus', mapping.openStatusId),
      closedStatusId: globalId('TicketStatus', mapping.closedStatusId),
      startAt: new Date(Date.now() + 86_400_000).toISOString(),
    };
    const answers = new Map<string, Json>();
    for (const text of operations(MOVE)) {
      // Once it has been looked at while it runs, it comes to its end.
      if (text.includes('report {')) await walkToTheEnd(db, plainId(given['id']));
      const filled = await fill(text, given);
      expect(validate(schema, parse(filled)).map(({ message }) => message)).toEqual([]);
      const answer = text.startsWith('subscription') ? await firstOf(superAdmin, filled) : await superAdmin.ask(filled);
      for (const [name, value] of Object.entries(answer)) {
        const [one] = name === 'notices' && Array.isArray(value) ? (value as Json[]) : [value];
        expect(one?.['__typename'], text).toBeTypeOf('string');
        expect(possibleTypes('Refusal'), text).not.toContain(one?.['__typename']);
        answers.set(name, one as Json);
        if (name === 'startChannelMigration') given['id'] = given['migrationId'] = String(one?.['id']);
      }
    }
    expect(answers.get('withdrawChannelMigration')).toMatchObject({ state: 'WITHDRAWN', withdrawnWhy: 'BY_HAND' });
    expect(answers.get('startChannelMigration')).toMatchObject({ state: 'RUNNING' });
    expect(answers.get('channelMigration')).toMatchObject({ state: 'COMPLETED', remainder: { edges: [] } });
    for (const [index, [, , owner = '', ticketAfter, status, whose]] of table.entries()) {
      const [was, is] = [before[index], await rowOf(db, conversationIds[index] ?? '')];
      expect(is.place).toBe('HELP_DESK');
      expect(is.number === was?.number ? 'the same' : 'a new one', `row ${index}`).toBe(ticketAfter);
      const says =
        is.status_id === was?.status_id
          ? 'its own'
          : is.status_id === mapping.openStatusId
            ? 'your open one'
            : is.status_id === mapping.closedStatusId
              ? 'your closed one'
              : '?';
      expect(says, `row ${index}`).toBe(status);
      expect(is.owner_id === null ? 'nobody’s' : is.owner_id === people.get(owner) ? 'the owner’s' : '?', `row ${index}`).toBe(whose?.replace("'", '’'));
    }
  });
});

function possibleTypes(name: string): readonly string[] {
  const type = schema.getType(name);
  if (!isInterfaceType(type)) throw new Error(`${name} is no interface`);
  return schema.getPossibleTypes(type).map((one) => one.name);
}
