import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockChannelShared } from '#db/locks.ts';
import type { ChatflowKind, ChatflowState } from '#db/schema.ts';
import { CHATFLOW_LIMITS, GIVE_UP_MINUTES, PERSON_CHOICE, type BotDefinition, type LiveDefinition, type StepType } from '#domain/chatflow.ts';
import type { Answers } from '#domain/chatflow-answers.ts';
import { wantsPerson, type Said } from '#domain/chatflow-replies.ts';
import { advance, advanceLive, type Advanced, type RunInput, type RunState } from '#domain/chatflow-run.ts';
import { writeAutomated } from './automated-message.ts';
import { setContactProperty, setTicketProperty } from './chatflow-properties.ts';
import { notifyUnassigned } from './notifications.ts';
import { lockSubject, subjectIds, wakeTicket, type Subject } from './subjects.ts';
import { close, makeTicket } from './tickets.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/**
 * What a chatflow is to do now: its step, to look at an answer, to lead to a person, to give its question up, or to stop, for the channel is off or another.
 * Null: it waits, or is over.
 */
export type ChatflowDue = StepType | 'answer' | 'person' | 'give-up' | 'stop';

/** Where a conversation stands in its chatflow: ids, codes and moments. */
export interface RunView {
  readonly conversationId: string;
  readonly chatflowId: string;
  readonly state: ChatflowState;
  readonly step: string | null;
  readonly due: ChatflowDue | null;
  /** ISO 8601; null: it does not wait. */
  readonly waitUntilIso: string | null;
  readonly tries: number;
  readonly version: number;
}

/** One read of what is due; undefined: no chatflow was ever begun there. */
export async function readRun(db: Db | Tx, conversationId: string): Promise<RunView | undefined> {
  const row = await readRow(db, conversationId);
  if (row === undefined) return undefined;
  return {
    conversationId,
    chatflowId: row.chatflow_id,
    state: row.state,
    step: row.step,
    due: dueOf(row).due,
    waitUntilIso: row.wait_until?.toISOString() ?? null,
    tries: row.tries,
    version: row.version,
  };
}

export interface AdvancedRun {
  /** False: something else was due by then, and nothing was done. */
  readonly done: boolean;
  readonly state: ChatflowState | null;
  /** It is handed to people without a ticket: nobody's workflow decides, so the caller does. */
  readonly decide: boolean;
}

/**
 * Does what is due, if it still is: one step, one transaction, once however often it is tried, for the run's version is compared. What the visitor wrote
 * and what the bot knows stay here; only codes come out.
 */
export async function advanceRun(
  db: Db,
  { conversationId, version, due }: { readonly conversationId: string; readonly version: number; readonly due: ChatflowDue },
  plugins: readonly Plugin[] = [],
): Promise<Committed<AdvancedRun>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit): Promise<AdvancedRun> => {
    const { tx } = unit;
    const current = await tx.selectFrom('conversation').select(['channel_id', 'contact_id']).where('id', '=', conversationId).executeTakeFirst();
    if (current === undefined) return NOTHING;
    // In the one order: channel, contact, conversation. An answer may be the contact's name or address.
    await lockChannelShared(tx, current.channel_id);
    await sql`select 1 from contact where id = ${current.contact_id} for no key update`.execute(tx);
    const subject = await lockSubject(tx, { conversationId });
    const row = await readRow(tx, conversationId);
    if (row === undefined || row.version !== version || subject.channelId !== current.channel_id) return NOTHING;
    const now = dueOf(row);
    if (now.due !== due) return NOTHING;
    if (due === 'stop') return stop(unit, subject, row);
    const at: RunState = { state: goingState(row.state), step: row.step, answers: row.answers, tries: row.tries };
    const advanced = row.kind === 'LIVE' ? advanceLive(row.definition, at) : advance(row.definition, at, inputOf(due, now.said));
    return carryOut(unit, subject, row, advanced, now.said, plugins);
  });
}

const NOTHING: AdvancedRun = { done: false, state: null, decide: false };

interface Row {
  readonly conversation_id: string;
  readonly chatflow_id: string;
  readonly kind: ChatflowKind;
  readonly definition: BotDefinition & LiveDefinition & { readonly ruleIds?: Readonly<Record<string, string>> };
  readonly state: ChatflowState;
  readonly step: string | null;
  readonly answers: Answers;
  readonly tries: number;
  readonly seen_arrival: number;
  readonly wait_until: Date | null;
  readonly version: number;
  readonly late: boolean;
  /** The channel is connected, on, and still the one of the chatflow. */
  readonly may: boolean;
  readonly other_channel: boolean;
  readonly unseen: readonly Unseen[];
  /** The arrival of the newest message of the contact; they may be more than `unseen` holds. */
  readonly newest_arrival: number;
  /** How often an automation has spoken since it began. */
  readonly spoken: number;
}

interface Unseen extends Said {
  readonly arrival: number;
}

/** How many messages are looked at in one go; more come with the next. */
const UNSEEN = 100;

async function readRow(db: Db | Tx, conversationId: string): Promise<Row | undefined> {
  const { rows } = await sql<Row>`
    select r.*, case when r.definition -> 'steps' is null then 'LIVE' else 'BOT' end as kind, r.wait_until <= now() as late, h.enabled and h.disconnected_at is null and h.id = f.channel_id as may, h.id <> f.channel_id as other_channel,
      coalesce((select jsonb_agg(jsonb_build_object('arrival', m.arrival, 'text', m.text, 'choice', m.choice) order by m.arrival) from (
        select arrival, text, choice from message
        where conversation_id = r.conversation_id and direction = 'INBOUND' and not automatic and arrival > r.seen_arrival order by arrival limit ${UNSEEN}) m), '[]') as unseen,
      (select coalesce(max(m.arrival), 0) from message m where m.conversation_id = r.conversation_id and m.direction = 'INBOUND') as newest_arrival,
      (select count(*) from outbound o where o.conversation_id = r.conversation_id and o.sender = 'AUTOMATION' and o.queued_at >= r.started_at) as spoken
    from chatflow_run r join chatflow f on f.id = r.chatflow_id join conversation c on c.id = r.conversation_id join channel h on h.id = c.channel_id
    where r.conversation_id = ${conversationId}`.execute(db);
  return rows[0];
}

/** What is due, and because of which message. */
function dueOf(row: Row): { readonly due: ChatflowDue | null; readonly said: Unseen | undefined } {
  const { state, kind, definition, unseen } = row;
  if (state !== 'RUNNING' && state !== 'WAITING') return { due: null, said: undefined };
  if (!row.may) return { due: 'stop', said: undefined };
  if (kind === 'LIVE') return { due: 'say', said: undefined };
  const step = definition.steps.find(({ id }) => id === row.step);
  const wish = unseen.find((said) => wantsPerson(definition, state === 'WAITING' ? step : undefined, said));
  // Two machines would talk to each other for ever: where it would speak once too often, a person does.
  if (wish !== undefined || step === undefined || (state === 'RUNNING' && row.spoken >= CHATFLOW_LIMITS.spoken && step.type !== 'hand-off'))
    return { due: 'person', said: wish };
  if (state === 'RUNNING') return { due: step.type, said: undefined };
  if (unseen[0] !== undefined) return { due: 'answer', said: unseen[0] };
  return { due: row.late ? 'give-up' : null, said: undefined };
}

function goingState(state: ChatflowState): RunState['state'] {
  return state === 'WAITING' ? 'WAITING' : 'RUNNING';
}

function inputOf(due: ChatflowDue, said: Said | undefined): RunInput {
  if (due === 'give-up') return { kind: 'give-up' };
  if (due === 'answer' && said !== undefined) return { kind: 'said', said };
  // A step that is not there any more leads to a person as well.
  return due === 'person' ? { kind: 'said', said: { text: '', choice: PERSON_CHOICE } } : { kind: 'go' };
}

async function carryOut(
  unit: Unit,
  locked: Subject,
  row: Row,
  { state, effects }: Advanced,
  said: Unseen | undefined,
  plugins: readonly Plugin[],
): Promise<AdvancedRun> {
  const { tx } = unit;
  let subject = locked;
  const windows = plugins.find(({ key }) => key === subject.plugin)?.capabilities.windows ?? [];
  let decide = false;
  // Before its effects: closing ends what goes on, and this has ended by itself.
  await write(tx, row, state, said);
  if (over(state)) unit.record({ kind: 'CHATFLOW_ENDED', ...subjectIds(subject), why: state.state });
  for (const effect of effects) {
    switch (effect.kind) {
      case 'say':
        if ((await writeAutomated(unit, subject, { text: effect.text, quickReplies: effect.quickReplies, why: 'CHATFLOW', windows })) !== null || over(state))
          break;
        return giveToPeople(unit, subject, row, 'CANNOT_SAY');
      case 'set':
        if (effect.of === 'contact') await setContactProperty(unit, subject, effect.property, effect.value);
        else await setTicketProperty(unit, subject, effect.property, effect.value);
        break;
      case 'create-ticket':
        if (subject.ticketId !== null) break;
        await makeTicket(unit, { conversationId: row.conversation_id }, 'CHATFLOW');
        subject = await lockSubject(tx, { conversationId: row.conversation_id });
        break;
      case 'hand-off':
        decide = await openDecision(unit, subject, row.definition.ruleIds?.[effect.step] ?? null);
        break;
      case 'leave':
        await leave(unit, subject);
        break;
      case 'close':
        await close(unit, { conversationId: row.conversation_id }, 'CHATFLOW', plugins);
        break;
    }
  }
  // A question nobody answered is not the visitor's last word: people go on, by the channel's own rule.
  if (state.state === 'ABANDONED') decide = await openDecision(unit, subject, null);
  return { done: true, state: state.state, decide };
}

function over({ state }: RunState): boolean {
  return state !== 'RUNNING' && state !== 'WAITING';
}

async function write(tx: Tx, row: Row, state: RunState, said: Unseen | undefined): Promise<void> {
  const asks = row.state === 'RUNNING' && state.state === 'WAITING';
  const minutes = row.definition.giveUpMinutes ?? GIVE_UP_MINUTES;
  // What came before a question is no answer to it.
  const seen = asks || over(state) ? row.newest_arrival : (said?.arrival ?? 0);
  await sql`
    update chatflow_run set state = ${state.state}, step = ${state.step}, answers = ${JSON.stringify(state.answers)}::jsonb, tries = ${state.tries},
      seen_arrival = greatest(seen_arrival, ${seen}::bigint),
      wait_until = case when ${state.state} = 'WAITING' then now() + make_interval(mins => ${minutes}) end, version = version + 1, changed_at = now()
    where conversation_id = ${row.conversation_id} and version = ${row.version}`.execute(tx);
}

/** Lets routing decide, by a rule of the hand-off's own or the channel's, where the conversation is open and nobody has it. True: there is no ticket whose workflow would. */
async function openDecision(unit: Unit, subject: Subject, ruleId: string | null): Promise<boolean> {
  const { conversationId, ticketId } = subject;
  if (conversationId === null) return false;
  const free = subject.open && subject.ownerId === null;
  await unit.tx
    .updateTable('conversation')
    .set((eb) => ({ routing_rule_id: ruleId, ...(free && ticketId === null ? { route_pending_since: sql<Date>`now()` } : {}), version: eb('version', '+', 1) }))
    .where('id', '=', conversationId)
    .execute();
  if (!free || ticketId === null) return free;
  await unit.tx
    .updateTable('ticket')
    .set((eb) => ({ route_pending_since: sql<Date>`now()`, version: eb('version', '+', 1) }))
    .where('id', '=', ticketId)
    .execute();
  wakeTicket(unit, subject);
  return false;
}

/** Left unassigned, for triage: those who are told of such tickets are told. */
async function leave(unit: Unit, subject: Subject): Promise<void> {
  if (subject.open && subject.ownerId === null && subject.ticketId !== null) await notifyUnassigned(unit, subject);
}

/** Switched off or disconnected, it does nothing more (CH-9); on another channel it has nothing to say, and people go on. */
async function stop(unit: Unit, subject: Subject, row: Row): Promise<AdvancedRun> {
  if (row.other_channel) return giveToPeople(unit, subject, row, 'CHANNEL_CHANGED');
  await abandon(unit, subject, row, 'CHANNEL_OFF');
  return { done: true, state: 'ABANDONED', decide: false };
}

async function giveToPeople(unit: Unit, subject: Subject, row: Row, why: string): Promise<AdvancedRun> {
  await abandon(unit, subject, row, why);
  return { done: true, state: 'ABANDONED', decide: await openDecision(unit, subject, null) };
}

async function abandon(unit: Unit, subject: Subject, row: Row, why: string): Promise<void> {
  await unit.tx
    .updateTable('chatflow_run')
    .set((eb) => ({ state: 'ABANDONED', wait_until: null, version: eb('version', '+', 1), changed_at: sql<Date>`now()` }))
    .where('conversation_id', '=', row.conversation_id)
    .execute();
  unit.record({ kind: 'CHATFLOW_ENDED', ...subjectIds(subject), why });
}
