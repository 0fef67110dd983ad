import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockRouting } from '#db/locks.ts';
import { decideOwner, type Candidate, type Decision, type Rule } from '#domain/routing.ts';
import type { TicketFacts } from '#domain/conditions.ts';
import { matchingSkillRule, type SkillRule } from '#domain/skills.ts';
import { groupedWith, type Grouped } from './capacity.ts';
import { readOwners, type OwnedBy } from './contact-owner.ts';
import { notifyUnassigned } from './notifications.ts';
import { mailOfflineOwner } from './offline-owner.ts';
import { changeOwner } from './owners.ts';
import { storeDecision } from './routing-decisions.ts';
import { noteTurn } from './routing-cycle.ts';
import { readPool, type Pool } from './routing-pool.ts';
import { noteNobodyFree, waits } from './routing-retry.ts';
import { lockSubject, subjectIds, wakeTicket, type Subject, type SubjectRef } from './subjects.ts';
import { transact, type Committed, type Unit } from './unit.ts';
import { flipDue } from './user-availability.ts';

export interface Decided {
  /** False: there was nothing to decide any more. */
  readonly decided: boolean;
  readonly ownerId: string | null;
  /** Of which rule's people it waits for whom now, by what the decision saw; null: for nobody (ROUTE-13). */
  readonly waitsFor?: { readonly ruleId: string; readonly pool: string } | null;
}

/**
 * Decides the owner of a conversation or ticket whose decision is open, once: the open decision is the compare-and-set, so a second
 * call, or one after somebody took it, changes nothing. Owner, explanation, event and notification are one transaction (ROUTE-14, ROUTE-15).
 * `plugins` say by what their contacts are recognised, and of which routing group their channels are: without them the rule *contact owner* knows
 * visitors only, and limits of groups count for nothing. `WAITING`: one that was left because nobody was free, and still is; deciding it again is the same
 * but that nobody is told once more (ROUTE-13).
 */
export async function decide(
  db: Db,
  ref: SubjectRef,
  random: () => number,
  plugins: readonly Plugin[] = [],
  which: 'OPEN' | 'WAITING' = 'OPEN',
): Promise<Committed<Decided>> {
  return transact(db, { actor: 'ROUTING' }, async (unit) => {
    const { tx } = unit;
    const subject = await lockSubject(tx, ref);
    const again = which === 'WAITING';
    if (again ? !waits(subject) : subject.routePendingSince === null) return { decided: false, ownerId: subject.ownerId };
    if (await isOff(tx, subject.channelId)) {
      // What waits goes on waiting until it is switched on again.
      if (again) return { decided: false, ownerId: null };
      // Switched off meanwhile: nobody is chosen (CH-9).
      await changeOwner(unit, subject, { ownerId: subject.ownerId, teamId: subject.teamId }, 'CHANNEL_OFF');
      return { decided: false, ownerId: subject.ownerId };
    }
    const { conversationId } = subject;
    const chosen = await choose(unit, subject, conversationId === null ? null : { conversationId }, random, plugins);
    const { rule, pool, decision } = chosen;
    await keep(tx, subject, chosen);
    unit.record({
      kind: 'ROUTING_DECIDED',
      ...subjectIds(subject),
      userId: decision.ownerId,
      why: decision.explanation.outcome,
      ...(again ? { data: { again } } : {}),
    });
    await changeOwner(unit, subject, { ownerId: decision.ownerId, teamId: null }, 'ROUTED', 'AUTOMATIC');
    const offline = offlineOwner(rule, pool.candidates, decision);
    if (offline !== undefined) await mailOfflineOwner(unit, subject, offline);
    const waitingPool = await noteNobodyFree(unit, subject, decision.explanation);
    if (decision.ownerId === null && subject.ticketId !== null && !again) await notifyUnassigned(unit, subject);
    wakeTicket(unit, subject);
    return { decided: true, ownerId: decision.ownerId, waitsFor: rule.id === null || waitingPool === null ? null : { ruleId: rule.id, pool: waitingPool } };
  });
}

/**
 * Gives an open ticket to whom a rule chooses, whoever has it: what a policy has done when a deadline comes near (SLA-12). With nobody free it stays whose it
 * is. One of the automatic decisions: serialised with the others, and explained. The subject must be locked.
 */
export async function assignByRule(unit: Unit, subject: Subject, ruleId: string, random: () => number, plugins: readonly Plugin[]): Promise<void> {
  const chosen = await choose(unit, subject, { ruleId }, random, plugins);
  const { decision } = chosen;
  if (decision.ownerId === null || decision.ownerId === subject.ownerId) return;
  await keep(unit.tx, subject, chosen);
  unit.record({ kind: 'ROUTING_DECIDED', ...subjectIds(subject), userId: decision.ownerId, why: decision.explanation.outcome, data: { policy: true } });
  await changeOwner(unit, subject, { ownerId: decision.ownerId, teamId: null }, 'ROUTED', 'AUTOMATIC');
}

interface Chosen {
  readonly rule: StoredRule;
  readonly pool: Pool;
  readonly decision: Decision;
}

/** Whom a rule chooses for a subject now, one decision at a time in the account (ROUTE-15). `of` null: there is no rule, and it waits for triage. */
async function choose(unit: Unit, subject: Subject, of: RuleOf | null, random: () => number, plugins: readonly Plugin[]): Promise<Chosen> {
  const { tx } = unit;
  await lockRouting(tx);
  await flipDue(unit);
  const { conversationId, placeId } = subject;
  const stored = of === null ? await noRule(tx) : await readRule(tx, of);
  const rule = withSkillRule(stored, stored.skillRules.length === 0 || subject.ticketId === null ? null : await factsOf(tx, subject.ticketId));
  const grouped = groupedWith(plugins, subject.plugin);
  const pool = await readCandidates(tx, plugins, rule, { placeId, grouped, of: conversationId === null ? null : { conversationId } });
  return { rule, pool, decision: decideOwner(rule, pool.candidates, rule.now, random(), pool.further) };
}

/** Stores the decision with its explanation, and the turn that it took. */
async function keep(tx: Tx, subject: Subject, { rule, pool, decision }: Chosen): Promise<void> {
  await storeDecision(tx, subject, decision);
  const turn = pool.candidates.find(({ userId }) => userId === decision.ownerId)?.turn;
  if (decision.ownerId !== null && rule.cycleId !== null && turn !== undefined) await noteTurn(tx, rule.cycleId, decision.ownerId, turn);
}

async function isOff(tx: Tx, channelId: string | null): Promise<boolean> {
  if (channelId === null) return false;
  const channel = await tx.selectFrom('channel').select('enabled').where('id', '=', channelId).executeTakeFirstOrThrow();
  return !channel.enabled;
}

/** Which rule: that of a conversation, with what a hand-off brought, that of a channel, or one by itself. */
type RuleOf = { readonly conversationId: string } | { readonly channelId: string } | { readonly ruleId: string };

interface StoredRule extends Rule {
  readonly defaultUserId: string | null;
  /** Whose turns it goes on with, its own unless it came in another's place; null: there are none. */
  readonly cycleId: string | null;
  readonly skillRules: readonly SkillRule[];
  /** The moment of reading it, by PostgreSQL's clock: a transaction's own is from before it waited for the lock. */
  readonly now: Date;
}

/** A ticket from an outside channel has no rule of a channel: it waits for triage (ROUTE-1). */
export async function noRule(tx: Db | Tx): Promise<StoredRule> {
  const { now } = await tx.selectNoFrom(sql<Date>`clock_timestamp()`.as('now')).executeTakeFirstOrThrow();
  return { id: null, kind: 'NOBODY', method: null, availableOnly: true, defaultUserId: null, cycleId: null, skillRules: [], now };
}

/** The rule by which a channel's next conversation is decided, or one that there is. */
export async function readRule(db: Db | Tx, of: RuleOf): Promise<StoredRule> {
  // A hand-off brings a rule of its own (CH-8).
  const ruleId =
    'ruleId' in of
      ? sql`${of.ruleId}::uuid`
      : 'channelId' in of
        ? sql`(select h.routing_rule_id from channel h where h.id = ${of.channelId})`
        : sql`(select coalesce(c.routing_rule_id, h.routing_rule_id) from conversation c join channel h on h.id = c.channel_id where c.id = ${of.conversationId})`;
  const { rows } = await sql<StoredRule>`
    select r.id, r.kind, r.method, r.available_only as "availableOnly", r.default_user_id as "defaultUserId", clock_timestamp() as now,
      coalesce((select a.recently_assigned_first from account a), false) as "recentlyAssignedFirst", coalesce(r.cycle_id, r.id) as "cycleId",
      coalesce((select jsonb_agg(jsonb_build_object('id', k.id, 'position', k.position, 'conditions', k.conditions, 'otherwise', k.otherwise,
          'required', (select jsonb_agg(s.skill_id order by s.skill_id) from skill_rule_skill s where s.skill_rule_id = k.id)))
        from skill_rule k where k.rule_id = r.id), '[]') as "skillRules"
    from routing_rule r where r.id = ${ruleId}`.execute(db);
  const [rule] = rows;
  if (rule === undefined) throw new Error('a channel without a routing rule');
  return rule;
}

/** With the skills that such a ticket asks for, if it does (ROUTE-11). */
export function withSkillRule(rule: StoredRule, ticket: TicketFacts | null): StoredRule {
  return { ...rule, skillRule: matchingSkillRule(rule.skillRules, ticket) };
}

async function factsOf(tx: Tx, ticketId: string): Promise<TicketFacts> {
  const ticket = await tx.selectFrom('ticket').select(['pipeline_id', 'priority', 'properties']).where('id', '=', ticketId).executeTakeFirstOrThrow();
  return { pipelineId: ticket.pipeline_id, priority: ticket.priority, properties: ticket.properties };
}

interface CandidatesOf {
  readonly placeId: string;
  readonly grouped: Grouped | null;
  /** Whose owner the rule *contact owner* asks for. */
  readonly of: OwnedBy;
}

/** Whom a rule names or finds, with all that counts for or against each. */
export async function readCandidates(db: Db | Tx, plugins: readonly Plugin[], rule: StoredRule, { placeId, grouped, of }: CandidatesOf): Promise<Pool> {
  if (rule.id === null || rule.kind === 'NOBODY') return NOBODY;
  if (rule.kind !== 'CONTACT_OWNER') return readPool(db, { ruleId: rule.id }, { placeId, rule, grouped, cycleId: rule.cycleId });
  return { ...NOBODY, candidates: await readOwners(db, plugins, { of, defaultUserId: rule.defaultUserId, placeId, grouped }) };
}

const NOBODY: Pool = { candidates: [], further: { eligible: 0, leftOut: {} } };

/** Who gets it by this rule and is not there: they are told by mail (ROUTE-10). */
function offlineOwner(rule: Rule, candidates: readonly Candidate[], { ownerId }: Decision): Candidate | undefined {
  return rule.kind === 'CONTACT_OWNER' ? candidates.find(({ userId, available }) => userId === ownerId && !available) : undefined;
}
