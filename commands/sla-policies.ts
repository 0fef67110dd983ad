import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { lockSlaSettings } from '#db/locks.ts';
import { PRIORITIES, type Condition } from '#domain/conditions.ts';
import type { GoalKind } from '#domain/sla.ts';
import { calendarOf, policyProblems, SLA_LIMITS, type Crossing, type PolicyAction, type PolicyTarget, type StoredCalendar } from '#domain/sla-policy.ts';
import { nameProblems, readCalendar } from './calendars.ts';
import { AlreadyExists, ChangedMeanwhile, InvalidInput, NotFound, type Problem } from './refusals.ts';
import { ruleProblems, saveRule, type RuleInput } from './routing-rules.ts';
import { startIfWanted, type ApplyTo, type Started } from './sla-reevaluation.ts';
import { insertTerms, writeTerms } from './sla-terms.ts';
import { helpDeskId } from './subjects.ts';
import type { Unit } from './unit.ts';

/** What a policy has done at a moment of a goal: one of them (SLA-12). */
export interface ActionInput {
  readonly on: Crossing;
  /** Null: whichever goal it is. */
  readonly goal?: GoalKind | null;
  readonly setPriority?: string | null;
  readonly assign?: RuleInput | null;
  readonly notify?: { readonly userIds: readonly string[]; readonly teamIds: readonly string[] } | null;
  readonly webhookId?: string | null;
}

/** What it says: which tickets it is for and what it asks. */
export interface TermsInput {
  readonly conditions: readonly Condition[];
  readonly targets: readonly PolicyTarget[];
  readonly pauseStatusIds: readonly string[];
  readonly actions: readonly ActionInput[];
}

export interface PolicyInput extends TermsInput {
  /** None: a new one, the last in order. */
  readonly policyId?: string | null;
  /** Refused when somebody else changed it since that version. */
  readonly expectedVersion?: number | null;
  readonly name: string;
  /** None: all time counts. */
  readonly calendarId?: string | null;
}

/**
 * Saves a policy (SLA-1, SLA-2). It holds for new tickets, and if wanted for the open ones too, which are brought up to it in the background (SLA-10). Throws
 * `InvalidInput` (each thing with where), `NotFound`, `AlreadyExists`, `ChangedMeanwhile`, and for whom an action assigns to `Forbidden`, `NotAssignable`.
 */
export async function savePolicy(unit: Unit, input: PolicyInput, applyTo: ApplyTo): Promise<Started & { readonly policyId: string }> {
  const { tx } = unit;
  await lockSlaSettings(tx);
  const before = input.policyId == null ? undefined : await readRow(tx, input.policyId);
  if (before !== undefined && input.expectedVersion != null && input.expectedVersion !== before.version) throw new ChangedMeanwhile('SLA policy');
  const name = input.name.trim();
  const calendar: StoredCalendar | null = input.calendarId == null ? { kind: 'ALWAYS' } : await readCalendar(tx, input.calendarId);
  const problems = [
    ...nameProblems(name),
    ...(calendar === null ? [{ path: 'calendarId', message: 'there is no such calendar' }] : []),
    ...(await termsProblems(tx, input, calendar)),
  ];
  if (problems.length > 0 || calendar === null) throw new InvalidInput(problems);
  await requireFreeName(tx, name, before?.id ?? null);
  const { conditions, targets, pauseStatusIds } = input;
  const terms = { conditions, targets, pauseStatusIds: [...new Set(pauseStatusIds)], calendar, actions: await actionsOf(unit, input.actions) };
  const policyId = before?.id ?? (await insert(tx, { name, calendarId: input.calendarId ?? null, terms }));
  if (before !== undefined) {
    await tx
      .updateTable('sla_policy')
      .set({ name, calendar_id: input.calendarId ?? null })
      .where('id', '=', before.id)
      .execute();
    await writeTerms(tx, before, terms);
  }
  unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: before === undefined ? 'POLICY_MADE' : 'POLICY_EDITED', data: { policyId } });
  return { policyId, ...(await startIfWanted(unit, 'POLICY_SAVED', applyTo)) };
}

/** Takes a policy away. Tickets that go by it keep doing so, or are brought to the next that matches, if any (SLA-10). Throws `NotFound`. */
export async function deletePolicy(
  unit: Unit,
  { policyId }: { readonly policyId: string },
  applyTo: ApplyTo,
): Promise<Started & { readonly policyId: string }> {
  const { tx } = unit;
  await lockSlaSettings(tx);
  const { id } = await readRow(tx, policyId);
  await tx
    .updateTable('sla_policy')
    .set({ deleted_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute();
  unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: 'POLICY_REMOVED', data: { policyId: id } });
  return { policyId: id, ...(await startIfWanted(unit, 'POLICY_DELETED', applyTo)) };
}

/** Puts the policies in another order: all of them, each once. The first that matches a ticket applies (SLA-2). Throws `InvalidInput`. */
export async function orderPolicies(unit: Unit, { policyIds }: { readonly policyIds: readonly string[] }, applyTo: ApplyTo): Promise<Started> {
  const { tx } = unit;
  await lockSlaSettings(tx);
  const there = await tx.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).execute();
  const ids = new Set(there.map(({ id }) => id));
  const problems: Problem[] = policyIds.flatMap((id, at) => {
    if (!ids.has(id)) return [{ path: `policyIds.${at}`, message: 'there is no such policy' }];
    return policyIds.indexOf(id) < at ? [{ path: `policyIds.${at}`, message: 'is named twice' }] : [];
  });
  if (problems.length === 0 && policyIds.length < ids.size) problems.push({ path: 'policyIds', message: `must name all ${ids.size} policies` });
  if (problems.length > 0) throw new InvalidInput(problems);
  await sql`
    update sla_policy p set position = n.position from unnest(${[...policyIds]}::uuid[]) with ordinality as n (id, position) where n.id = p.id`.execute(tx);
  unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: 'POLICIES_ORDERED' });
  return startIfWanted(unit, 'POLICIES_ORDERED', applyTo);
}

/** Everything that is wrong with what a policy is to say. `calendar` null: it is wrong itself. */
export async function termsProblems(tx: Tx, input: TermsInput, calendar: StoredCalendar | null): Promise<readonly Problem[]> {
  const written = { ...input, actions: input.actions.map(({ on, goal }) => ({ on, goal: goal ?? null })) };
  return [
    ...policyProblems(written, calendar === null ? null : calendarOf(calendar)),
    ...(await unknownNames(tx, input)),
    ...(await wrongActions(tx, input.actions)),
  ];
}

async function readRow(tx: Tx, policyId: string) {
  const row = await tx
    .selectFrom('sla_policy')
    .selectAll()
    .where(sql<string>`id::text`, '=', policyId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('SLA policy', policyId);
  return row;
}

interface NewPolicy {
  readonly name: string;
  readonly calendarId: string | null;
  readonly terms: Parameters<typeof insertTerms>[2];
}

async function insert(tx: Tx, { name, calendarId, terms }: NewPolicy): Promise<string> {
  const { count, last } = await tx
    .selectFrom('sla_policy')
    .select((eb) => [eb.fn.countAll<number>().as('count'), eb.fn.max('position').as('last')])
    .where('deleted_at', 'is', null)
    .executeTakeFirstOrThrow();
  if (count >= SLA_LIMITS.policies) throw new InvalidInput([{ path: 'name', message: `at most ${SLA_LIMITS.policies} policies` }]);
  const policyId = newId();
  const termsId = await insertTerms(tx, policyId, terms);
  await tx
    .insertInto('sla_policy')
    .values({ id: policyId, name, position: (last ?? 0) + 1, calendar_id: calendarId, terms_id: termsId })
    .execute();
  return policyId;
}

async function requireFreeName(tx: Tx, name: string, own: string | null): Promise<void> {
  const taken = await tx
    .selectFrom('sla_policy')
    .select('id')
    .where(sql<boolean>`lower(name) = lower(${name})`)
    .where('deleted_at', 'is', null)
    .where(sql<boolean>`id is distinct from ${own}::uuid`)
    .executeTakeFirst();
  if (taken !== undefined) throw new AlreadyExists('SLA policy');
}

/** Pipelines, teams and statuses that a policy names and that there are not. */
async function unknownNames(tx: Tx, { conditions, pauseStatusIds }: TermsInput): Promise<readonly Problem[]> {
  const { rows } = await sql<{ kind: string; id: string }>`
    select 'pipeline' as kind, id from pipeline union all select 'team', id from team
    union all select case category when 'OPEN' then 'open' else 'closed' end, id from ticket_status`.execute(tx);
  const there = new Set(rows.map(({ kind, id }) => `${kind} ${id}`));
  const named = conditions.flatMap(({ property, values }, at) =>
    property !== 'pipeline' && property !== 'team'
      ? []
      : values.flatMap((id, place) =>
          there.has(`${property} ${id}`) ? [] : [{ path: `conditions.${at}.values.${place}`, message: `there is no such ${property}` }],
        ),
  );
  const statuses = pauseStatusIds.flatMap((id, at) => {
    if (there.has(`open ${id}`)) return [];
    return [
      { path: `pauseStatusIds.${at}`, message: there.has(`closed ${id}`) ? 'is a closed status: nothing counts in it anyway' : 'there is no such status' },
    ];
  });
  return [...named, ...statuses];
}

async function wrongActions(tx: Tx, actions: readonly ActionInput[]): Promise<readonly Problem[]> {
  const webhooks = new Set((await tx.selectFrom('webhook').select('id').where('deleted_at', 'is', null).execute()).map(({ id }) => id));
  const { rows } = await sql<{ id: string }>`select id from app_user where deactivated_at is null union all select id from team`.execute(tx);
  const people = new Set(rows.map(({ id }) => id));
  const problems: Problem[] = [];
  for (const [at, { setPriority, assign, notify, webhookId }] of actions.entries()) {
    const path = `actions.${at}`;
    const named = [setPriority, assign, notify, webhookId].filter((one) => one != null);
    if (named.length !== 1) problems.push({ path, message: 'name one thing to do: setPriority, assignRule, notify or webhookId' });
    if (setPriority != null && !PRIORITIES.includes(setPriority))
      problems.push({ path: `${path}.setPriority`, message: `must be one of ${PRIORITIES.join(', ')}` });
    if (webhookId != null && !webhooks.has(webhookId)) problems.push({ path: `${path}.webhookId`, message: 'there is no such webhook' });
    if (assign != null) {
      if (assign.kind !== 'SPECIFIC') problems.push({ path: `${path}.assignRule.kind`, message: 'must be SPECIFIC: a policy names whom it goes to' });
      problems.push(...(await ruleProblems(tx, assign, undefined, `${path}.assignRule`)));
    }
    if (notify == null) continue;
    const told = [...notify.userIds, ...notify.teamIds];
    if (told.length === 0) problems.push({ path: `${path}.notify`, message: 'name somebody' });
    if (told.length > SLA_LIMITS.told) problems.push({ path: `${path}.notify`, message: `at most ${SLA_LIMITS.told}` });
    for (const [kind, ids] of [
      ['userIds', notify.userIds],
      ['teamIds', notify.teamIds],
    ] as const) {
      problems.push(...ids.flatMap((id, place) => (people.has(id) ? [] : [{ path: `${path}.notify.${kind}.${place}`, message: 'is not there' }])));
    }
  }
  return problems;
}

/** As terms keep them: the rule of an action is a row of its own, like a channel's. */
async function actionsOf(unit: Unit, actions: readonly ActionInput[]): Promise<readonly PolicyAction[]> {
  const placeId = await helpDeskId(unit.tx);
  const written: PolicyAction[] = [];
  for (const { on, goal = null, setPriority, assign, notify, webhookId } of actions) {
    if (setPriority != null) written.push({ on, goal, act: { kind: 'SET_PRIORITY', priority: setPriority } });
    else if (assign != null) written.push({ on, goal, act: { kind: 'ASSIGN', ruleId: await saveRule(unit, assign, { placeId, plugin: undefined }) } });
    else if (notify != null) written.push({ on, goal, act: { kind: 'NOTIFY', userIds: [...new Set(notify.userIds)], teamIds: [...new Set(notify.teamIds)] } });
    else if (webhookId != null) written.push({ on, goal, act: { kind: 'WEBHOOK', webhookId } });
  }
  return written;
}
