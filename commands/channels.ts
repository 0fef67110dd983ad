import { randomInt, randomUUID } from 'node:crypto';
import type { Plugin } from '@trunkline/channel-sdk';
import { sql, type Insertable, type Updateable } from 'kysely';
import { lockChannelExclusive } from '#db/locks.ts';
import type { Db, Tx } from '#db/database.ts';
import type { Database, Reopening } from '#db/schema.ts';
import { chooseAutomation, type AutomationInput } from './automation.ts';
import { askCatchUp } from './catch-up-request.ts';
import { channelAnswers } from './channel-health.ts';
import { changedSettings, openSecrets, sealSecrets, settingsProblems } from './channel-settings.ts';
import { takeConnecting } from './connecting.ts';
import { claimMailbox, mailboxAddress, releaseChannelMailbox } from './mailboxes.ts';
import { insertPrimary } from './chatflows.ts';
import { AddressTaken, AlreadyExists, ChangedMeanwhile, InvalidInput, NotFound, NotPossible, type Problem } from './refusals.ts';
import { deliveryChanged } from './outbox.ts';
import { HELD_SECONDS } from './provider-calls.ts';
import { namedChannelProblems } from './reply-channels.ts';
import { noteChannels } from './routing-retry.ts';
import { insertDefaultRule, ruleProblems, saveRule, type RuleInput } from './routing-rules.ts';
import type { Keys } from './secrets.ts';
import { requireOffered, requireTargets } from './plugin-says.ts';
import type { PreparedUpdate } from './telling.ts';
import { chooseTicketDefaults, type TicketDefaultsInput } from './ticket-defaults.ts';
import type { Unit } from './unit.ts';

/** What changing a channel needs besides the transaction. */
export interface ChannelDeps {
  readonly plugins: readonly Plugin[];
  readonly keys: Keys;
}

export interface ConnectInput {
  /** The plugin's key. */
  readonly plugin: string;
  readonly name: string;
  /** An inbox or the help desk. */
  readonly placeId: string;
  readonly settings: unknown;
  /** Only looked at in an inbox: in the help desk every conversation has a ticket (CH-1). */
  readonly createTickets?: boolean;
  /** Off unless said (ROUTE-13). */
  readonly retryWhenAvailable?: boolean;
  readonly ticketDefaults?: TicketDefaultsInput;
  /** None: nothing of it (CH-8). */
  readonly automation?: AutomationInput;
  /** None: nothing is assigned (ROUTE-6). */
  readonly routing?: RuleInput;
  /** The key `prepareConnection` gave; a new one unless given. */
  readonly key?: string;
  /** The row in which it waited for its provider; null or none: it asked nobody. */
  readonly connectingId?: string | null;
}

export interface Connected {
  readonly channelId: string;
  readonly key: string;
}

/**
 * The key of the channel a try is to connect: the same at every repeat of it, so that a provider that was told of a webhook already is told
 * of no other. One that is used is passed over, for idempotency keys are forgotten in time and channel keys are not.
 */
export async function channelKeyOf(db: Db, keys: Keys, plugin: string, { caller, key }: { readonly caller: string; readonly key: string }): Promise<string> {
  for (let round = 0; ; round += 1) {
    const hash = keys.hashEventKey(JSON.stringify(['channel key', plugin, caller, key, round]));
    const wanted = newChannelKey(plugin, (index) => hash.readUInt32BE(index * 4) % LETTERS.length);
    if (!(await keyIsUsed(db, wanted))) return wanted;
  }
}

/** Connects an address (CH-1, CH-2, CH-3). Throws `InvalidInput`, `NotFound` (the place), `AddressTaken`, `ChangedMeanwhile` (it was given up), and what saving a rule throws. */
export async function connectChannel(unit: Unit, { plugins, keys }: ChannelDeps, input: ConnectInput): Promise<Connected> {
  const { tx } = unit;
  const plugin = plugins.find(({ key }) => key === input.plugin);
  if (plugin === undefined) throw new InvalidInput([{ path: 'plugin', message: 'there is no such plugin' }]);
  const place = await tx
    .selectFrom('place')
    .select(['id', 'kind'])
    .where(sql<string>`id::text`, '=', input.placeId)
    .executeTakeFirst();
  if (place === undefined) throw new NotFound('place', input.placeId);
  requireOffered(plugin);
  const { valid, name, defaults, automation } = await checkInput(tx, plugins, plugin, input);
  await requireTargets(tx, place.id, plugin, valid.all);
  const ruleId = input.routing === undefined ? await insertDefaultRule(tx) : await saveRule(unit, input.routing, { placeId: place.id, plugin });
  const address = plugin.address(valid.all);
  const begun = input.connectingId == null ? {} : await takeConnecting(tx, input.connectingId);
  const connected = await insertChannel(tx, input.key, () => {
    const key = input.key ?? newChannelKey(plugin.key);
    return {
      ...begun,
      key,
      plugin: plugin.key,
      name,
      address,
      place_id: place.id,
      place: place.kind,
      settings: JSON.stringify(valid.settings),
      secrets: sealSecrets(keys, key, valid.secrets),
      create_tickets: input.createTickets ?? false,
      retry_when_available: input.retryWhenAvailable ?? false,
      ...defaults,
      ...automation,
      routing_rule_id: ruleId,
    };
  });
  if (plugin.capabilities.address === 'email-address') {
    await claimMailbox(tx, mailboxAddress(address) ?? address.toLowerCase(), { channelId: connected.channelId });
  }
  if (plugin.capabilities.chatflows === true) await insertPrimary(unit, connected.channelId);
  unit.record({ kind: 'CHANNEL_CONNECTED', channelId: connected.channelId, placeId: place.id });
  // What its provider holds from before.
  if (plugin.catchUp !== undefined) await askCatchUp(unit, connected.channelId, 'news');
  return connected;
}

/** Everything that is wrong with the input, in one answer. */
async function checkInput(tx: Tx, plugins: readonly Plugin[], plugin: Plugin, input: ConnectInput) {
  const problems: Problem[] = [];
  const name = input.name.trim();
  if (name === '') problems.push({ path: 'name', message: 'must not be empty' });
  const valid = await settingsProblems(plugin, input.settings);
  if ('problems' in valid) problems.push(...valid.problems);
  if (!('problems' in valid)) problems.push(...(await namedChannelProblems(tx, plugins, plugin, valid.all)));
  const defaults = await chooseTicketDefaults(tx, input.ticketDefaults ?? {});
  if ('problems' in defaults) problems.push(...defaults.problems);
  if (input.routing !== undefined) problems.push(...(await ruleProblems(tx, input.routing, plugin, 'routing')));
  const pipelineId = 'problems' in defaults ? null : defaults.default_pipeline_id;
  const automation = await chooseAutomation(tx, input.automation ?? {}, { pipelineId, capabilities: plugin.capabilities });
  if ('problems' in automation) problems.push(...automation.problems);
  if ('problems' in valid || 'problems' in defaults || 'problems' in automation || problems.length > 0) throw new InvalidInput(problems);
  return { valid, name, defaults, automation };
}

type NewChannel = Insertable<Database['channel']>;

/**
 * Of any number at once the first to commit has the address; the others wait for it and are told its key. A conflict is no error here,
 * for the error's text would hold the address.
 */
async function insertChannel(tx: Tx, wantedKey: string | undefined, row: () => NewChannel): Promise<Connected> {
  for (;;) {
    const values = row();
    const inserted = await tx
      .insertInto('channel')
      .values(values)
      .onConflict((conflict) => conflict.doNothing())
      .returning(['id', 'key'])
      .executeTakeFirst();
    if (inserted !== undefined) return { channelId: inserted.id, key: inserted.key };
    const holder = await tx
      .selectFrom('channel')
      .select('key')
      .where('plugin', '=', values.plugin)
      .where('address', '=', values.address)
      .where('disconnected_at', 'is', null)
      .executeTakeFirst();
    if (holder !== undefined) throw new AddressTaken(holder.key);
    // It was let go just now, or the key is used: the provider was told that one, so another would lose what it sends.
    if (wantedKey !== undefined && (await keyIsUsed(tx, wantedKey))) throw new AlreadyExists('channel key');
  }
}

async function keyIsUsed(db: Db | Tx, key: string): Promise<boolean> {
  return (await db.selectFrom('channel').select('id').where('key', '=', key).executeTakeFirst()) !== undefined;
}

const LETTERS = '23456789abcdefghjkmnpqrstuvwxyz';

/** `<plugin>-7k3q9x`: short, readable aloud, never from the address, for keys stand in URLs and workflow ids. */
export function newChannelKey(plugin: string, letter = (_index: number): number => randomInt(LETTERS.length)): string {
  return `${plugin}-${Array.from({ length: 6 }, (_, index) => LETTERS[letter(index)]).join('')}`;
}

export interface UpdateInput {
  readonly channelId: string;
  /** Refused when somebody else changed the channel since this version. */
  readonly expectedVersion?: number;
  readonly name?: string;
  /** The top-level settings to change; null takes one away. What is not named stays, secrets too. */
  readonly settings?: unknown;
  readonly createTickets?: boolean;
  /** What nobody was free for is decided again when somebody becomes free (ROUTE-13). */
  readonly retryWhenAvailable?: boolean;
  readonly ticketDefaults?: TicketDefaultsInput;
  readonly automation?: AutomationInput;
  /** `days` goes with `NEW_AFTER` (MODEL-6). */
  readonly reopening?: { readonly mode: Reopening; readonly days?: number | null };
  /** Who is told of tickets nobody got (MODEL-12). */
  readonly unassignedNoticeUserIds?: readonly string[];
}

/**
 * Edits a connected channel; every wrong field is named in one answer. The address stays: another one is another channel. Where the provider was told of
 * another version than the one that stands there, somebody else was faster. Throws `NotFound`, `NotPossible`, `ChangedMeanwhile`, `InvalidInput`.
 */
export async function updateChannel(
  unit: Unit,
  { plugins, keys }: ChannelDeps,
  input: UpdateInput,
  prepared?: PreparedUpdate,
): Promise<{ readonly version: number }> {
  const { tx } = unit;
  // New settings may let waiting messages go: their rows are locked after the channel's, as everywhere.
  if (input.settings !== undefined) await lockChannelExclusive(tx, input.channelId);
  const channel = await lockConnected(tx, input.channelId);
  if ([input.expectedVersion, prepared?.version].some((seen) => seen !== undefined && seen !== channel.version)) throw new ChangedMeanwhile('channel');
  // It took too long, and somebody else tells the provider now.
  if (prepared !== undefined && prepared.telling !== channel.telling) throw new ChangedMeanwhile('channel');
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  const problems: Problem[] = [];
  const set: Updateable<Database['channel']> = {};
  if (input.name !== undefined) {
    set.name = input.name.trim();
    if (set.name === '') problems.push({ path: 'name', message: 'must not be empty' });
  }
  if (input.createTickets !== undefined) set.create_tickets = input.createTickets;
  if (input.retryWhenAvailable !== undefined) set.retry_when_available = input.retryWhenAvailable;
  let edited: unknown;
  if (input.settings !== undefined) {
    const changed = await changedSettings(plugin, channel, openSecrets(keys, channel.key, channel.secrets), input.settings);
    if ('problems' in changed) problems.push(...changed.problems);
    // What could not be renewed with the old ones may be with these.
    else
      Object.assign(set, {
        renew_failures: 0,
        renew_tried_at: null,
        settings: JSON.stringify(changed.settings),
        secrets: sealSecrets(keys, channel.key, changed.secrets),
      });
    if (!('problems' in changed) && plugin !== undefined) problems.push(...(await namedChannelProblems(tx, plugins, plugin, changed.all)));
    if (!('problems' in changed)) edited = changed.all;
  }
  let pipelineId: string | null = channel.default_pipeline_id;
  if (input.ticketDefaults !== undefined) {
    const chosen = await chooseTicketDefaults(tx, input.ticketDefaults, channel);
    if ('problems' in chosen) problems.push(...chosen.problems);
    else Object.assign(set, chosen);
    pipelineId = 'problems' in chosen ? null : chosen.default_pipeline_id;
  }
  if (input.ticketDefaults !== undefined || input.automation !== undefined) {
    const chosen = await chooseAutomation(tx, input.automation ?? {}, { pipelineId, capabilities: plugin?.capabilities, before: channel });
    if ('problems' in chosen) problems.push(...chosen.problems);
    else Object.assign(set, chosen);
  }
  if (input.reopening !== undefined) {
    const { mode, days = null } = input.reopening;
    if ((mode === 'NEW_AFTER') !== (days !== null) || (days !== null && !(Number.isInteger(days) && days >= 1 && days <= 3_650))) {
      problems.push({ path: 'reopening.days', message: 'NEW_AFTER needs 1 to 3650 days, the others none' });
    }
    Object.assign(set, { reopening: mode, reopen_days: days });
  }
  if (input.unassignedNoticeUserIds !== undefined) {
    set.unassigned_notice_user_ids = [...new Set(input.unassignedNoticeUserIds)];
    problems.push(...(await unknownUsers(tx, set.unassigned_notice_user_ids)));
  }
  if (problems.length > 0) throw new InvalidInput(problems);
  if (edited !== undefined) await requireTargets(tx, channel.place_id, plugin, edited);
  const { version } = await tx
    .updateTable('channel')
    .set((eb) => ({ ...set, ...(prepared === undefined ? {} : { telling: null, telling_until: null }), version: eb('version', '+', 1) }))
    .where('id', '=', channel.id)
    .returning('version')
    .executeTakeFirstOrThrow();
  unit.record({ kind: 'CHANNEL_CHANGED', channelId: channel.id, placeId: channel.place_id, why: 'SETTINGS' });
  if (input.retryWhenAvailable === true) await noteChannels(unit, { channelId: channel.id });
  // Mended settings are believed until a send says otherwise (CH-4).
  if (input.settings !== undefined) await channelAnswers(unit, channel.id);
  return { version };
}

async function unknownUsers(tx: Tx, ids: readonly string[]): Promise<readonly Problem[]> {
  if (ids.length === 0) return [];
  const known = await tx
    .selectFrom('app_user')
    .select('id')
    .where(sql<string>`id::text`, 'in', ids)
    .where('deactivated_at', 'is', null)
    .execute();
  const there = new Set(known.map(({ id }) => id));
  return ids.flatMap((id, index) => (there.has(id) ? [] : [{ path: `unassignedNoticeUserIds.${index}`, message: 'there is no such active user' }]));
}

/** Switches a channel on or off (CH-9); what it is already changes nothing. Throws `NotFound`, `NotPossible`. */
export async function setChannelEnabled(unit: Unit, { channelId, enabled }: { readonly channelId: string; readonly enabled: boolean }): Promise<void> {
  const channel = await lockConnected(unit.tx, channelId);
  if (channel.enabled === enabled) return;
  await unit.tx
    .updateTable('channel')
    .set((eb) => ({ enabled, version: eb('version', '+', 1) }))
    .where('id', '=', channelId)
    .execute();
  unit.record({ kind: 'CHANNEL_CHANGED', channelId, placeId: channel.place_id, why: enabled ? 'ENABLED' : 'DISABLED' });
  if (enabled) await noteChannels(unit, { channelId });
}

/**
 * Disconnects a channel for good (CH-10): conversations stay where they are, its address is free, what waits to be sent fails and stays
 * readable. What is being sent just now ends as it ends. Doing it again changes nothing. Throws `NotFound`.
 */
export async function disconnectChannel(
  unit: Unit,
  { channelId }: { readonly channelId: string },
): Promise<{ readonly disconnected: boolean; readonly failedMessages: number; readonly telling: string | null }> {
  const { tx } = unit;
  // Nobody gives a message to this channel from here to the commit: it would be queued for ever. Before the row, as everybody else does.
  await lockChannelExclusive(tx, channelId);
  const found = await lockChannel(tx, channelId);
  if (found.disconnected_at !== null) return { disconnected: false, failedMessages: 0, telling: null };
  const telling = randomUUID();
  await tx
    .updateTable('channel')
    .set((eb) => ({
      disconnected_at: sql<Date>`now()`,
      version: eb('version', '+', 1),
      telling,
      telling_until: sql<Date>`now() + make_interval(secs => ${HELD_SECONDS})`,
      catch_up_since: null,
      renew_asked_at: null,
    }))
    .where('id', '=', channelId)
    .execute();
  await releaseChannelMailbox(tx, channelId);
  const failed = await tx
    .updateTable('outbound')
    .set({ state: 'FAILED', failure_code: 'Disconnected', failure_reason: 'the channel was disconnected', can_retry: false, updated_at: sql<Date>`now()` })
    .where('channel_id', '=', channelId)
    .where('state', '=', 'QUEUED')
    .returning(['message_id', 'conversation_id'])
    .execute();
  for (const { message_id: messageId, conversation_id: conversationId } of failed) {
    await deliveryChanged(unit, conversationId, channelId, messageId, 'FAILED');
  }
  unit.record({ kind: 'CHANNEL_DISCONNECTED', channelId, placeId: found.place_id });
  return { disconnected: true, failedMessages: failed.length, telling };
}

async function lockConnected(tx: Tx, channelId: string) {
  const channel = await lockChannel(tx, channelId);
  if (channel.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
  return channel;
}

async function lockChannel(tx: Tx, channelId: string) {
  const channel = await tx
    .selectFrom('channel')
    .selectAll()
    .where(sql<string>`id::text`, '=', channelId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', channelId);
  return channel;
}
