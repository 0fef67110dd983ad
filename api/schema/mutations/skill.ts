import { setCapacity } from '#commands/capacity.ts';
import { AlreadyExists, NotPossible } from '#commands/refusals.ts';
import { deleteSkill, saveSkill, setUserSkills } from '#commands/skills.ts';
import { builder, globalId } from '../../builder.ts';
import type { ApiContext } from '../../context.ts';
import { mutation } from '../mutation.ts';
import { SkillRef, UserRef } from '../refs.ts';

const user = ({ userId }: { readonly userId: string }, { load }: ApiContext) => load.user.load(userId);

mutation('saveSkill', {
  description: 'Makes a skill, or names one anew: who has it keeps it.',
  type: SkillRef,
  refusals: [AlreadyExists],
  input: (t) => ({
    skillId: t.globalID({ for: [SkillRef], description: 'Which one; none: a new one.' }),
    category: t.string({ required: true, description: 'What kind of thing it is: “language”, “product”; up to 40 letters, digits and hyphens.' }),
    name: t.string({ required: true, description: 'What it is: “fr”, “lamps”; up to 80 characters, unique in its category without regard to case.' }),
  }),
  work: ({ skillId, category, name }, { unit }) => saveSkill(unit, { skillId: skillId?.id ?? null, category, name }),
  read: ({ skillId }, { load }) => load.skill.load(skillId),
});

const RemovedSkillRef = builder.objectRef<{ readonly skillId: string }>('RemovedSkill').implement({
  description: 'A skill that is no more.',
  fields: (t) => ({ removedId: t.id({ description: 'The global id it had.', resolve: ({ skillId }) => globalId('Skill', skillId) }) }),
});

mutation('deleteSkill', {
  description: 'Takes a skill away from everybody and off the list; one that the rule of a connected channel asks for stays.',
  type: RemovedSkillRef,
  refusals: [NotPossible],
  input: (t) => ({ skillId: t.globalID({ for: [SkillRef], required: true, description: 'Which one.' }) }),
  work: ({ skillId }, { unit }) => deleteSkill(unit, { skillId: skillId.id }),
  read: async (answer) => answer,
});

mutation('setUserSkills', {
  description: 'Replaces the skills a user has.',
  type: UserRef,
  input: (t) => ({
    userId: t.globalID({ for: [UserRef], required: true, description: 'Which user.' }),
    skillIds: t.globalIDList({ for: [SkillRef], required: true, description: 'All the skills they have.' }),
  }),
  work: async ({ userId, skillIds }, { unit }) => {
    await setUserSkills(unit, { userId: userId.id, skillIds: skillIds.flatMap((one) => (one == null ? [] : [one.id])) });
    return { userId: userId.id };
  },
  read: user,
});

mutation('setCapacity', {
  description:
    'Sets how many open tickets a user may own before no automatic decision gives them another. Nothing is taken from them, and people may give them more. What is left out stays; null takes a limit away.',
  type: UserRef,
  input: (t) => ({
    userId: t.globalID({ for: [UserRef], required: true, description: 'Which user.' }),
    total: t.int({ description: 'Open tickets in all.' }),
    voice: t.int({ description: 'Open tickets of channels of the group voice.' }),
    messaging: t.int({ description: 'Open tickets of channels of the group messaging.' }),
    written: t.int({ description: 'Open tickets of channels of the group written.' }),
  }),
  work: async ({ userId, total, voice, messaging, written }, { unit }) => {
    await setCapacity(unit, {
      userId: userId.id,
      ...(total === undefined ? {} : { total }),
      ...(voice === undefined ? {} : { voice }),
      ...(messaging === undefined ? {} : { messaging }),
      ...(written === undefined ? {} : { written }),
    });
    return { userId: userId.id };
  },
  read: user,
});
