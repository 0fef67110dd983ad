import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { lockSlaSettingsShared } from '#db/locks.ts';
import { beginMeasuring, isRunning, measure, nextMoment, type Goal, type Measured } from '#domain/sla.ts';
import { matchingPolicy, type Crossing, type PolicyTerms } from '#domain/sla-policy.ts';
import type { Wake } from '#domain/wake.ts';
import type { EventInput, EventKind } from './events.ts';
import { measureHistory, NO_HISTORY, readHistories } from './sla-history.ts';
import { changedMarks, goalKey, NEVER_FIRED, readPolicies, readSlaTickets, termsOf, type Fired, type SlaTicket } from './sla-rows.ts';

/** The part of a transaction that goals need. */
export interface Ledger {
  readonly tx: Tx;
  record(event: EventInput): void;
  wake(wake: Wake): void;
}

/** After which goals may be others than before. */
const TOUCHING: ReadonlySet<EventKind> = new Set(['TICKET_CREATED', 'STATUS_CHANGED', 'PRIORITY_CHANGED', 'PROPERTIES_CHANGED', 'OWNER_CHANGED']);

interface Said {
  readonly by: 'CONTACT' | 'PERSON';
  readonly at?: string;
}

interface Touched {
  created: boolean;
  /** Something that policies look at has changed (SLA-9). */
  asked: boolean;
  readonly said: Said[];
}

/** After which even a ticket that was never measured is asked about. */
const ASKING: ReadonlySet<EventKind> = new Set(['PRIORITY_CHANGED', 'PROPERTIES_CHANGED']);

/**
 * Brings the goals of the tickets that a transaction's events are about up to them: the last thing it does before its events are written, so no command can
 * forget it. Who recorded the events holds the locks of the tickets' conversations. `moved`: tickets that came to the help desk in this very transaction,
 * because somebody wrote: they have their goals at once, by their history (MIG-20).
 */
export async function settleSla(ledger: Ledger, events: readonly EventInput[], moved: readonly string[] = []): Promise<void> {
  const touched = new Map<string, Touched>(moved.map((ticketId) => [ticketId, { created: false, asked: false, said: [] }]));
  for (const { kind, ticketId, conversationId, said } of events) {
    // A ticket without a conversation has no goals (SLA-11).
    if (ticketId == null || conversationId == null || (said === undefined && !TOUCHING.has(kind))) continue;
    const one = touched.get(ticketId) ?? { created: false, asked: false, said: [] };
    touched.set(ticketId, one);
    if (kind === 'TICKET_CREATED') one.created = true;
    if (ASKING.has(kind)) one.asked = true;
    if (said !== undefined) one.said.push(said);
  }
  if (touched.size === 0) return;
  const tickets = await readSlaTickets(ledger.tx, [...touched.keys()]);
  const changes: Change[] = [];
  const unmeasured: SlaTicket[] = [];
  const policies = oncePolicies(ledger.tx);
  const justMoved = new Set(moved);
  for (const ticket of tickets) {
    const { created, asked, said } = touched.get(ticket.ticketId) ?? { created: false, asked: false, said: [] };
    if (ticket.stored === null && (ticket.slaPending || justMoved.has(ticket.ticketId))) unmeasured.push(ticket);
    else if (ticket.stored !== null || created) changes.push(await brought(ticket, said, policies));
    // One that was there before there were policies is measured once somebody wants the open ones measured too (SLA-10), or it is asked about anew.
    else if (asked && !ticket.closed) unmeasured.push(ticket);
  }
  if (unmeasured.length > 0) changes.push(...(await fromHistory(ledger.tx, unmeasured, await policies())));
  await writeSla(ledger, changes);
}

/** What tickets that were never measured get: the goals that their own history gives them, told of nothing that has passed (SLA-11). */
export async function fromHistory(tx: Tx, tickets: readonly SlaTicket[], policies: readonly PolicyTerms[]): Promise<readonly Change[]> {
  const histories = await readHistories(
    tx,
    tickets.map(({ ticketId }) => ticketId),
  );
  return tickets.map((ticket) => {
    const policy = matchingPolicy(policies, ticket.facts);
    return { ticket, policy, after: measureHistory(ticket, policy, histories.get(ticket.ticketId) ?? NO_HISTORY), fired: new Map(), silent: true };
  });
}

/** What policies say now, asked for once a transaction and only where somebody wants to know. */
export type Policies = () => Promise<readonly PolicyTerms[]>;

export function oncePolicies(tx: Tx): Policies {
  let asked: Promise<readonly PolicyTerms[]> | undefined;
  // Whoever saves one waits until this ticket is there to be brought up to it.
  return () => (asked ??= lockSlaSettingsShared(tx).then(() => readPolicies(tx)));
}

/** A ticket's goals before and after. */
export interface Change {
  readonly ticket: SlaTicket;
  readonly policy: PolicyTerms | null;
  readonly after: Measured;
  readonly fired: ReadonlyMap<string, Fired>;
  /** What this brings to be due soon or overdue is told to nobody: it is history (SLA-11). */
  readonly silent?: boolean;
}

async function brought(ticket: SlaTicket, said: readonly Said[], policies: Policies): Promise<Change> {
  const { stored, now } = ticket;
  if (stored === null) {
    const policy = matchingPolicy(await policies(), ticket.facts);
    // What a channel held before it was connected to us alarms nobody.
    const silent = said.some(({ at }) => at !== undefined && Date.parse(at) < ticket.connectedAt);
    return { ticket, policy, after: begun(ticket, policy, said), fired: new Map(), silent };
  }
  const { policy, changed } = await policyNow(ticket, policies);
  let measured = saidIn(stored.measured, said, now);
  if (ticket.closed && !measured.closed) measured = measure(measured, { kind: 'CLOSED' }, now);
  if (!ticket.closed && measured.closed) measured = measure(measured, { kind: 'REOPENED' }, reopenedAt(measured, said, now));
  measured = underPolicy(measured, { policy, changed }, ticket);
  return { ticket, policy, after: measure(measured, { kind: 'TIME' }, now), fired: stored.fired };
}

/** A contact who reopens it by writing has reopened it when that was received. */
function reopenedAt({ rests }: Measured, said: readonly Said[], now: number): number {
  const moments = said.flatMap(({ by, at }) => (by === 'CONTACT' && at !== undefined ? [Date.parse(at)] : []));
  const closedAt = rests.at(-1)?.from ?? now;
  return moments.length === 0 ? now : Math.min(now, Math.max(closedAt, ...moments));
}

function begun(ticket: SlaTicket, policy: PolicyTerms | null, said: readonly Said[]): Measured {
  const { createdAt, startedAt, begunByContact, now } = ticket;
  const byContact = said.some(({ by }) => by === 'CONTACT');
  // Where its contact wrote in this very transaction, that tells since when (SLA-6).
  const firstOwedAt = begunByContact && !byContact ? startedAt : null;
  let measured = beginMeasuring({ terms: termsOf(policy, ticket), paused: isPaused(policy, ticket), createdAt, firstOwedAt }, createdAt);
  measured = saidIn(measured, said, now);
  if (ticket.closed) measured = measure(measured, { kind: 'CLOSED' }, now);
  return measure(measured, { kind: 'TIME' }, now);
}

/** Which policy applies now. They are asked again only where something has changed that one of them looks at (SLA-9): a saved one alone changes nothing (SLA-10). */
async function policyNow({ stored, marks, facts }: SlaTicket, policies: Policies): Promise<{ readonly policy: PolicyTerms | null; readonly changed: boolean }> {
  const before = stored?.policy ?? null;
  const names = changedMarks(stored?.marks ?? {}, marks);
  if (names.length === 0) return { policy: before, changed: false };
  const now = await policies();
  const lookedAt = new Set([before, ...now].flatMap((one) => one?.conditions.map(({ property }) => property) ?? []));
  if (!names.some((name) => name === 'priority' || lookedAt.has(name))) return { policy: before, changed: false };
  return { policy: matchingPolicy(now, facts), changed: true };
}

function isPaused(policy: PolicyTerms | null, { statusId }: Pick<SlaTicket, 'statusId'>): boolean {
  return policy?.pauseStatusIds.includes(statusId) === true;
}

/** By the policy that applies now: its goals, and whether it rests in the status it has (SLA-5). What rests from now on is not missed by the change itself. */
export function underPolicy(
  before: Measured,
  { policy, changed }: { readonly policy: PolicyTerms | null; readonly changed: boolean },
  ticket: SlaTicket,
): Measured {
  const { now } = ticket;
  const paused = isPaused(policy, ticket);
  let measured = before;
  if (paused && !measured.paused) measured = measure(measured, { kind: 'PAUSE', paused }, now);
  if (changed) measured = measure(measured, { kind: 'TERMS', terms: termsOf(policy, ticket) }, now);
  return paused === measured.paused ? measured : measure(measured, { kind: 'PAUSE', paused }, now);
}

function saidIn(before: Measured, said: readonly Said[], now: number): Measured {
  let measured = before;
  for (const { by, at } of said) {
    // Counted since it was received, also where it waited to be taken in (MODEL-4).
    const kind = by === 'CONTACT' ? 'CONTACT_WROTE' : 'PERSON_REPLIED';
    measured = measure(measured, at === undefined ? { kind } : { kind, since: Math.min(Date.parse(at), now) }, now);
  }
  return measured;
}

/** A goal that became due soon or overdue, and when. */
export interface Crossed {
  readonly goal: Goal;
  readonly on: Crossing;
  readonly at: number;
}

/** What is to be told, and since when: each goal at most once due soon and once overdue. */
export function crossings(goals: readonly Goal[], fired: ReadonlyMap<string, Fired>): readonly Crossed[] {
  return goals.flatMap((goal): Crossed[] => {
    const told = fired.get(goalKey(goal)) ?? NEVER_FIRED;
    if (goal.overdueAt !== null && told.overdue === null && isMissed(goal)) return [{ goal, on: 'OVERDUE', at: goal.overdueAt }];
    if (goal.state === 'DUE_SOON' && told.dueSoon === null && goal.dueSoonAt !== null) return [{ goal, on: 'DUE_SOON', at: goal.dueSoonAt }];
    return [];
  });
}

/** Also one that is over by now, whenever that is noticed; not one that has time again, or was kept in the end. */
function isMissed({ state, usedMs, target }: Goal): boolean {
  return state === 'OVERDUE' || state === 'COMPLETED_LATE' || (state === 'PAUSED' && usedMs >= target.durationMs);
}

/** The next moment at which its workflow has something to do; null: none. */
function nextOf(goals: readonly Goal[], fired: ReadonlyMap<string, Fired>): number | null {
  const moments = crossings(goals, fired).map(({ at }) => at);
  const next = nextMoment(goals);
  if (next !== null) moments.push(next.at);
  return moments.length === 0 ? null : Math.min(...moments);
}

/** Many at once are not woken one by one: who is, is for the horizon to say. */
export type Manner = 'LIVE' | 'IN_BULK';

/** Writes goals, an event for each that changed, and wakes the workflows that know of a later moment only, or show what is no longer so. Returns how many tickets changed. */
export async function writeSla(ledger: Ledger, changes: readonly Change[], manner: Manner = 'LIVE'): Promise<number> {
  const written = changes.flatMap((change) => {
    const fired = change.silent === true ? silenced(change) : forgotten(change);
    const before = new Map(change.ticket.stored?.measured.goals.map((goal) => [goalKey(goal), goal]));
    const goals = change.after.goals.filter((goal) => isOther(change, before.get(goalKey(goal)), goal, fired));
    const nextAt = nextOf(change.after.goals, fired);
    return goals.length === 0 && !isOtherTicket(change, nextAt) ? [] : [{ change, fired, before, goals, nextAt }];
  });
  if (written.length === 0) return 0;
  await writeTickets(
    ledger.tx,
    written.map(({ change, nextAt, before, goals }) => {
      const sooner = nextAt !== null && (change.ticket.stored?.nextAt == null || nextAt < change.ticket.stored.nextAt);
      if (manner === 'LIVE' && (sooner || goals.some((goal) => before.get(goalKey(goal))?.state !== goal.state))) wakeTicket(ledger, change.ticket);
      const wakeOwed = manner === 'LIVE' ? change.ticket.stored?.wakeOwed === true && !sooner : sooner || change.ticket.stored?.wakeOwed === true;
      return { change, nextAt, wakeOwed };
    }),
  );
  await writeGoals(
    ledger.tx,
    written.flatMap(({ change, goals, fired }) => goals.map((goal) => ({ ticket: change.ticket, goal, fired: fired.get(goalKey(goal)) ?? NEVER_FIRED }))),
  );
  for (const { change, before, goals } of written) for (const goal of goals) recordGoal(ledger, change, before.get(goalKey(goal)), goal);
  return written.length;
}

function wakeTicket(ledger: Ledger, { number, channelKey, plugin }: SlaTicket): void {
  ledger.wake({ kind: 'ticket', number, channelKey, plugin });
}

/** One that has more time again is told of anew when it is due soon once more. */
function forgotten(change: Change): ReadonlyMap<string, Fired> {
  const fired = new Map(change.fired);
  for (const goal of change.after.goals) {
    const told = fired.get(goalKey(goal));
    if (told !== undefined && goal.state === 'ACTIVE') fired.set(goalKey(goal), { ...told, dueSoon: null });
  }
  return fired;
}

/** What the change itself brings to be past is told to nobody any more (SLA-11); what had passed before it still is. */
function silenced(change: Change): ReadonlyMap<string, Fired> {
  const { stored, now } = change.ticket;
  const fired = forgotten(change);
  const passed = stored === null ? [] : crossings(measure(stored.measured, { kind: 'TIME' }, now).goals, stored.fired);
  const owed = new Set(passed.map(({ goal, on }) => `${goalKey(goal)} ${on}`));
  const caused = crossings(change.after.goals, fired).filter(({ goal, on }) => !owed.has(`${goalKey(goal)} ${on}`));
  return firedAt(fired, caused, now);
}

/** With these told of at a moment. */
export function firedAt(before: ReadonlyMap<string, Fired>, crossed: readonly Crossed[], at: number): ReadonlyMap<string, Fired> {
  const fired = new Map(before);
  for (const { goal, on } of crossed) {
    const told = fired.get(goalKey(goal)) ?? NEVER_FIRED;
    fired.set(goalKey(goal), on === 'OVERDUE' ? { ...told, overdue: at } : { ...told, dueSoon: at });
  }
  return fired;
}

function isOther(change: Change, old: Goal | undefined, goal: Goal, fired: ReadonlyMap<string, Fired>): boolean {
  if (old === undefined) return true;
  const key = goalKey(goal);
  const [then, now] = [change.ticket.stored?.fired.get(key), fired.get(key)];
  return JSON.stringify([old, then?.dueSoon, then?.overdue]) !== JSON.stringify([inOrderOf(old, goal), now?.dueSoon, now?.overdue]);
}

/** The same fields in the same order, so that two can be compared as text. */
function inOrderOf(order: Goal, goal: Goal): Goal {
  return { ...order, ...goal, target: { ...order.target, ...goal.target } };
}

function isOtherTicket({ ticket: { stored, marks }, after, policy }: Change, nextAt: number | null): boolean {
  if (stored === null) return true;
  const { measured } = stored;
  return (
    stored.nextAt !== nextAt ||
    (stored.policy?.id ?? null) !== (policy?.id ?? null) ||
    changedMarks(stored.marks, marks).length > 0 ||
    measured.paused !== after.paused ||
    measured.closed !== after.closed ||
    measured.replied !== after.replied ||
    measured.firstOwedAt !== after.firstOwedAt ||
    measured.unansweredSince !== after.unansweredSince ||
    JSON.stringify(measured.rests) !== JSON.stringify(after.rests)
  );
}

interface WrittenTicket {
  readonly change: Change;
  readonly nextAt: number | null;
  readonly wakeOwed: boolean;
}

/** Compare-and-set by the version that was read: a ticket that somebody else wrote meanwhile was not locked, which is a defect. */
async function writeTickets(tx: Tx, written: readonly WrittenTicket[]): Promise<void> {
  const rows = written.map(({ change: { ticket, policy, after }, nextAt, wakeOwed }) => ({
    ticket_id: ticket.ticketId,
    terms_id: policy?.id ?? null,
    paused: after.paused,
    closed: after.closed,
    replied: after.replied,
    first_owed_at: iso(after.firstOwedAt),
    unanswered_since: iso(after.unansweredSince),
    rests: after.rests,
    marks: ticket.marks,
    next_at: iso(nextAt),
    wake_owed: wakeOwed,
    version: (ticket.stored?.version ?? 0) + 1,
  }));
  const { rows: done } = await sql`
    insert into sla_ticket (ticket_id, terms_id, paused, closed, replied, first_owed_at, unanswered_since, rests, marks, next_at, wake_owed, version)
    select ticket_id, terms_id, paused, closed, replied, first_owed_at, unanswered_since, rests, marks, next_at, wake_owed, version
    from json_to_recordset(${JSON.stringify(rows)}::json) as n (ticket_id uuid, terms_id uuid, paused boolean, closed boolean, replied boolean,
      first_owed_at timestamptz, unanswered_since timestamptz, rests jsonb, marks jsonb, next_at timestamptz, wake_owed boolean, version int)
    on conflict (ticket_id) do update set terms_id = excluded.terms_id, paused = excluded.paused, closed = excluded.closed, replied = excluded.replied,
      first_owed_at = excluded.first_owed_at, unanswered_since = excluded.unanswered_since, rests = excluded.rests, marks = excluded.marks,
      next_at = excluded.next_at, wake_owed = excluded.wake_owed, version = excluded.version
      where sla_ticket.version = excluded.version - 1
    returning ticket_id`.execute(tx);
  if (done.length !== rows.length) throw new Error('the goals of a ticket were written without the lock of its conversation');
}

interface WrittenGoal {
  readonly ticket: SlaTicket;
  readonly goal: Goal;
  readonly fired: Fired;
}

async function writeGoals(tx: Tx, written: readonly WrittenGoal[]): Promise<void> {
  if (written.length === 0) return;
  // What ends makes room for the next of its kind: of each kind at most one is running.
  const inOrder = written.toSorted((a, b) => Number(isRunning(a.goal)) - Number(isRunning(b.goal)));
  const rows = inOrder.map(({ ticket, goal, fired }) => ({
    ticket_id: ticket.ticketId,
    kind: goal.kind,
    round: goal.round,
    policy_id: goal.policyId,
    duration_ms: goal.target.durationMs,
    due_soon_ms: goal.target.dueSoonMs,
    state: goal.state,
    started_at: iso(goal.startedAt),
    used_ms: Math.round(goal.usedMs),
    counting_since: iso(goal.countingSince),
    due_at: iso(goal.dueAt),
    due_soon_at: iso(goal.dueSoonAt),
    overdue_at: iso(goal.overdueAt),
    ended_at: iso(goal.endedAt),
    reason: goal.reason,
    due_soon_fired_at: iso(fired.dueSoon),
    overdue_fired_at: iso(fired.overdue),
    owner_id: goal.endedAt === null ? null : ticket.ownerId,
    channel_id: goal.endedAt === null ? null : ticket.channelId,
  }));
  await sql`
    insert into sla_goal (ticket_id, kind, round, policy_id, duration_ms, due_soon_ms, state, started_at, used_ms, counting_since, due_at, due_soon_at,
      overdue_at, ended_at, reason, due_soon_fired_at, overdue_fired_at, owner_id, channel_id)
    select ticket_id, kind, round, policy_id, duration_ms, due_soon_ms, state, started_at, used_ms, counting_since, due_at, due_soon_at,
      overdue_at, ended_at, reason, due_soon_fired_at, overdue_fired_at, owner_id, channel_id
    from json_to_recordset(${JSON.stringify(rows)}::json) as n (ticket_id uuid, kind text, round int, policy_id uuid, duration_ms bigint, due_soon_ms bigint,
      state text, started_at timestamptz, used_ms bigint, counting_since timestamptz, due_at timestamptz, due_soon_at timestamptz, overdue_at timestamptz,
      ended_at timestamptz, reason text, due_soon_fired_at timestamptz, overdue_fired_at timestamptz, owner_id uuid, channel_id uuid)
    on conflict (ticket_id, kind, round) do update set policy_id = excluded.policy_id, duration_ms = excluded.duration_ms, due_soon_ms = excluded.due_soon_ms,
      state = excluded.state, started_at = excluded.started_at, used_ms = excluded.used_ms, counting_since = excluded.counting_since, due_at = excluded.due_at,
      due_soon_at = excluded.due_soon_at, overdue_at = excluded.overdue_at, ended_at = excluded.ended_at, reason = excluded.reason,
      due_soon_fired_at = excluded.due_soon_fired_at, overdue_fired_at = excluded.overdue_fired_at,
      -- Whose it was when it ended stays, whatever is noted of it afterwards.
      owner_id = case when excluded.ended_at = sla_goal.ended_at then sla_goal.owner_id else excluded.owner_id end,
      channel_id = case when excluded.ended_at = sla_goal.ended_at then sla_goal.channel_id else excluded.channel_id end`.execute(tx);
}

/** A goal's life is told by its events: each new state, and each new deadline. That it was told of alone is none. */
function recordGoal(ledger: Ledger, { ticket }: Change, old: Goal | undefined, goal: Goal): void {
  if (old !== undefined && old.state === goal.state && old.dueAt === goal.dueAt && old.policyId === goal.policyId) return;
  ledger.record({
    kind: 'SLA_GOAL_CHANGED',
    by: { actor: 'SYSTEM' },
    ticketId: ticket.ticketId,
    conversationId: ticket.conversationId,
    channelId: ticket.channelId,
    placeId: ticket.placeId,
    why: goal.state,
    data: {
      goal: goal.kind,
      round: goal.round,
      from: old?.state ?? null,
      to: goal.state,
      dueAt: iso(goal.dueAt),
      overdueAt: iso(goal.overdueAt),
      endedAt: iso(goal.endedAt),
      usedMs: goal.endedAt === null ? null : Math.round(goal.usedMs),
      policyId: goal.policyId,
      reason: goal.reason,
      ownerId: ticket.ownerId,
    },
  });
}

function iso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
