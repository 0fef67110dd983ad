import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { becomes, type Becomes } from '#domain/migration.ts';
import { HELP_DESK_MEMBERS } from './help-desk-reach.ts';

/** Conversations of a channel that live in an inbox, by all that decides what a move makes of them. */
export interface CensusGroup {
  readonly open: boolean;
  readonly hasTicket: boolean;
  /** Whose they are, whichever row that stands in; null: nobody's. */
  readonly ownerId: string | null;
  readonly ownerHasAccess: boolean;
  readonly count: number;
  /** One of them. */
  readonly example: string;
}

/** Statuses of the new tickets, as far as they are chosen. */
export interface Statuses {
  readonly openStatusId: string | null;
  readonly closedStatusId: string | null;
}

export interface OpenAndClosed {
  readonly open: number;
  readonly closed: number;
}

/** What there is to move. */
export interface ConversationsToMove {
  readonly total: number;
  readonly withTicket: OpenAndClosed;
  /** These get one. */
  readonly withoutTicket: OpenAndClosed;
}

/** An owner who has no access to the help desk, and how many conversations it is about. */
export interface OwnerWithoutAccess {
  readonly userId: string;
  /** Their new tickets are nobody's. */
  readonly becomeUnassigned: number;
  /** Theirs already, and stay so. */
  readonly keptTickets: number;
}

export interface OwnersWithoutAccess {
  /** Those with the most new tickets first. */
  readonly owners: readonly OwnerWithoutAccess[];
  readonly becomeUnassigned: number;
  readonly keptTickets: number;
}

/** A conversation that there is, and what will become of it. */
export interface MoveSample {
  readonly conversationId: string;
  /** Null: it gets one. */
  readonly ticketId: string | null;
  readonly open: boolean;
  readonly owner: 'WITH_ACCESS' | 'WITHOUT_ACCESS' | 'NOBODY';
  /** Whose it is now. */
  readonly ownerId: string | null;
  /** Of a ticket that is kept: its own owner, and its own status. */
  readonly becomes: Becomes;
  /** Of the ticket, the new one or the one that is kept. */
  readonly createdAt: Date;
  /** Why, for people; ids and no names. */
  readonly sentence: string;
}

/** Conversations that are shown as samples. */
const SAMPLES = 20;
/** The newest are looked at besides the examples of the census. */
const NEWEST = 200;
/** Of the census, per case. */
const EXAMPLES = 3;

/** Counts a channel's conversations in one pass over them, with their tickets joined once: by what becomes of them and by whose they are. */
export async function takeCensus(tx: Tx, channelId: string): Promise<readonly CensusGroup[]> {
  const { rows } = await sql<CensusGroup>`
    with able as materialized ${HELP_DESK_MEMBERS}, counted as (
      select c.status, c.ticket_id is not null as ticketed, coalesce(t.owner_id, c.owner_id) as owner_id, count(*)::int as count, any_value(c.id) as example
      from conversation c left join ticket t on t.id = c.ticket_id
      where c.channel_id = ${channelId} and c.place = 'INBOX' group by 1, 2, 3
    )
    select n.status = 'OPEN' as open, n.ticketed as "hasTicket", n.owner_id as "ownerId", a.id is not null as "ownerHasAccess", n.count, n.example
    from counted n left join able a on a.id = n.owner_id`.execute(tx);
  return rows;
}

/** How many there are, of which kind. */
export function countConversations(groups: readonly CensusGroup[]): ConversationsToMove {
  const sum = (which: Partial<Pick<CensusGroup, 'open' | 'hasTicket'>>): number =>
    groups.reduce((all, one) => (matches(one, which) ? all + one.count : all), 0);
  const both = (hasTicket: boolean): OpenAndClosed => ({ open: sum({ hasTicket, open: true }), closed: sum({ hasTicket, open: false }) });
  return { total: sum({}), withTicket: both(true), withoutTicket: both(false) };
}

/** Those whose owners have no access to the help desk. */
export function countOwners(groups: readonly CensusGroup[]): OwnersWithoutAccess {
  const owners = new Map<string, OwnerWithoutAccess>();
  for (const { ownerId, ownerHasAccess, hasTicket, count } of groups) {
    if (ownerId === null || ownerHasAccess) continue;
    const { becomeUnassigned, keptTickets } = owners.get(ownerId) ?? { becomeUnassigned: 0, keptTickets: 0 };
    owners.set(ownerId, { userId: ownerId, becomeUnassigned: becomeUnassigned + (hasTicket ? 0 : count), keptTickets: keptTickets + (hasTicket ? count : 0) });
  }
  const list = [...owners.values()].toSorted(
    (a, b) => b.becomeUnassigned - a.becomeUnassigned || b.keptTickets - a.keptTickets || (a.userId < b.userId ? -1 : 1),
  );
  const sum = (field: 'becomeUnassigned' | 'keptTickets'): number => list.reduce((all, one) => all + one[field], 0);
  return { owners: list, becomeUnassigned: sum('becomeUnassigned'), keptTickets: sum('keptTickets') };
}

interface SampleRow {
  readonly id: string;
  readonly open: boolean;
  readonly ticketId: string | null;
  readonly ownerId: string | null;
  readonly ownerHasAccess: boolean;
  readonly statusId: string | null;
  readonly createdAt: Date;
}

/** Some of them across all the cases that there are, as many of each as of the others where there are as many; what becomes of each, and why. */
export async function readSamples(tx: Tx, channelId: string, groups: readonly CensusGroup[], statuses: Statuses): Promise<readonly MoveSample[]> {
  const examples = byCase(groups).flatMap((one) => one.slice(0, EXAMPLES).map(({ example }) => example));
  const { rows } = await sql<SampleRow>`
    with able as materialized ${HELP_DESK_MEMBERS}, newest as (
      select id from conversation where channel_id = ${channelId} and place = 'INBOX' order by id desc limit ${NEWEST}
    )
    select c.id, c.status = 'OPEN' as open, c.ticket_id as "ticketId", coalesce(t.owner_id, c.owner_id) as "ownerId", a.id is not null as "ownerHasAccess",
      t.status_id as "statusId", coalesce(t.created_at, c.started_at) as "createdAt"
    from (select unnest(${examples}::uuid[]) as id union select id from newest) chosen
    join conversation c on c.id = chosen.id and c.channel_id = ${channelId} and c.place = 'INBOX'
    left join ticket t on t.id = c.ticket_id left join able a on a.id = coalesce(t.owner_id, c.owner_id)
    order by c.id`.execute(tx);
  const cases = byCase(rows.map((row) => ({ ...row, hasTicket: row.ticketId !== null })));
  const rounds = Math.max(0, ...cases.map((one) => one.length));
  const inTurn = Array.from({ length: rounds }, (_, round) => cases.flatMap((one) => one.slice(round, round + 1))).flat();
  return inTurn.slice(0, SAMPLES).map((row) => sampleOf(row, statuses));
}

type Case = Pick<CensusGroup, 'open' | 'hasTicket' | 'ownerId' | 'ownerHasAccess'>;

function byCase<Row extends Case>(rows: readonly Row[]): readonly (readonly Row[])[] {
  return [...Map.groupBy(rows, (row) => `${row.open} ${row.hasTicket} ${ownerOf(row)}`).entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, one]) => one);
}

function ownerOf({ ownerId, ownerHasAccess }: Pick<Case, 'ownerId' | 'ownerHasAccess'>): MoveSample['owner'] {
  if (ownerId === null) return 'NOBODY';
  return ownerHasAccess ? 'WITH_ACCESS' : 'WITHOUT_ACCESS';
}

function sampleOf({ id, open, ticketId, ownerId, ownerHasAccess, statusId, createdAt }: SampleRow, statuses: Statuses): MoveSample {
  const made = becomes({ hasTicket: ticketId !== null, open, ownerId, ownerHasAccess, ...statuses });
  const becoming = made.ticket === 'KEPT' ? { ...made, statusId } : made;
  return {
    conversationId: id,
    ticketId,
    open,
    owner: ownerOf({ ownerId, ownerHasAccess }),
    ownerId,
    becomes: becoming,
    createdAt,
    sentence: sentenceOf(becoming, { ticketId, ownerId, createdAt }),
  };
}

function sentenceOf({ why }: Becomes, { ticketId, ownerId, createdAt }: { ticketId: string | null; ownerId: string | null; createdAt: Date }): string {
  const made = `It gets a ticket, created at ${createdAt.toISOString()} like itself,`;
  switch (why) {
    case 'TICKET_KEPT':
      return `Its ticket ${ticketId} is kept as it is${ownerId === null ? '' : `, and stays with user ${ownerId}`}.`;
    case 'OWNER_HAS_ACCESS':
      return `${made} that is user ${ownerId}’s, who has the conversation and access to the help desk.`;
    case 'OWNER_WITHOUT_ACCESS':
      return `${made} that is nobody’s: user ${ownerId}, who has the conversation, has no access to the help desk.`;
    case 'NOBODY_HAD_IT':
      return `${made} that is nobody’s, as the conversation is.`;
  }
}

function matches(group: CensusGroup, { open, hasTicket }: Partial<Pick<CensusGroup, 'open' | 'hasTicket'>>): boolean {
  return (open === undefined || group.open === open) && (hasTicket === undefined || group.hasTicket === hasTicket);
}
