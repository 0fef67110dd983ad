import type { Capabilities, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { ChatflowKind, RuleMethod } from '#db/schema.ts';
import type { BotDefinition, DefinitionProblem, HandOffRule } from '#domain/chatflow.ts';
import { checkBot, checkLive } from '#domain/chatflow-definition.ts';
import { requireName } from './names.ts';
import { AlreadyExists, ChangedMeanwhile, InvalidInput, NotFound, NotPossible } from './refusals.ts';
import { saveRule, type RuleInput } from './routing-rules.ts';
import type { Unit } from './unit.ts';

export interface ChatflowInput {
  readonly channelId: string;
  /** Which is edited; none: a new one, beside the primary one that connecting has made. */
  readonly chatflowId?: string;
  /** Refused when somebody else changed it since this version. */
  readonly expectedVersion?: number;
  /** Left out: as it was. */
  readonly name?: string;
  readonly kind: ChatflowKind;
  /** What chooses it, for one that is not the primary: a link's ref. */
  readonly entryPoint?: string;
  readonly definition: unknown;
}

/** Chatflows of one channel: every first message looks among them. */
export const CHATFLOWS_PER_CHANNEL = 50;

/** The chatflow every channel of such a plugin begins with: people answer (FB-2). */
export async function insertPrimary(unit: Unit, channelId: string): Promise<void> {
  await unit.tx.insertInto('chatflow').values({ channel_id: channelId, name: 'Live chat', kind: 'LIVE', definition: '{}' }).execute();
}

/**
 * Makes or edits a chatflow (CHAT-5); everything that is wrong is named in one answer, by path. Each hand-off's rule is saved as a channel's is (ROUTE-4).
 * Conversations in the middle of it go on by the one they began with. Throws `NotFound`, `NotPossible`, `ChangedMeanwhile`, `InvalidInput`, `AlreadyExists`,
 * and what saving a rule throws.
 */
export async function saveChatflow(
  unit: Unit,
  { plugins }: { readonly plugins: readonly Plugin[] },
  input: ChatflowInput,
): Promise<{ readonly chatflowId: string; readonly version: number }> {
  const { tx } = unit;
  const channel = await lockFlowChannel(tx, plugins, input.channelId);
  const { plugin } = channel;
  const before = input.chatflowId === undefined ? undefined : await lockChatflow(tx, input.chatflowId);
  if (before !== undefined && before.channel_id !== channel.id) throw new NotFound('chatflow', before.id);
  if (before !== undefined && input.expectedVersion !== undefined && input.expectedVersion !== before.version) throw new ChangedMeanwhile('chatflow');
  const name = input.name === undefined && before !== undefined ? before.name : requireName(input.name ?? '');
  const entryPoint = checkEntryPoint(input.entryPoint, before);
  const problems = chatflowProblems(plugin.capabilities, input.kind, input.definition);
  if (problems.length > 0) throw new InvalidInput(problems.map(({ path, message }) => ({ path: path === '' ? 'definition' : `definition.${path}`, message })));
  if (before === undefined) await requireRoom(tx, channel.id);
  const definition = await withRules(unit, channel, input, before?.definition);
  const values = { name, kind: input.kind, entry_point: entryPoint, definition: JSON.stringify(definition), changed_at: sql<Date>`now()` };
  const saved =
    before === undefined
      ? await tx
          .insertInto('chatflow')
          .values({ ...values, channel_id: channel.id })
          .onConflict((conflict) => conflict.doNothing())
          .returning(['id', 'version'])
          .executeTakeFirst()
      : await tx
          .updateTable('chatflow')
          .set((eb) => ({ ...values, version: eb('version', '+', 1) }))
          .where('id', '=', before.id)
          .where(
            sql<boolean>`not exists (select 1 from chatflow o where o.channel_id = ${channel.id} and o.entry_point = ${entryPoint} and o.id <> ${before.id})`,
          )
          .returning(['id', 'version'])
          .executeTakeFirst();
  if (saved === undefined) throw new AlreadyExists('entry point of this channel');
  unit.record({
    kind: 'CHATFLOW_CHANGED',
    channelId: channel.id,
    placeId: channel.place_id,
    why: before === undefined ? 'MADE' : 'EDITED',
    data: { chatflowId: saved.id },
  });
  return { chatflowId: saved.id, version: saved.version };
}

/** What is wrong with a definition, as one types it; whom a hand-off names is looked at when it is saved. */
export function chatflowProblems(capabilities: Capabilities, kind: ChatflowKind, definition: unknown): readonly DefinitionProblem[] {
  const showing = { maxTextLength: capabilities.outboundContent.maxTextLength, quickReplies: capabilities.quickReplies };
  const checked = kind === 'LIVE' ? checkLive(definition, showing) : checkBot(definition, showing);
  return 'problems' in checked ? checked.problems : [];
}

/** Switches a chatflow on or off; off, it begins in no conversation any more. Throws `NotFound`. */
export async function setChatflowEnabled(unit: Unit, input: { readonly chatflowId: string; readonly enabled: boolean }): Promise<{ chatflowId: string }> {
  const flow = await lockChatflow(unit.tx, input.chatflowId);
  if (flow.enabled !== input.enabled) {
    await unit.tx
      .updateTable('chatflow')
      .set((eb) => ({ enabled: input.enabled, version: eb('version', '+', 1), changed_at: sql<Date>`now()` }))
      .where('id', '=', flow.id)
      .execute();
    await recordChange(unit, flow, input.enabled ? 'ENABLED' : 'DISABLED');
  }
  return { chatflowId: flow.id };
}

/** Removes one that is not the primary; one that conversations were answered by stays, and can be switched off. Throws `NotFound`, `NotPossible`. */
export async function deleteChatflow(unit: Unit, { chatflowId }: { readonly chatflowId: string }): Promise<{ channelId: string }> {
  const flow = await lockChatflow(unit.tx, chatflowId, 'to-delete');
  if (flow.entry_point === null) throw new NotPossible('CHATFLOW_IS_PRIMARY');
  const used = await unit.tx.selectFrom('chatflow_run').select('chatflow_id').where('chatflow_id', '=', flow.id).limit(1).executeTakeFirst();
  if (used !== undefined) throw new NotPossible('CHATFLOW_WAS_USED');
  await unit.tx.deleteFrom('chatflow').where('id', '=', flow.id).execute();
  await recordChange(unit, flow, 'REMOVED');
  return { channelId: flow.channel_id };
}

/** The channel's row is locked: nobody else adds one meanwhile. */
async function requireRoom(tx: Tx, channelId: string): Promise<void> {
  const { count } = await tx
    .selectFrom('chatflow')
    .select(sql<number>`count(*)`.as('count'))
    .where('channel_id', '=', channelId)
    .executeTakeFirstOrThrow();
  if (count < CHATFLOWS_PER_CHANNEL) return;
  throw new InvalidInput([{ path: 'channelId', message: `a channel has at most ${CHATFLOWS_PER_CHANNEL} chatflows` }]);
}

interface FlowChannel {
  readonly id: string;
  readonly place_id: string;
  readonly plugin: Plugin;
}

/** The row's lock: two that edit one channel's chatflows come one after the other. */
async function lockFlowChannel(tx: Tx, plugins: readonly Plugin[], channelId: string): Promise<FlowChannel> {
  const row = await tx
    .selectFrom('channel')
    .select(['id', 'place_id', 'plugin', 'disconnected_at'])
    .where(sql<string>`id::text`, '=', channelId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('channel', channelId);
  if (row.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
  const plugin = plugins.find(({ key }) => key === row.plugin);
  if (plugin?.capabilities.chatflows !== true) throw new NotPossible('NO_CHATFLOWS');
  return { id: row.id, place_id: row.place_id, plugin };
}

async function lockChatflow(tx: Tx, chatflowId: string, how: 'to-edit' | 'to-delete' = 'to-edit') {
  const query = tx
    .selectFrom('chatflow')
    .selectAll()
    .where(sql<string>`id::text`, '=', chatflowId);
  // A run that is begun at the same moment holds the key.
  const flow = await (how === 'to-edit' ? query.forNoKeyUpdate() : query.forUpdate()).executeTakeFirst();
  if (flow === undefined) throw new NotFound('chatflow', chatflowId);
  return flow;
}

/** The primary one has none, all others have: it is never changed into the other. */
function checkEntryPoint(given: string | undefined, before: { readonly entry_point: string | null } | undefined): string | null {
  const wrong = (message: string): InvalidInput => new InvalidInput([{ path: 'entryPoint', message }]);
  if (before?.entry_point === null) {
    if (given !== undefined) throw wrong('the primary chatflow has none');
    return null;
  }
  const entryPoint = given?.trim() ?? before?.entry_point ?? '';
  if (entryPoint === '') throw wrong('a chatflow beside the primary one needs one');
  if (entryPoint.length > 200 || entryPoint.includes('\0')) throw wrong('at most 200 characters');
  return entryPoint;
}

/** Each hand-off's rule, saved; its id is kept beside the definition, which stays as it was given. */
async function withRules(unit: Unit, { place_id: placeId, plugin }: FlowChannel, { kind, definition }: ChatflowInput, before: object = {}): Promise<object> {
  const checked = definition as BotDefinition;
  if (kind === 'LIVE') return checked;
  const { ruleIds: replaced = {} }: { readonly ruleIds?: Readonly<Record<string, string>> } = before;
  const ruleIds: Record<string, string> = {};
  for (const [index, step] of checked.steps.entries()) {
    if (step.type !== 'hand-off') continue;
    try {
      ruleIds[step.id] = await saveRule(unit, ruleOf(step.rule, index), { placeId, plugin, replaces: replaced[step.id] ?? null });
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      throw new InvalidInput(error.problems.map(({ path, message }) => ({ path: `definition.steps.${index}.${path}`, message })));
    }
  }
  return { ...checked, ruleIds };
}

const METHODS: readonly RuleMethod[] = ['RANDOM', 'LEAST_BUSY', 'ROUND_ROBIN'];

function ruleOf({ method, ...rule }: HandOffRule, index: number): RuleInput {
  if (method === undefined) return rule;
  const known = METHODS.find((one) => one === method);
  if (known === undefined) throw new InvalidInput([{ path: `definition.steps.${index}.rule.method`, message: `is one of ${METHODS.join(', ')}` }]);
  return { ...rule, method: known };
}

async function recordChange(unit: Unit, flow: { readonly id: string; readonly channel_id: string }, why: string): Promise<void> {
  const { place_id: placeId } = await unit.tx.selectFrom('channel').select('place_id').where('id', '=', flow.channel_id).executeTakeFirstOrThrow();
  unit.record({ kind: 'CHATFLOW_CHANGED', channelId: flow.channel_id, placeId, why, data: { chatflowId: flow.id } });
}
