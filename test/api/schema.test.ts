import { readFileSync } from 'node:fs';
import {
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
  type GraphQLNamedType,
} from 'graphql';
import { expect, test } from 'vitest';
import { printedSchema, schema } from '#api/schema/index.ts';

const types: GraphQLNamedType[] = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith('__'));

test('the schema in the repository is the one the code makes [API-9]', () => {
  const kept = readFileSync(new URL('../../api/schema.graphql', import.meta.url), 'utf8');
  expect(kept, 'run npm run schema').toBe(printedSchema());
});

test('every type, field, argument, input field and enum value has a description [API-2]', () => {
  const missing: string[] = [];
  const need = (where: string, description: string | null | undefined) => {
    if (description == null || description.trim() === '') missing.push(where);
  };
  for (const type of types) {
    need(type.name, type.description);
    if (isObjectType(type) || isInterfaceType(type)) {
      for (const field of Object.values(type.getFields())) {
        need(`${type.name}.${field.name}`, field.description);
        for (const argument of field.args) need(`${type.name}.${field.name}(${argument.name}:)`, argument.description);
      }
    }
    if (isInputObjectType(type)) for (const field of Object.values(type.getFields())) need(`${type.name}.${field.name}`, field.description);
    if (isEnumType(type)) for (const value of type.getValues()) need(`${type.name}.${value.name}`, value.description);
  }
  expect(missing).toEqual([]);
});

/** Lists that can not grow without bound; everything else that is listed is a connection. */
const SHORT_LISTS = new Set([
  'Authentication.checks',
  'User.teams',
  'User.signIns',
  'ApiToken.scopes',
  'Viewer.notificationsOff',
  'Viewer.notificationMailsOff',
  'ChannelPreview.parts',
  'HelpDesk.accessList',
  'Inbox.accessList',
  'Place.accessList',
  'Pipeline.statuses',
  'Plugin.secretSettings',
  'Channel.unassignedNoticeUsers',
  'Contact.identities',
  'Conversation.givenAddresses',
  'Conversation.replyChannels',
  'Message.participants',
  'Message.attachments',
  'Message.fields',
  'FormSubmission.fields',
  'RoutingRule.users',
  'RoutingRule.teams',
  'RoutingRule.targets',
  'RoutingRule.skillRules',
  'SkillRule.conditions',
  'SkillRule.skills',
  'SkillCondition.values',
  'User.skills',
  'RoutingDecision.candidates',
  'RoutingPreview.candidates',
  // One for each reason there is; two at most; as many skills as one rule may ask for.
  'RoutingDecision.leftOut',
  'RoutingPreview.leftOut',
  'RoutingCandidate.limits',
  'RoutingCandidate.missingSkills',
  'FeedPage.items',
  // At most a hundred at once, by the line they stand on.
  'TicketImport.badLines',
  'TicketImportBadLine.problems',
  'TicketImportPreview.columns',
  'TicketImportPreview.lines',
  'TicketImportPreviewLine.problems',
  // A plugin's own fixed phrases; what one provider lets be sent.
  'Channel.migrationProblems',
  'ChannelTemplates.items',
  // At most as many as docs/limits.md says; of one definition as it is typed.
  'Channel.chatflows',
  'ChatflowCheck.problems',
  'InvalidInput.problems',
  // Of one user, at most as many as docs/limits.md says.
  'User.workingHours',
  'User.outOfOffice',
  // At most as many as docs/limits.md says; of a preview as many as are asked for.
  'BusinessCalendar.periods',
  'BusinessCalendar.holidays',
  'BusinessCalendar.policies',
  'SlaPolicy.conditions',
  'SlaPolicy.targets',
  'SlaPolicy.pauseStatuses',
  'SlaPolicy.actions',
  'SlaCondition.values',
  'SlaAction.notifyUsers',
  'SlaAction.notifyTeams',
  'OrderedSlaPolicies.policies',
  'SlaPolicyFor.targets',
  'SlaPolicyFor.passedOver',
  'SlaPreview.goals',
  'SlaPreviewGoal.days',
  'SlaPreviewDay.stretches',
  // At most as many as docs/limits.md says; of each group one a goal.
  'Ticket.slaGoals',
  'SlaReport.lines',
  'FilesRefused.files',
  // One at a time is there; where one is shown.
  'Query.notices',
  'Notices.notices',
  'MigrationNotice.surfaces',
  // Of one channel’s chatflows, of each its hand-offs and whom they name.
  'ChannelNotMovable.obstacles',
  'PreflightEligibility.obstacles',
  // As many as are asked for, and how many there are; one of each kind there is; four weeks of hours.
  'PreflightOwners.owners',
  'PreflightAgents.users',
  'PreflightRouting.lacks',
  'ChannelMigrationPreflight.irreversible',
  'ChannelMigrationPreflight.samples',
  'PreflightVolume.hours',
  // The account’s channels.
  'ChannelMigrationPreflight.alsoMove',
  'NotAssignable.targets',
  'Query.nodes',
  'Query.plugins',
]);

test('a list that can grow is a Relay connection, and every connection is one [API-2]', () => {
  const lists: string[] = [];
  for (const type of types) {
    if (!isObjectType(type) && !isInterfaceType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      const named = getNamedType(field.type);
      if (isListType(getNullableType(field.type)) && !named.name.endsWith('Edge') && !SHORT_LISTS.has(`${type.name}.${field.name}`))
        lists.push(`${type.name}.${field.name}`);
      if (named.name.endsWith('Connection')) {
        expect(isNonNullType(field.type), `${type.name}.${field.name}`).toBe(true);
        expect(field.args.map((argument) => argument.name)).toEqual(expect.arrayContaining(['first', 'after', 'last', 'before']));
      }
    }
    if (type.name.endsWith('Connection') && isObjectType(type)) {
      const fields = type.getFields();
      expect(fields['pageInfo'], type.name).toBeDefined();
      expect(fields['edges'], type.name).toBeDefined();
    }
    if (type.name.endsWith('Edge') && isObjectType(type)) expect(Object.keys(type.getFields()).toSorted()).toEqual(['cursor', 'node']);
  }
  expect(lists).toEqual([]);
});

test('what has an id is a node, and its id is a global one [API-2]', () => {
  for (const type of types) {
    if (!isObjectType(type)) continue;
    const id = type.getFields()['id'];
    if (id === undefined) continue;
    expect(
      type.getInterfaces().map((one) => one.name),
      type.name,
    ).toContain('Node');
    expect(String(id.type), type.name).toBe('ID!');
  }
});

test('every mutation takes one input with an optional idempotency key and answers with a union of the thing and its refusals [API-2] [API-4]', () => {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    expect(
      field.args.map((argument) => argument.name),
      field.name,
    ).toEqual(['input']);
    const input = getNamedType(field.args[0]?.type ?? field.type);
    expect(isInputObjectType(input) && String(input.getFields()['idempotencyKey']?.type), field.name).toBe('String');
    const result = getNamedType(field.type);
    if (!isUnionType(result)) throw new Error(`${field.name} answers with no union`);
    const refusals = result.getTypes().filter((type) => type.getInterfaces().some((one) => one.name === 'Refusal'));
    expect(result.getTypes().length - refusals.length, field.name).toBe(1);
    expect(refusals.map((type) => type.name)).toEqual(expect.arrayContaining(['NotFound', 'Forbidden', 'InvalidInput', 'IdempotencyKeyReused']));
  }
});

test('names are as the specification has them: types and enum values capitalised, fields in camel case [API-2]', () => {
  for (const type of types) {
    expect(type.name).toMatch(/^[A-Z][A-Za-z0-9]*$/);
    if (isEnumType(type)) for (const value of type.getValues()) expect(value.name).toMatch(/^[A-Z][A-Z0-9_]*$/);
    if (isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)) {
      for (const name of Object.keys(type.getFields())) expect(name, type.name).toMatch(/^[a-z][A-Za-z0-9]*$/);
    }
  }
});
