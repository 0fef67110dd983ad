import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { beginMeasuring, measure, type Fact, type Measured } from '#domain/sla.ts';
import type { PolicyTerms } from '#domain/sla-policy.ts';
import { termsOf, type SlaTicket } from './sla-rows.ts';

interface Past {
  readonly at: number;
  readonly fact: Fact | { readonly kind: 'STATUS'; readonly statusId: string; readonly closed: boolean };
}

/** What has happened to a ticket so far, oldest first, and the status it began with. */
export interface History {
  readonly facts: readonly Past[];
  readonly firstStatusId: string | null;
}

export const NO_HISTORY: History = { facts: [], firstStatusId: null };

/** What happened to tickets that are not measured yet: who spoke when, and which status they had (SLA-11). */
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
      select e.ticket_id, e.at, null, null, e.data ->> 'from', e.data ->> 'to', e.data ->> 'category'
      from event e where e.ticket_id = any(${ids}::uuid[]) and e.kind = 'STATUS_CHANGED'
    ) past order by at, place nulls last`.execute(tx);
  const histories = new Map<string, { readonly facts: Past[]; firstStatusId: string | null }>();
  for (const row of rows) {
    const history = histories.get(row.ticket_id) ?? { facts: [], firstStatusId: null };
    histories.set(row.ticket_id, history);
    const at = row.at.getTime();
    if (row.said !== null) history.facts.push({ at, fact: { kind: row.said === 'CONTACT' ? 'CONTACT_WROTE' : 'PERSON_REPLIED' } });
    else if (row.to !== null) {
      history.firstStatusId ??= row.from;
      history.facts.push({ at, fact: { kind: 'STATUS', statusId: row.to, closed: row.category === 'CLOSED' } });
    }
  }
  return histories;
}

/** Its goals as if the policy had applied from the start, with the real deadlines. */
export function measureHistory(ticket: SlaTicket, policy: PolicyTerms | null, { facts, firstStatusId }: History): Measured {
  const pauses = (statusId: string): boolean => policy?.pauseStatusIds.includes(statusId) === true;
  const { createdAt, startedAt, begunByContact, now } = ticket;
  // What an automatic mail began is owed an answer since then; else since its contact first wrote.
  const written = facts.some(({ fact }) => fact.kind === 'CONTACT_WROTE');
  const firstOwedAt = begunByContact && !written ? startedAt : null;
  let measured = beginMeasuring({ terms: termsOf(policy, ticket), paused: pauses(firstStatusId ?? ticket.statusId), createdAt, firstOwedAt }, createdAt);
  for (const { at, fact } of facts) {
    if (fact.kind !== 'STATUS') {
      measured = measure(measured, fact, at);
      continue;
    }
    if (fact.closed !== measured.closed) measured = measure(measured, { kind: fact.closed ? 'CLOSED' : 'REOPENED' }, at);
    if (pauses(fact.statusId) !== measured.paused) measured = measure(measured, { kind: 'PAUSE', paused: pauses(fact.statusId) }, at);
  }
  return measure(measured, { kind: 'TIME' }, now);
}
