import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { allHold, type Condition, type TicketFacts } from '#domain/conditions.ts';
import { calendarProblems, type PolicyTarget, type PolicyTerms, type StoredCalendar, type WrittenCalendar } from '#domain/sla-policy.ts';
import { foretellGoals, type ForetoldGoal } from '#domain/sla-preview.ts';
import { goalName } from '#domain/sla-words.ts';
import { readCalendar } from './calendars.ts';
import { InvalidInput, NotFound, type Problem } from './refusals.ts';
import { termsProblems, type TermsInput } from './sla-policies.ts';
import { loadTerms, readPolicies, readSlaTickets } from './sla-rows.ts';

export interface SlaPreviewInput {
  /** One that there is, or one as it is typed. */
  readonly policyId?: string | null;
  readonly policy?: TermsInput | null;
  /** In place of the policy's own: one that there is, or one as it is typed. */
  readonly calendarId?: string | null;
  readonly calendar?: WrittenCalendar | null;
  readonly at: Date;
  /** None: of a priority that has no targets of its own. */
  readonly priority?: string | null;
}

export interface SlaPreview {
  readonly calendar: StoredCalendar;
  readonly goals: readonly ForetoldGoal[];
}

/** When the goals of a policy would be due, and how that was counted; nothing is saved (SLA-3). Throws `InvalidInput` (each thing with where), `NotFound`. */
export async function previewSla(db: Db, input: SlaPreviewInput): Promise<SlaPreview> {
  // Skills that an action's rule names are held while they are looked at, as when it is saved.
  return db.transaction().execute(async (tx) => {
    const problems = shapeProblems(input);
    const saved = input.policyId == null ? null : await policyTerms(tx, input.policyId);
    const written = input.calendar == null ? null : calendarProblems(input.calendar);
    problems.push(...under('calendar', written ?? []));
    const calendar = written !== null && written.length > 0 ? null : await calendarFor(tx, input, saved);
    const terms: Pick<PolicyTerms, 'targets'> | null = saved ?? input.policy ?? null;
    if (input.policy != null) problems.push(...under('policy', await termsProblems(tx, input.policy, calendar)));
    if (problems.length > 0 || terms === null || calendar === null) throw new InvalidInput(problems);
    const goals = foretellGoals(terms.targets, calendar, input.at.getTime(), input.priority ?? null);
    const never = notOffered(terms.targets, goals, input);
    if (never.length > 0) throw new InvalidInput(never);
    return { calendar, goals };
  });
}

/** What is asked of a ticket that there is, or of one as it is described. */
export interface PolicyForInput {
  readonly ticketId?: string | null;
  readonly priority?: string | null;
  /** None: the account's first. */
  readonly pipelineId?: string | null;
  readonly teamId?: string | null;
  readonly source?: string | null;
  readonly properties?: Readonly<Record<string, unknown>> | null;
}

export interface PolicyFor {
  readonly why: 'MATCHES' | 'NONE_MATCHES' | 'NO_CONVERSATION' | 'NOT_IN_HELP_DESK';
  /** Null: none applies. */
  readonly policy: PolicyTerms | null;
  /** What it asks of the ticket's priority. */
  readonly targets: readonly PolicyTarget[];
  /** Those that come before it, each with the first condition that does not hold. */
  readonly passedOver: readonly { readonly policy: PolicyTerms; readonly condition: Condition }[];
}

/** Which policy would apply now, and why none before it (SLA-2). Throws `InvalidInput` (each thing with where), `NotFound`. */
export async function policyFor(db: Db, input: PolicyForInput): Promise<PolicyFor> {
  const facts = input.ticketId == null ? await described(db, input) : await ofTicket(db, input);
  if (typeof facts === 'string') return { why: facts, policy: null, targets: [], passedOver: [] };
  const policies = await readPolicies(db);
  const found = policies.findIndex(({ conditions }) => allHold(conditions, facts));
  const policy = policies[found] ?? null;
  const passedOver = (policy === null ? policies : policies.slice(0, found)).flatMap((one) => {
    const condition = one.conditions.find((asked) => !allHold([asked], facts));
    return condition === undefined ? [] : [{ policy: one, condition }];
  });
  return { why: policy === null ? 'NONE_MATCHES' : 'MATCHES', policy, targets: policy === null ? [] : targetsOf(policy.targets, facts.priority), passedOver };
}

/** Years that deadlines are told for: the arithmetic looks further ahead than it is asked. */
const YEARS = { first: 1970, last: 2200 } as const;

function shapeProblems(input: SlaPreviewInput): Problem[] {
  const problems: Problem[] = [];
  if (input.policyId == null && input.policy == null) problems.push({ path: 'policyId', message: 'name a policy, or give one as `policy`' });
  if (input.policyId != null && input.policy != null) problems.push({ path: 'policy', message: 'a policy is named already' });
  if (input.calendarId != null && input.calendar != null) problems.push({ path: 'calendar', message: 'a calendar is named already' });
  const year = input.at.getUTCFullYear();
  if (!(year >= YEARS.first && year <= YEARS.last)) problems.push({ path: 'at', message: `must lie between ${YEARS.first} and ${YEARS.last}` });
  return problems;
}

function under(path: string, problems: readonly Problem[]): Problem[] {
  return problems.map((one) => ({ ...one, path: `${path}.${one.path}` }));
}

async function policyTerms(tx: Tx, policyId: string): Promise<PolicyTerms> {
  const row = await tx.selectFrom('sla_policy').select('terms_id').where('id', '=', policyId).where('deleted_at', 'is', null).executeTakeFirst();
  const terms = row === undefined ? undefined : (await loadTerms(tx, [row.terms_id])).get(row.terms_id);
  if (terms === undefined) throw new NotFound('SLA policy', policyId);
  return terms;
}

async function calendarFor(tx: Tx, { calendar, calendarId }: SlaPreviewInput, policy: PolicyTerms | null): Promise<StoredCalendar> {
  if (calendar != null) return { kind: 'HOURS', ...calendar };
  if (calendarId == null) return policy?.calendar ?? { kind: 'ALWAYS' };
  const found = await readCalendar(tx, calendarId);
  if (found === null) throw new NotFound('calendar', calendarId);
  return found;
}

/** Goals that a calendar never comes to, as those of a saved policy by another calendar than its own. */
function notOffered(targets: readonly PolicyTarget[], goals: readonly ForetoldGoal[], input: SlaPreviewInput): readonly Problem[] {
  const path = input.calendar != null ? 'calendar' : input.calendarId != null ? 'calendarId' : 'policyId';
  return targetsOf(targets, input.priority ?? null).flatMap(({ kind }) =>
    goals.some((one) => one.kind === kind) ? [] : [{ path, message: `the goal of ${goalName(kind)} is longer than the calendar offers in twenty years` }],
  );
}

/** Of each goal the one that holds for a priority. */
function targetsOf(targets: readonly PolicyTarget[], priority: string | null): readonly PolicyTarget[] {
  const own = targets.filter((one) => one.priority === priority);
  return priority === null ? own : [...own, ...targets.filter((one) => one.priority === null && !own.some(({ kind }) => kind === one.kind))];
}

async function described(db: Db, { priority, pipelineId, teamId, source, properties }: PolicyForInput): Promise<TicketFacts> {
  const { rows } = await sql<{ kind: 'pipeline' | 'team'; id: string; place: number }>`
    select 'pipeline' as kind, id, position as place from pipeline union all select 'team', id, 0 from team where id::text = ${teamId ?? ''} order by place`.execute(
    db,
  );
  const pipelines = rows.filter(({ kind }) => kind === 'pipeline').map(({ id }) => id);
  const problems: Problem[] = [];
  if (pipelineId != null && !pipelines.includes(pipelineId)) problems.push({ path: 'pipelineId', message: 'there is no such pipeline' });
  if (teamId != null && !rows.some(({ kind }) => kind === 'team')) problems.push({ path: 'teamId', message: 'there is no such team' });
  if (problems.length > 0) throw new InvalidInput(problems);
  return {
    pipelineId: pipelineId ?? pipelines[0] ?? '',
    priority: priority ?? 'MEDIUM',
    properties: properties ?? {},
    teamId: teamId ?? null,
    ...(source == null ? {} : { source }),
  };
}

/** A code: why no policy can apply to it. */
async function ofTicket(db: Db, { ticketId, ...facts }: PolicyForInput): Promise<TicketFacts | Exclude<PolicyFor['why'], 'MATCHES'>> {
  const given = Object.entries(facts).flatMap(([path, value]) => (value == null ? [] : [{ path, message: 'a ticket has its own' }]));
  if (given.length > 0) throw new InvalidInput(given);
  const id = ticketId ?? '';
  const [found] = await readSlaTickets(db, [id]);
  if (found !== undefined) return found.facts;
  const row = await db
    .selectFrom('ticket')
    .leftJoin('conversation', 'conversation.id', 'ticket.conversation_id')
    .select('conversation.place')
    .where('ticket.id', '=', id)
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('ticket', id);
  if (row.place === null) return 'NO_CONVERSATION';
  return row.place === 'HELP_DESK' ? 'NONE_MATCHES' : 'NOT_IN_HELP_DESK';
}
