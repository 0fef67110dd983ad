import type { Plugin } from '@trunkline/channel-sdk';
import { builder } from '../builder.ts';
import { RuleMethodEnum } from './enums.ts';

export const PluginRef = builder.objectRef<Plugin>('Plugin');

builder.node(PluginRef, {
  description: 'The code that speaks one kind of channel.',
  id: { resolve: (plugin) => plugin.key },
  loadMany: async (ids, { deps }) => ids.map((id) => deps.plugins.find((plugin) => plugin.key === id) ?? null),
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Short and stable: “email”.' }),
    name: t.exposeString('name', { description: 'For people: “Email”.' }),
    capabilities: t.field({
      type: 'JSONObject',
      description: 'What it can do, as its contract says: identities, threading, inbound, outbound, limits (bytes, characters), windows (hours), routing.',
      resolve: (plugin) => plugin.capabilities,
    }),
    canSend: t.boolean({ description: 'Whether its conversations can be answered.', resolve: (plugin) => plugin.capabilities.outbound !== 'none' }),
    canStart: t.boolean({ description: 'Whether a conversation can be begun from our side.', resolve: (plugin) => plugin.capabilities.outbound === 'start' }),
    defaultRoutingMethod: t.field({
      type: RuleMethodEnum,
      description: 'The method of a rule that names none.',
      resolve: (plugin) => (plugin.capabilities.routing.defaultMethod === 'random' ? 'RANDOM' : 'LEAST_BUSY'),
    }),
    settingsSchema: t.field({
      type: 'JSONObject',
      nullable: true,
      description:
        'What its settings may be, as JSON Schema (draft 2020-12) of what is typed, so that a client can draw an editor; null: its schema offers none.',
      resolve: settingsSchemaOf,
    }),
    secretSettings: t.stringList({
      description: 'Which of its settings are secrets: stored encrypted, never returned.',
      resolve: (plugin) => [...plugin.secrets],
    }),
  }),
});

const schemas = new WeakMap<Plugin, object | null>();

/** By the schema library's own converter, where it has one (Standard JSON Schema). What it can not convert is null, never an error. */
function settingsSchemaOf(plugin: Plugin): object | null {
  const known = schemas.get(plugin);
  if (known !== undefined) return known;
  const made = convert(plugin.settings['~standard']);
  schemas.set(plugin, made);
  return made;
}

function convert(standard: object): object | null {
  const converter: unknown = Reflect.get(standard, 'jsonSchema');
  const input: unknown = typeof converter === 'object' && converter !== null ? Reflect.get(converter, 'input') : undefined;
  if (typeof input !== 'function') return null;
  try {
    const schema: unknown = Reflect.apply(input, converter, [{ target: 'draft-2020-12' }]);
    return typeof schema === 'object' ? schema : null;
  } catch {
    return null;
  }
}

builder.queryField('plugins', (t) =>
  t.field({
    type: [PluginRef],
    description: 'The plugins this deployment has, in the order of its configuration.',
    resolve: (_root, _args, { deps }) => [...deps.plugins],
  }),
);
