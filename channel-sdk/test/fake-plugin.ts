import { CONTRACT_VERSION, type Capabilities, type PluginDefinition } from '../index.ts';

export const capabilities: Capabilities = {
  identities: ['visitor'],
  address: 'opaque',
  threading: 'participant',
  joinsParticipantsOnly: false,
  inbound: [],
  maxDeliveryBytes: 1_000,
  outbound: 'none',
  outboundContent: { maxTextLength: null, html: false, subject: false, attachments: null },
  receipts: [],
  windows: [],
  templates: false,
  typing: false,
  routing: { group: 'messaging', defaultMethod: 'least-busy' },
  sendRate: {},
  movable: { allowed: true },
  callControl: false,
};

/** The least there can be: nothing comes in, nothing goes out. */
export function definition(more: Partial<PluginDefinition> = {}, can: Partial<Capabilities> = {}): PluginDefinition {
  return {
    key: 'printer',
    name: 'Printer',
    contract: CONTRACT_VERSION,
    settings: { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } },
    secrets: [],
    capabilities: { ...capabilities, ...can },
    address: () => 'the printer',
    parse: async () => [],
    ...more,
  };
}
