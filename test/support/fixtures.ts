import { randomBytes } from 'node:crypto';
import type { Capabilities, InboundEvent, InboundMessage, Plugin } from '@trunkline/channel-sdk';
import { definePlugin } from '@trunkline/channel-sdk';
import { z } from 'zod';
import type { Db } from '#db/database.ts';
import type { Availability, Role, Seat } from '#db/schema.ts';
import { applyDeliveries, storeDelivery, type ParsedDelivery } from '#commands/intake.ts';
import { safeParts } from '#commands/safe-html.ts';
import { keysFrom } from '#commands/secrets.ts';

export const testKeys = keysFrom('ab'.repeat(32));

/** A plugin whose deliveries are events as JSON: for tests of the engine, not of a channel. */
export const plainCapabilities: Capabilities = {
  identities: ['email-address'],
  address: 'opaque',
  threading: 'thread-id',
  joinsParticipantsOnly: false,
  inbound: [],
  maxDeliveryBytes: 1_000_000,
  outbound: 'start',
  outboundContent: { maxTextLength: 5_000, html: false, subject: true, attachments: null },
  receipts: [],
  windows: [],
  templates: false,
  typing: true,
  routing: { group: 'written', defaultMethod: 'random' },
  sendRate: {},
  movable: { allowed: true },
  callControl: false,
};

export const plainPlugin: Plugin = definePlugin({
  key: 'plain',
  name: 'Plain',
  contract: 1,
  settings: z.object({ address: z.string() }),
  secrets: [],
  capabilities: plainCapabilities,
  address: (settings) => settings.address,
  parse: async (raw) => JSON.parse(Buffer.from(raw.body).toString('utf8')) as InboundMessage[],
  send: async (message) => ({ providerMessageId: `sent-${message.id}`, keys: [`sent-${message.id}`], state: 'sent' as const }),
});

export interface TestUser {
  readonly role?: Role;
  readonly seat?: Seat;
  readonly availability?: Availability;
  readonly name?: string;
  readonly email?: string;
}

export async function makeUser(db: Db, user: TestUser = {}): Promise<string> {
  const { id } = await db
    .insertInto('app_user')
    .values({
      email: user.email ?? `${randomBytes(6).toString('hex')}@users.example`,
      name: user.name ?? 'Test User',
      role: user.role ?? 'AGENT',
      seat: user.seat ?? 'PAID',
      availability: user.availability ?? 'AVAILABLE',
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

export async function makeTeam(db: Db, members: { readonly primary?: readonly string[]; readonly extra?: readonly string[] }): Promise<string> {
  const { id } = await db
    .insertInto('team')
    .values({ name: `team ${randomBytes(4).toString('hex')}` })
    .returning('id')
    .executeTakeFirstOrThrow();
  for (const userId of members.primary ?? []) await db.insertInto('team_member').values({ team_id: id, user_id: userId, kind: 'PRIMARY' }).execute();
  for (const userId of members.extra ?? []) await db.insertInto('team_member').values({ team_id: id, user_id: userId, kind: 'EXTRA' }).execute();
  return id;
}

export interface TestChannel {
  /** The plugin's key; the plain one unless given. */
  readonly plugin?: string;
  readonly place?: 'INBOX' | 'HELP_DESK';
  readonly createTickets?: boolean;
  readonly enabled?: boolean;
  readonly reopening?: 'REOPEN' | 'NEW_AFTER' | 'KEEP_CLOSED';
  readonly reopenDays?: number;
  readonly rule?: { readonly users?: readonly string[]; readonly teams?: readonly string[]; readonly availableOnly?: boolean };
}

export interface MadeChannel {
  readonly id: string;
  readonly key: string;
  readonly ruleId: string;
  readonly placeId: string;
}

/** A connected channel of the plain plugin, written straight into the rows. */
export async function makeChannel(db: Db, options: TestChannel = {}): Promise<MadeChannel> {
  const place = await db
    .selectFrom('place')
    .select(['id', 'kind'])
    .where('kind', '=', options.place ?? 'HELP_DESK')
    .executeTakeFirstOrThrow();
  const status = await db
    .selectFrom('ticket_status')
    .innerJoin('pipeline', 'pipeline.id', 'ticket_status.pipeline_id')
    .select(['ticket_status.id', 'pipeline_id'])
    .orderBy('pipeline.position')
    .orderBy('ticket_status.position')
    .executeTakeFirstOrThrow();
  const rule = await db
    .insertInto('routing_rule')
    .values({
      kind: options.rule === undefined ? 'NOBODY' : 'SPECIFIC',
      method: options.rule === undefined ? null : 'RANDOM',
      available_only: options.rule?.availableOnly ?? true,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  for (const userId of options.rule?.users ?? []) await db.insertInto('routing_rule_target').values({ rule_id: rule.id, user_id: userId }).execute();
  for (const teamId of options.rule?.teams ?? []) await db.insertInto('routing_rule_target').values({ rule_id: rule.id, team_id: teamId }).execute();
  const key = `plain-${randomBytes(4).toString('hex')}`;
  const channel = await db
    .insertInto('channel')
    .values({
      key,
      plugin: options.plugin ?? 'plain',
      name: 'Plain channel',
      address: key,
      place_id: place.id,
      place: place.kind,
      settings: JSON.stringify({ address: key }),
      enabled: options.enabled ?? true,
      create_tickets: options.createTickets ?? false,
      reopening: options.reopening ?? 'REOPEN',
      reopen_days: options.reopenDays ?? null,
      default_pipeline_id: status.pipeline_id,
      default_status_id: status.id,
      routing_rule_id: rule.id,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return { id: channel.id, key, ruleId: rule.id, placeId: place.id };
}

let counter = 0;

/** A message as a plugin would return it; the thread is its own unless `joins` says otherwise. */
export function inbound(from: string, more: Partial<Omit<InboundMessage, 'type'>> & { readonly joins?: readonly string[] } = {}): InboundMessage {
  counter += 1;
  const id = more.providerMessageId ?? `message-${process.pid}-${counter}`;
  const { joins, ...rest } = more;
  return {
    type: 'message',
    direction: 'inbound',
    dedupeKey: id,
    providerMessageId: id,
    contact: { kind: 'email-address', value: from },
    participants: [],
    thread: { joins: joins ?? [], keys: [id] },
    subject: 'A subject',
    text: 'Some words',
    attachments: [],
    ...rest,
  };
}

/** Stores events as one delivery and returns it parsed, ready to be applied. */
export async function deliver(db: Db, channel: MadeChannel, events: readonly InboundEvent[], receivedAt = new Date()): Promise<ParsedDelivery> {
  const raw = { method: 'POST', url: '', headers: {}, body: Buffer.from(JSON.stringify(events)), receivedAt: receivedAt.toISOString() };
  const { deliveryId } = await storeDelivery(db, channel.id, raw);
  return { deliveryId, receivedAt: raw.receivedAt, events, safe: safeParts(events) };
}

/** Stores and takes in, in one go. */
export async function take(db: Db, channel: MadeChannel, events: readonly InboundEvent[], capabilities: Capabilities = plainCapabilities) {
  const parsed = await deliver(db, channel, events);
  return applyDeliveries(db, { keys: testKeys, capabilities }, channel.id, [parsed]);
}
