import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { beginMeasuring, measure, type Fact, type Measured, type Terms } from '#domain/sla.ts';
import type { PolicyTerms } from '#domain/sla-policy.ts';
import { termsOf, type SlaTicket } from './sla-rows.ts';

/** A status it came to have. Null: not known, so what it rests in stays; `closed` null: as it was. */
interface Status {
  readonly kind: 'STATUS';
  readonly statusId: string | null;
  readonly closed: boolean | null;
}

interface Past {
  readonly at: number;
  readonly fact: Fact | Status;
}

/** What has happened to a ticket so far, oldest first, and the status it began with; null: the one it has. */
export interface History {
  readonly facts: readonly Past[];
  readonly firstStatusId: string | null;
  /** Since when it is one: a move made it of a conversation that had none, as old as that. */
  readonly madeAt: number | null;
}

export const NO_HISTORY: History = { facts: [], firstStatusId: null, madeAt: null };

/**
 * What happened to tickets that are not measured yet: who spoke when, which status they had, and whether their conversations were open or closed before there
 * was a ticket (SLA-11).
 */
export async function readHistories(tx: Tx, ticketIds: readonly string[]): Promise<ReadonlyMap<string, History>> {
  const ids = [...ticketIds];
  const { rows } = await sql<{
    ticket_id: string;
    at: Date;
    said: 'CONTACT' | 'PERSON' | null;
    from: string | null;
    to: string | null;
    category: string | null;
  }>`
    select * from (
      select c.ticket_id, coalesce(m.counted_at, m.received_at) as at, m.arrival as place, case m.direction when 'INBOUND' then 'CONTACT' else 'PERSON' end as said, null as "from", null as "to", null as category
      from conversation c join message m on m.conversation_id = c.id
      where c.ticket_id = any(${ids}::uuid[]) and m.direction <> 'COMMENT' and not m.automatic
      union all
      -- With neither category nor status: a move made it.
      select e.ticket_id, e.at, null, null, e.data ->> 'from', e.data ->> 'to', e.data ->> 'category'
      from event e where e.ticket_id = any(${ids}::uuid[]) and (e.kind = 'STATUS_CHANGED' or (e.kind = 'TICKET_CREATED' and e.why = 'MOVED'))
      union all
      select c.ticket_id, e.at, null, null, null, null, e.data ->> 'category'
      from conversation c join event e on e.conversation_id = c.id
      where c.ticket_id = any(${ids}::uuid[]) and e.ticket_id is null and e.kind = 'STATUS_CHANGED'
    ) past order by at, place nulls last`.execute(tx);
  const histories = new Map<string, { readonly facts: Past[]; firstStatusId: string | null; madeAt: number | null }>();
  for (const row of rows) {
    const history = histories.get(row.ticket_id) ?? { facts: [], firstStatusId: null, madeAt: null };
    histories.set(row.ticket_id, history);
    const at = row.at.getTime();
    if (row.said !== null) history.facts.push({ at, fact: { kind: row.said === 'CONTACT' ? 'CONTACT_WROTE' : 'PERSON_REPLIED' } });
    else if (row.category === null) history.madeAt = at;
    else {
      history.firstStatusId ??= row.from;
      history.facts.push({ at, fact: { kind: 'STATUS', statusId: row.to, closed: row.category === 'CLOSED' } });
    }
  }
  return histories;
}

/** Its goals as if the policy had applied from the start, with the real deadlines. */
export function measureHistory(ticket: SlaTicket, policy: PolicyTerms | null, { facts, firstStatusId, madeAt }: History): Measured {
  const pauses = (statusId: string): boolean => policy?.pauseStatusIds.includes(statusId) === true;
  const { createdAt, startedAt, begunByContact, now } = ticket;
  const terms = termsOf(policy, ticket);
  const told = asRowsSay(ticket, facts);
  // What an automatic mail began is owed an answer since then; else since its contact first wrote.
  const written = told.some(({ fact }) => fact.kind === 'CONTACT_WROTE');
  const firstOwedAt = begunByContact && !written ? startedAt : null;
  // A conversation that was closed before it had a ticket: until it has one, replies alone are owed. It had no status to rest in then.
  const early = told.some(({ at, fact }) => fact.kind === 'STATUS' && at < createdAt);
  const statusSince = madeAt ?? (early ? createdAt : null);
  const first = firstStatusId ?? ticket.statusId;
  const begins: Past[] = [];
  if (early) begins.push({ at: createdAt, fact: { kind: 'TERMS', terms } });
  if (statusSince !== null) begins.push({ at: statusSince, fact: { kind: 'STATUS', statusId: first, closed: null } });
  let measured = beginMeasuring(
    { terms: early ? withoutClose(terms) : terms, paused: statusSince === null && pauses(first), createdAt, firstOwedAt },
    Math.min(createdAt, ...(early ? [told[0]?.at ?? createdAt] : [])),
  );
  for (const { at, fact } of inOrder(begins, told)) {
    if (fact.kind !== 'STATUS') {
      measured = measure(measured, fact, at);
      continue;
    }
    if (fact.closed !== null && fact.closed !== measured.closed) measured = measure(measured, { kind: fact.closed ? 'CLOSED' : 'REOPENED' }, at);
    if (fact.statusId !== null && pauses(fact.statusId) !== measured.paused) measured = measure(measured, { kind: 'PAUSE', paused: pauses(fact.statusId) }, at);
  }
  const paused = pauses(ticket.statusId);
  if (paused !== measured.paused) measured = measure(measured, { kind: 'PAUSE', paused }, now);
  return measure(measured, { kind: 'TIME' }, now);
}

/** With what the rows say now, where that is another thing than what was told: closed when they say, or open since its contact wrote again. */
function asRowsSay({ closedAt, now }: SlaTicket, facts: readonly Past[]): readonly Past[] {
  const turn = facts.findLast(({ fact }) => fact.kind === 'STATUS');
  const closed = closedAt !== null;
  if (closed === (turn?.fact.kind === 'STATUS' && turn.fact.closed === true)) return facts;
  const since = turn?.at ?? Number.NEGATIVE_INFINITY;
  const wrote = facts.findLast(({ at, fact }) => fact.kind === 'CONTACT_WROTE' && at >= since);
  const at = closedAt === null ? (wrote?.at ?? now) : Math.max(closedAt, since);
  return inOrder(facts, [{ at, fact: { kind: 'STATUS', statusId: null, closed } }]);
}

/** Of those in the same moment the first ones first. */
function inOrder(first: readonly Past[], second: readonly Past[]): readonly Past[] {
  return [...first, ...second].toSorted((a, b) => a.at - b.at);
}

function withoutClose(terms: Terms | null): Terms | null {
  if (terms === null) return null;
  const { CLOSE: _, ...targets } = terms.targets;
  return { ...terms, targets };
}
