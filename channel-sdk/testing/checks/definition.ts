import { pluginProblems } from '../../index.ts';
import { channelOf } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { same } from '../compare.ts';
import { hasProvider, isRecord, PROVIDER_FAULTS } from '../samples.ts';

/** The plugin as a thing, and whether its samples are complete. */
export function definitionChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  return [
    {
      name: 'keeps the contract',
      rule: 'PLUG-2',
      async run() {
        const problems = pluginProblems(plugin);
        must(problems.length === 0, `the plugin does not keep the contract: ${problems.join('; ')}`, 'make it with definePlugin');
        const copy: unknown = JSON.parse(JSON.stringify(plugin.capabilities));
        must(same(copy, plugin.capabilities), 'capabilities are not plain JSON', 'leave out undefined, functions and dates');
      },
    },
    {
      name: 'leaves out no sample that a capability calls for',
      rule: 'PLUG-10',
      async run() {
        const missing = missingSamples(subject);
        must(missing.length === 0, `samples are missing:\n- ${missing.join('\n- ')}`, 'give them; what the plugin can do, the suite must be able to try');
      },
    },
    {
      name: 'takes deliveries as large as those of its samples',
      rule: 'PLUG-3',
      async run() {
        const channel = await channelOf(subject);
        const { maxDeliveryBytes } = plugin.capabilities;
        for (const { name, raw } of samples.deliveries) {
          const { length } = (await raw(0, channel)).body;
          must(length <= maxDeliveryBytes, `"${name}" has ${length} bytes, and maxDeliveryBytes is ${maxDeliveryBytes}`, 'declare what the provider may send');
        }
      },
    },
    {
      name: 'counts among its secrets what its settings call so',
      rule: 'CH-8',
      async run() {
        const { settings } = await channelOf(subject);
        const { open = {} } = samples.settings;
        const found = Object.entries(isRecord(settings) ? settings : {}).filter(([, value]) => typeof value === 'string' && value !== '');
        const bare = found.map(([name]) => name).filter((name) => soundsSecret(name) && !plugin.secrets.includes(name) && (open[name] ?? '').trim() === '');
        must(bare.length === 0, `not among the secrets: ${bare.join(', ')}`, 'name them in secrets; what is none goes into settings.open, with the reason');
      },
    },
    {
      name: 'tells channels apart by their address',
      rule: 'CH-2',
      async run() {
        const [one, again, two] = [await channelOf(subject), await channelOf(subject), await channelOf(subject, 'second')];
        must(typeof one.address === 'string' && one.address !== '', 'address gives no text', 'return the connected address in its canonical form');
        must(one.address === again.address, 'address gives another answer for the same settings', 'make it depend on the settings alone');
        must(one.address !== two.address, 'settings.valid and settings.second have one address', 'return what tells two channels of the plugin apart');
      },
    },
  ];
}

/** Words that name a secret at the end of a setting's name: `apiToken`, `smtp_password`. A key is one only by the word before it, for many are public. */
const SECRET_WORDS = new Set(['token', 'secret', 'password', 'passphrase']);
const SECRET_KEYS = new Set(['access', 'api', 'auth', 'encryption', 'private', 'secret', 'service', 'signing', 'webhook']);
const PUBLIC = new Set(['public', 'publishable', 'site']);

function soundsSecret(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  const [before = '', last = ''] = [words.at(-2), words.at(-1)];
  return SECRET_WORDS.has(last) ? !PUBLIC.has(before) : last === 'key' && (before === '' || SECRET_KEYS.has(before));
}

function missingSamples({ plugin, samples }: Subject): string[] {
  const { capabilities } = plugin;
  const missing: string[] = [];
  const need = (called: boolean, there: boolean, what: string) => {
    if (called && !there) missing.push(what);
  };
  const expected = samples.deliveries.flatMap((sample) => sample.gives(0));
  const lacks = samples.outbound?.lacks ?? {};
  for (const [where, list] of Object.entries({ 'outbound.lacks': lacks, 'connection.lacks': samples.connection?.lacks ?? {} })) {
    for (const [name, why] of Object.entries(list)) {
      if (why.trim() === '') fail(`${where}["${name}"] gives no reason`, 'say why this provider has no such fault');
      need(
        true,
        PROVIDER_FAULTS.some((fault) => fault === name),
        `${where}: "${name}" is no fault the suite knows`,
      );
    }
  }
  need(true, samples.settings.invalid.length > 0, 'settings.invalid: settings with a wrong field');
  const { valid } = samples.settings;
  for (const name of plugin.secrets) need(true, isRecord(valid) && valid[name] !== undefined, `settings.valid: a value for the secret "${name}"`);
  const inbound = capabilities.inbound.length > 0;
  need(
    inbound,
    expected.some(({ type, direction }) => (type === 'message' && direction !== 'echo') || (capabilities.callControl && type === 'call')),
    'deliveries: a message of a contact',
  );
  need(inbound, samples.missingFields.length > 0, 'missingFields: a delivery in which something is missing');
  for (const state of capabilities.receipts) {
    const told = expected.some((event) => (event.type === 'receipt' || event.type === 'watermark') && event['state'] === state);
    need(true, told, `deliveries: one whose expected events have a receipt "${state}" (capabilities.receipts)`);
  }
  need(
    // Of a live page's visitors the page itself tells.
    capabilities.typing && capabilities.live !== true,
    expected.some(({ type }) => type === 'typing'),
    'deliveries: one that says the contact is writing (capabilities.typing)',
  );
  for (const given of capabilities.consent === true ? [true, false] : []) {
    const told = expected.some((event) => event.type === 'consent' && event['given'] === given);
    need(true, told, `deliveries: one in which consent is ${given ? 'given' : 'refused'} (capabilities.consent)`);
  }
  need(
    capabilities.callControl,
    expected.some(({ type }) => type === 'call'),
    'deliveries: one that tells what became of a call (capabilities.callControl)',
  );
  need(
    capabilities.callControl,
    (samples.calls?.questions ?? []).length > 0,
    'calls: deliveries that ask what is to become of a call (capabilities.callControl)',
  );
  need(plugin.placeCall !== undefined, samples.calls?.call !== undefined, 'calls.call: whom to call back (placeCall)');
  need(plugin.sharedDoor !== undefined, samples.shared !== undefined, 'shared: a delivery to two channels (sharedDoor)');
  const carries = plugin.extractAttachments !== undefined || plugin.fetchAttachment !== undefined;
  need(
    carries,
    samples.deliveries.some(({ files }) => files !== undefined),
    'deliveries: one with files (extractAttachments, fetchAttachment)',
  );
  need(capabilities.inbound.includes('webhook'), samples.webhook !== undefined, 'webhook (capabilities.inbound has "webhook")');
  need(capabilities.inbound.includes('page'), samples.page !== undefined, 'page (capabilities.inbound has "page")');
  need(capabilities.live === true, samples.page?.live !== undefined, 'page.live: how a visitor comes, reads and writes (capabilities.live)');
  need(capabilities.inbound.includes('listener'), samples.listener !== undefined, 'listener (capabilities.inbound has "listener")');
  const { connect, update, disconnect, check, renew, catchUp, fetchAttachment, listTemplates, placeCall } = plugin;
  const connecting = [connect, update, disconnect, check, renew].some((one) => one !== undefined);
  need(connecting, samples.connection !== undefined, 'connection: what connecting does at the provider (connect, update, disconnect, check, renew)');
  const called = connecting || [catchUp, fetchAttachment, listTemplates, placeCall].some((one) => one !== undefined);
  need(called && capabilities.outbound === 'none', hasProvider(samples), 'provider: a stand-in for the provider (what is asked, where nothing is sent)');
  need(capabilities.outbound !== 'none', samples.outbound !== undefined, 'outbound: a stand-in for the provider (send)');
  if (samples.outbound === undefined) return missing;
  const ownPage = capabilities.live === true && !called;
  need(!ownPage, hasProvider(samples), 'outbound.provider: a stand-in for the provider');
  need(capabilities.quickReplies !== undefined, samples.outbound.choice !== undefined, 'outbound.choice: what a contact chooses (capabilities.quickReplies)');
  need(capabilities.templates, samples.outbound.template !== undefined, 'outbound.template (capabilities.templates)');
  need(plugin.reserve !== undefined, samples.outbound.answer !== undefined, 'outbound.answer: what a contact answers (reserve)');
  need(
    capabilities.windows.some(({ afterwards }) => afterwards === 'template'),
    samples.outbound.template !== undefined,
    'outbound.template (windows)',
  );
  return missing;
}
