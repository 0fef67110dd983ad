import type { Db } from '#db/database.ts';
import type { RuleKind, RuleMethod } from '#db/schema.ts';
import type { Explanation } from '#domain/routing.ts';
import { inbound, makeChannel, take, type MadeChannel, type TestChannel } from '../support/fixtures.ts';

export interface TestRule {
  readonly kind?: RuleKind;
  readonly method?: RuleMethod;
  readonly availableOnly?: boolean;
  readonly users?: readonly string[];
  readonly teams?: readonly string[];
  readonly defaultUser?: string;
}

/** A rule written straight into the rows; least busy of those it names, unless it says otherwise. */
export async function makeRule(db: Db, rule: TestRule): Promise<string> {
  const kind = rule.kind ?? 'SPECIFIC';
  const { id } = await db
    .insertInto('routing_rule')
    .values({
      kind,
      method: kind === 'SPECIFIC' ? (rule.method ?? 'LEAST_BUSY') : null,
      available_only: rule.availableOnly ?? true,
      default_user_id: rule.defaultUser ?? null,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  for (const userId of rule.users ?? []) await db.insertInto('routing_rule_target').values({ rule_id: id, user_id: userId }).execute();
  for (const teamId of rule.teams ?? []) await db.insertInto('routing_rule_target').values({ rule_id: id, team_id: teamId }).execute();
  return id;
}

/** A channel with that rule. */
export async function ruled(db: Db, rule: TestRule, options: Omit<TestChannel, 'rule'> = {}): Promise<MadeChannel> {
  const channel = await makeChannel(db, options);
  const ruleId = await makeRule(db, rule);
  await db.updateTable('channel').set({ routing_rule_id: ruleId }).where('id', '=', channel.id).execute();
  return { ...channel, ruleId };
}

/** So many new conversations of a channel, each with an open decision; in the order in which they came. */
export async function arriving(db: Db, channel: MadeChannel, count: number): Promise<string[]> {
  const before = new Set((await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).execute()).map(({ id }) => id));
  for (let done = 0; done < count; done += 50) {
    await take(
      db,
      channel,
      Array.from({ length: Math.min(50, count - done) }, (_, index) => inbound(`s${done + index}@out.example`)),
    );
  }
  const rows = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).orderBy('id').execute();
  return rows.map(({ id }) => id).filter((id) => !before.has(id));
}

/** Makes so many open conversations somebody's, without a decision. */
export async function load(db: Db, userId: string, count: number): Promise<void> {
  const channel = await makeChannel(db, { place: 'INBOX' });
  const ids = await arriving(db, channel, count);
  if (ids.length > 0) await db.updateTable('conversation').set({ owner_id: userId, route_pending_since: null }).where('id', 'in', ids).execute();
}

/** Does all of it, so many at the same time as there are connections: who waits for one longer is refused. */
export async function atOnce(tasks: readonly (() => Promise<unknown>)[], callers = 24): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) await task();
    }),
  );
}

export interface DecisionRow {
  readonly conversationId: string | null;
  readonly chosen: string | null;
  readonly explanation: Explanation;
}

/** What was decided on these conversations, in the order of the decisions. */
export async function decisions(db: Db, conversationIds: readonly string[]): Promise<DecisionRow[]> {
  const rows = await db
    .selectFrom('routing_decision')
    .select(['conversation_id', 'chosen_user_id', 'explanation'])
    .where('conversation_id', 'in', conversationIds)
    .execute();
  return rows
    .map((row) => ({ conversationId: row.conversation_id, chosen: row.chosen_user_id, explanation: row.explanation as unknown as Explanation }))
    .toSorted((a, b) => (a.explanation.decidedAt < b.explanation.decidedAt ? -1 : 1));
}

/** Whether the chosen stands at the minimum of what the explanation itself lists, in the order of the rule (ROUTE-9). */
export function atTheMinimum({ chosen, explanation }: DecisionRow): boolean {
  const sign = explanation.recentlyAssignedFirst ? -1 : 1;
  const key = (one: Explanation['candidates'][number]): [number, number, number, string] => [
    one.open ?? Number.NaN,
    one.active === true ? 0 : 1,
    sign * (one.lastAssignedAt === null ? Number.MIN_SAFE_INTEGER : Date.parse(one.lastAssignedAt)),
    one.userId,
  ];
  const able = explanation.candidates.filter(({ outcome }) => outcome !== 'LEFT_OUT');
  const mine = able.find(({ userId }) => userId === chosen);
  if (mine === undefined) return able.length === 0 && chosen === null;
  return able.every((other) => other === mine || before(key(mine), key(other)));
}

function before(a: readonly (number | string)[], b: readonly (number | string)[]): boolean {
  const at = a.findIndex((value, index) => value !== b[index]);
  const [left, right] = [a[at], b[at]];
  return left !== undefined && right !== undefined && left < right;
}
