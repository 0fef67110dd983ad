import type { Plugin } from '@trunkline/channel-sdk';
import type { Db } from '#db/database.ts';
import type { Priority } from '#db/schema.ts';
import { isRunning, measure, nextMoment } from '#domain/sla.ts';
import type { PolicyAction, PolicyTerms } from '#domain/sla-policy.ts';
import { clockOf, clockWords, goalName, timerWords, type SaidGoal } from '#domain/sla-words.ts';
import { notifySla } from './notifications.ts';
import { assignByRule } from './routing.ts';
import { crossings, firedAt, writeSla, type Crossed } from './sla.ts';
import { readSlaTickets, type SlaTicket } from './sla-rows.ts';
import { lockSubject, type Subject } from './subjects.ts';
import { setTicketPriority } from './tickets.ts';
import { transact, type Committed, type Unit } from './unit.ts';
import { queueWebhook } from './webhooks.ts';

/** What became of a ticket's moment. */
export interface Reached {
  /** Goals that were told of as due soon or overdue. */
  readonly fired: number;
}

/**
 * A ticket's next moment has come: its goals change by PostgreSQL's clock, those who are to know are told, and the policy has done what it names, each once,
 * in one transaction (SLA-12, SLA-13). Called too early, or once more, it changes nothing.
 */
export async function reachMoment(db: Db, number: number, random: () => number, plugins: readonly Plugin[]): Promise<Committed<Reached>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit) => {
    const { tx } = unit;
    const row = await tx.selectFrom('ticket').select('id').where('number', '=', number).executeTakeFirst();
    if (row === undefined) return { fired: 0 };
    const subject = await lockSubject(tx, { ticketId: row.id });
    const [ticket] = await readSlaTickets(tx, [row.id]);
    const stored = ticket?.stored ?? null;
    if (ticket === undefined || stored === null || stored.nextAt === null || stored.nextAt > ticket.now) return { fired: 0 };
    const after = measure(stored.measured, { kind: 'TIME' }, ticket.now);
    const crossed = crossings(after.goals, stored.fired);
    await writeSla(unit, [{ ticket, policy: stored.policy, after, fired: firedAt(stored.fired, crossed, ticket.now) }]);
    for (const one of crossed) await tell(unit, { subject, ticket, crossed: one, policy: stored.policy, random, plugins });
    return { fired: crossed.length };
  });
}

interface Telling {
  readonly subject: Subject;
  readonly ticket: SlaTicket;
  readonly crossed: Crossed;
  /** By the terms the ticket has, which may be older than what the policy says now. */
  readonly policy: PolicyTerms | null;
  readonly random: () => number;
  readonly plugins: readonly Plugin[];
}

async function tell(unit: Unit, telling: Telling): Promise<void> {
  const { subject, crossed, policy } = telling;
  const { goal, on } = crossed;
  const timeZone = policy === null ? 'UTC' : clockOf(policy.calendar);
  const deadline = on === 'OVERDUE' ? (goal.overdueAt ?? crossed.at) : (goal.dueAt ?? crossed.at);
  const words = { name: goalName(goal.kind), due: clockWords(deadline, timeZone) };
  // What is over by the time it is noticed needs nobody any more; who counts from outside is told all the same.
  const matters = subject.open && isRunning(goal);
  const actions = (policy?.actions ?? []).filter((one) => one.on === on && (one.goal === null || one.goal === goal.kind));
  // All who are to know of it in one go: nobody twice.
  const named = actions.flatMap(({ act }) => (act.kind === 'NOTIFY' ? [act] : []));
  const also = { userIds: named.flatMap(({ userIds }) => userIds), teamIds: named.flatMap(({ teamIds }) => teamIds) };
  if (matters) await notifySla(unit, on === 'OVERDUE' ? 'SLA_OVERDUE' : 'SLA_DUE_SOON', subject, { goal: words, ...also });
  for (const { act } of actions) if (matters || act.kind === 'WEBHOOK') await doAct(unit, act, telling);
}

async function doAct(unit: Unit, act: PolicyAction['act'], { subject, ticket, crossed, policy, random, plugins }: Telling): Promise<void> {
  switch (act.kind) {
    case 'SET_PRIORITY':
      await setTicketPriority(unit, { ticketId: ticket.ticketId, priority: act.priority as Priority }, 'SLA');
      return;
    case 'ASSIGN':
      // As another action may have left it.
      await assignByRule(unit, await lockSubject(unit.tx, { ticketId: ticket.ticketId }), act.ruleId, random, plugins);
      return;
    case 'NOTIFY':
      // Told together with the owner.
      return;
    case 'WEBHOOK': {
      const { goal, on } = crossed;
      await queueWebhook(unit, {
        webhookId: act.webhookId,
        ticketId: ticket.ticketId,
        payload: {
          type: on === 'OVERDUE' ? 'sla.overdue' : 'sla.due_soon',
          ticket: ticket.number,
          goal: goal.kind,
          round: goal.round,
          policy: policy?.number ?? null,
          dueAt: iso(on === 'OVERDUE' ? goal.overdueAt : goal.dueAt),
          firedAt: iso(ticket.now),
          open: subject.open,
        },
      });
      return;
    }
  }
}

function iso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

/** What a ticket's workflow knows of its goals: ids, codes and moments. */
export interface SlaView {
  /** Its moment has come. */
  readonly due: boolean;
  /** Milliseconds since 1970; null: none. */
  readonly nextAt: number | null;
  /** Milliseconds until then by PostgreSQL's clock, which decides; null: none. */
  readonly nextInMs: number | null;
  /** 'first reply due Sat 21 Nov 14:05 Europe/Berlin, policy 3' */
  readonly nextWords: string | null;
  /** Those that are not over. */
  readonly goals: readonly SaidGoal[];
}

/** Reads it without any lock; null: the ticket has no goals. */
export async function readSlaView(db: Db, ticketId: string): Promise<SlaView | null> {
  const [ticket] = await readSlaTickets(db, [ticketId]);
  const stored = ticket?.stored ?? null;
  if (ticket === undefined || stored === null) return null;
  const running = stored.measured.goals.filter(isRunning);
  const { policy } = stored;
  const said = running.map(({ kind, round, state, dueAt, overdueAt }): SaidGoal => ({
    kind,
    round,
    state,
    dueAt,
    overdueAt,
    policy: policy?.number ?? 0,
    timeZone: policy === null ? 'UTC' : clockOf(policy.calendar),
  }));
  const next = nextMoment(stored.measured.goals);
  const of = next === null ? undefined : said[running.indexOf(next.goal)];
  return {
    due: stored.nextAt !== null && stored.nextAt <= ticket.now,
    nextAt: stored.nextAt,
    nextInMs: stored.nextAt === null ? null : stored.nextAt - ticket.now,
    nextWords: next === null || of === undefined ? null : timerWords(of, next.becomes, next.at),
    goals: said,
  };
}
