import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { lockSkillNames } from '#db/locks.ts';
import { skillRuleProblems, type WrittenSkillRule } from '#domain/skills.ts';
import { AlreadyExists, InvalidInput, NotFound, NotPossible, type Problem } from './refusals.ts';
import { noteFreed } from './routing-retry.ts';
import type { Unit } from './unit.ts';

export interface SkillInput {
  /** None: a new one. */
  readonly skillId?: string | null;
  /** What kind of thing it is: `language`, `product`. */
  readonly category: string;
  /** `fr`, `lamps`; unique in its category without regard to case. */
  readonly name: string;
}

/** Makes a skill or names it anew; who has it keeps it, and rules that ask for it go on (ROUTE-11). Throws `InvalidInput`, `NotFound`, `AlreadyExists`. */
export async function saveSkill(unit: Unit, input: SkillInput): Promise<{ readonly skillId: string }> {
  const category = input.category.trim().toLowerCase();
  const name = input.name.trim();
  const problems: Problem[] = [];
  if (!/^[a-z][a-z0-9-]{0,39}$/.test(category)) problems.push({ path: 'category', message: 'up to 40 letters, digits and hyphens, a letter first' });
  if (name === '') problems.push({ path: 'name', message: 'must not be empty' });
  if (name.length > MOST_CHARACTERS) problems.push({ path: 'name', message: `at most ${MOST_CHARACTERS} characters` });
  if (problems.length > 0) throw new InvalidInput(problems);
  const { tx } = unit;
  await lockSkillNames(tx);
  const before = input.skillId == null ? undefined : await lockSkill(tx, input.skillId);
  if (before !== undefined && before.category === category && before.name === name) return { skillId: before.id };
  const taken = sql<boolean>`exists (select from skill o where o.category = ${category} and lower(o.name) = lower(${name}) and o.deleted_at is null
    and o.id is distinct from ${before?.id ?? null}::uuid)`;
  const saved =
    before === undefined
      ? await tx
          .insertInto('skill')
          .values({ category, name })
          .onConflict((conflict) => conflict.doNothing())
          .returning('id')
          .executeTakeFirst()
      : await tx
          .updateTable('skill')
          .set({ category, name })
          .where('id', '=', before.id)
          .where(sql<boolean>`not ${taken}`)
          .returning('id')
          .executeTakeFirst();
  if (saved === undefined) throw new AlreadyExists('skill');
  unit.record({ kind: 'SKILLS_CHANGED', why: before === undefined ? 'MADE' : 'EDITED', data: { skillId: saved.id } });
  return { skillId: saved.id };
}

/** Takes a skill away from everybody and off the list. One that a channel's rule asks for stays: nobody could get those tickets. Throws `NotFound`, `NotPossible`. */
export async function deleteSkill(unit: Unit, { skillId }: { readonly skillId: string }): Promise<{ readonly skillId: string }> {
  const { tx } = unit;
  const skill = await lockSkill(tx, skillId);
  const asking = await tx
    .selectFrom('skill_rule_skill')
    .innerJoin('skill_rule', 'skill_rule.id', 'skill_rule_skill.skill_rule_id')
    .innerJoin('channel', 'channel.routing_rule_id', 'skill_rule.rule_id')
    .select('channel.id')
    .where('skill_rule_skill.skill_id', '=', skill.id)
    .where('channel.disconnected_at', 'is', null)
    .limit(1)
    .executeTakeFirst();
  const escalating = await sql`
    select from sla_policy p join sla_terms t on t.id = p.terms_id cross join jsonb_array_elements(t.actions) a
      join skill_rule r on r.rule_id::text = a -> 'act' ->> 'ruleId' join skill_rule_skill k on k.skill_rule_id = r.id
    where p.deleted_at is null and k.skill_id = ${skill.id} limit 1`.execute(tx);
  if (asking !== undefined || escalating.rows.length > 0) throw new NotPossible('SKILL_IN_USE');
  await tx.deleteFrom('user_skill').where('skill_id', '=', skill.id).execute();
  await tx
    .updateTable('skill')
    .set({ deleted_at: sql<Date>`now()` })
    .where('id', '=', skill.id)
    .execute();
  unit.record({ kind: 'SKILLS_CHANGED', why: 'REMOVED', data: { skillId: skill.id } });
  return { skillId: skill.id };
}

/** Replaces the skills a user has. Throws `NotFound`, `InvalidInput` (every skill there is not, by its place in the list). */
export async function setUserSkills(unit: Unit, { userId, skillIds }: { readonly userId: string; readonly skillIds: readonly string[] }): Promise<void> {
  const { tx } = unit;
  const user = await tx
    .selectFrom('app_user')
    .select('id')
    .where(sql<string>`id::text`, '=', userId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (user === undefined) throw new NotFound('user', userId);
  const wanted = [...new Set(skillIds)];
  if (wanted.length > MOST_SKILLS) throw new InvalidInput([{ path: 'skillIds', message: `at most ${MOST_SKILLS}` }]);
  const there = await holdSkills(tx, wanted);
  const problems = wanted.flatMap((id) => (there.has(id) ? [] : [{ path: `skillIds.${skillIds.indexOf(id)}`, message: NO_SKILL }]));
  if (problems.length > 0) throw new InvalidInput(problems);
  const gone = await tx
    .deleteFrom('user_skill')
    .where('user_id', '=', user.id)
    .where(sql<boolean>`skill_id <> all(${wanted}::uuid[])`)
    .executeTakeFirst();
  const added = await tx
    .insertInto('user_skill')
    .columns(['user_id', 'skill_id'])
    .expression(sql`select ${user.id}::uuid, s.id from unnest(${wanted}::uuid[]) as s (id)`)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (gone.numDeletedRows > 0n || (added.numInsertedOrUpdatedRows ?? 0n) > 0n) unit.record({ kind: 'PEOPLE_CHANGED', userId: user.id, why: 'SKILLS' });
  if ((added.numInsertedOrUpdatedRows ?? 0n) > 0n) await noteFreed(unit, [user.id]);
}

/** Everything that is wrong with a rule's skill rules: how they are written, and skills and pipelines there are not. Holds the skills till the commit. */
export async function wrongSkillRules(tx: Tx, rules: readonly WrittenSkillRule[]): Promise<readonly Problem[]> {
  const problems: Problem[] = skillRuleProblems(rules).map(({ path, message }) => ({ path: path === '' ? PATH : `${PATH}.${path}`, message }));
  const skills = await holdSkills(
    tx,
    rules.flatMap(({ skillIds }) => skillIds),
  );
  const pipelines = new Set((await tx.selectFrom('pipeline').select('id').execute()).map(({ id }) => id));
  for (const [index, { conditions, skillIds }] of rules.entries()) {
    for (const [at, id] of skillIds.entries()) if (!skills.has(id)) problems.push({ path: `${PATH}.${index}.skillIds.${at}`, message: NO_SKILL });
    for (const [at, { property, values }] of conditions.entries()) {
      if (property !== 'pipeline') continue;
      for (const [place, id] of values.entries()) {
        if (!pipelines.has(id)) problems.push({ path: `${PATH}.${index}.conditions.${at}.values.${place}`, message: 'there is no such pipeline' });
      }
    }
  }
  return problems;
}

/** Writes checked skill rules, in their order. */
export async function insertSkillRules(tx: Tx, ruleId: string, rules: readonly WrittenSkillRule[]): Promise<void> {
  for (const [index, { conditions, skillIds, otherwise }] of rules.entries()) {
    const { id } = await tx
      .insertInto('skill_rule')
      .values({ rule_id: ruleId, position: index + 1, conditions: JSON.stringify(conditions), otherwise })
      .returning('id')
      .executeTakeFirstOrThrow();
    await tx
      .insertInto('skill_rule_skill')
      .values(skillIds.map((skillId) => ({ skill_rule_id: id, skill_id: skillId })))
      .execute();
  }
}

const MOST_CHARACTERS = 80;
/** Of one user. */
const MOST_SKILLS = 200;
const PATH = 'rule.skillRules';
const NO_SKILL = 'there is no such skill';

async function lockSkill(tx: Tx, skillId: string) {
  const skill = await tx
    .selectFrom('skill')
    .select(['id', 'category', 'name'])
    .where(sql<string>`id::text`, '=', skillId)
    .where('deleted_at', 'is', null)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (skill === undefined) throw new NotFound('skill', skillId);
  return skill;
}

/** Which of them there are; nobody deletes them before the commit. */
async function holdSkills(tx: Tx, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows = await tx
    .selectFrom('skill')
    .select('id')
    .where(sql<string>`id::text`, 'in', [...new Set(ids)])
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .forShare()
    .execute();
  return new Set(rows.map(({ id }) => id));
}
