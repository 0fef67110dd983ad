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
    secretSettings: t.stringList({
      description: 'Which of its settings are secrets: stored encrypted, never returned.',
      resolve: (plugin) => [...plugin.secrets],
    }),
  }),
});

builder.queryField('plugins', (t) =>
  t.field({
    type: [PluginRef],
    description: 'The plugins this deployment has, in the order of its configuration.',
    resolve: (_root, _args, { deps }) => [...deps.plugins],
  }),
);
