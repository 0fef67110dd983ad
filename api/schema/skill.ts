import type { SkillRule } from '#domain/skills.ts';
import { builder, globalId } from '../builder.ts';
import type { SkillRuleRow } from '../rows.ts';
import { SkillOperatorEnum, SkillOtherwiseEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { SkillConnection, SkillRef } from './refs.ts';

type Condition = SkillRule['conditions'][number];

builder.node(SkillRef, {
  description: 'Something users can do and tickets may ask for. Any user sees all of them.',
  id: { resolve: (skill) => skill.id },
  loadOne: (id, { load }) => load.skill.load(id),
  fields: (t) => ({
    category: t.exposeString('category', { description: 'What kind of thing it is: “language”, “product”; in lower case.' }),
    name: t.exposeString('name', { description: 'What it is: “fr”, “lamps”; unique in its category.' }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: (skill) => skill.created_at }),
  }),
});

builder.queryField('skills', (t) =>
  t.connection(
    {
      type: SkillRef,
      description: 'The account’s skills, in the order they were made.',
      args: { category: t.arg.string({ description: 'Only those of this category.' }) },
      resolve: (_root, { category, ...args }, { load, db }) => {
        const query = db.selectFrom('skill').selectAll('skill').where('deleted_at', 'is', null);
        return load.page(args, ORDERS.skill, category == null ? query : query.where('category', '=', category.trim().toLowerCase()));
      },
    },
    SkillConnection,
  ),
);

const ConditionRef = builder.objectRef<Condition>('SkillCondition').implement({
  description: 'What must hold of a ticket.',
  fields: (t) => ({
    property: t.exposeString('property', { description: '“pipeline”, “priority”, or “properties.<name>” for a custom property.' }),
    operator: t.field({ type: SkillOperatorEnum, description: 'How it is compared.', resolve: (one) => one.operator }),
    values: t.stringList({ description: 'With what; of “pipeline” their ids.', resolve: ({ property, values }) => values.map((one) => shown(property, one)) }),
  }),
});

/** Which skills a ticket asks for, as a rule has them. */
export const SkillRuleRef = builder.objectRef<SkillRuleRow>('SkillRule').implement({
  description: 'Which skills a ticket asks for that meets all the conditions; of a routing rule the first that it meets counts.',
  fields: (t) => ({
    position: t.exposeInt('position', { description: 'Its place among the rule’s, from 1; explanations name it.' }),
    conditions: t.field({ type: [ConditionRef], description: 'All of them must hold.', resolve: (rule) => rule.conditions }),
    skills: t.field({
      type: [SkillRef],
      description: 'Only who has all of them can get it.',
      resolve: async (rule, _args, { load }) => {
        const skills = await Promise.all(rule.required.map((id) => load.skill.load(id)));
        return skills.filter((skill) => skill !== null);
      },
    }),
    otherwise: t.field({ type: SkillOtherwiseEnum, description: 'What becomes of it when nobody who has them is free.', resolve: (rule) => rule.otherwise }),
  }),
});

const ConditionInputRef = builder.inputType('SkillConditionInput', {
  description: 'What must hold of a ticket.',
  fields: (t) => ({
    property: t.string({ required: true, description: '“pipeline”, “priority”, or “properties.<name>” for a custom property.' }),
    operator: t.field({ type: SkillOperatorEnum, required: true, description: 'How it is compared; “pipeline” and “priority” have IS and IN.' }),
    values: t.stringList({ required: true, description: 'With what: one for IS and CONTAINS. Of “pipeline” ids, of “priority” LOW, MEDIUM, HIGH, URGENT.' }),
  }),
});

/** As an admin writes it; its place is that in the list. */
export const SkillRuleInputRef = builder.inputType('SkillRuleInput', {
  description: 'Which skills a ticket asks for that meets all the conditions.',
  fields: (t) => ({
    conditions: t.field({ type: [ConditionInputRef], required: true, description: 'All of them must hold; at least one.' }),
    skillIds: t.globalIDList({ for: [SkillRef], required: true, description: 'Only who has all of them can get it; at least one.' }),
    otherwise: t.field({ type: SkillOtherwiseEnum, required: true, description: 'What becomes of it when nobody who has them is free.' }),
  }),
});

/** As the commands take it. */
export function skillRuleOf({ conditions, skillIds, otherwise }: typeof SkillRuleInputRef.$inferInput) {
  return {
    conditions: conditions.map(({ property, operator, values }) => ({ property, operator, values: values.map((one) => meant(property, one)) })),
    skillIds: skillIds.flatMap((one) => (one == null ? [] : [one.id])),
    otherwise,
  };
}

const PIPELINE = 'Pipeline';

function shown(property: string, value: string): string {
  return property === 'pipeline' ? globalId(PIPELINE, value) : value;
}

/** What is no id of a pipeline is refused by name, like any pipeline there is not. */
function meant(property: string, value: string): string {
  if (property !== 'pipeline') return value;
  const [type, id] = Buffer.from(value, 'base64').toString('utf8').split(':');
  return type === PIPELINE && id !== undefined ? id.toLowerCase() : value;
}
