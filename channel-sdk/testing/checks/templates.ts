import type { Template } from '../../index.ts';
import { providerContext } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { same } from '../compare.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import { isRecord } from '../samples.ts';
import { mustHaveTaken, shownBy, withProvider } from './with-provider.ts';

/** Texts the provider has approved. */
export function templateChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { listTemplates, send } = plugin;
  const template = samples.outbound?.template;
  if (listTemplates === undefined || template === undefined) return [];
  const checks: ConformanceCheck[] = [
    {
      name: 'lists its templates as an agent can choose them',
      rule: 'WA-2',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          const listed = await valueOf('listTemplates', () => listTemplates(providerContext(channel, provider)));
          for (const [index, one] of listed.entries()) {
            const wrong = problemOf(one);
            must(wrong === undefined, `template ${index}: ${wrong ?? ''}`, 'give name, language, text, the number of parameters, and whether it is approved');
          }
          const keys = new Set(listed.map(({ name, language }) => `${name}\n${language}`));
          must(keys.size === listed.length, 'two templates share name and language', 'list each once');
          const found = listed.find(({ name, language }) => name === template.name && language === template.language);
          if (found === undefined) return fail('outbound.template is not listed', 'give every page of what the provider lists');
          must(found.approved, 'outbound.template is not listed as approved', "read the provider's own state of it");
          const wanted = template.parameters.length;
          must(found.parameters === wanted, `outbound.template is listed with ${found.parameters} parameters, not ${wanted}`, 'count those of its text');
        }),
    },
  ];
  if (send === undefined || samples.outbound === undefined) return checks;
  const { outbound } = samples;
  checks.push({
    name: 'sends a template by its name, language and parameters',
    rule: 'WA-2',
    run: () =>
      withProvider(subject, 'valid', async (provider, channel) => {
        const told = { ...template, parameters: template.parameters.map((_, index) => `"${index}" <&> {{9}}`) };
        await valueOf('send of a template', () => send({ ...outbound.message(0), template: told }, providerContext(channel, provider)));
        mustHaveTaken(provider, 1, 'the template did not go out', 'send it');
        const given = shownBy(provider, 'last', 'where templates is true')()?.template;
        must(
          same(given, told),
          'the provider got another template, or other parameters',
          'hand over name, language and parameters as they are, in their order',
        );
        const unknown = { ...outbound.message(1), template: { ...template, name: 'no-such-template' } };
        const outcome = await outcomeOf('send of a template nobody knows', () => send(unknown, providerContext(channel, provider)));
        must(outcome.failure?.code === 'Rejected', `a template nobody knows: ${outcome.failure?.code ?? 'a receipt'}, not Rejected`, 'throw Rejected');
      }),
  });
  return checks;
}

function problemOf(template: Template): string | undefined {
  if (!isRecord(template)) return 'is none';
  const { name, language, text, parameters, approved } = template;
  for (const [field, value] of Object.entries({ name, language, text })) if (typeof value !== 'string' || value === '') return `${field} is missing`;
  if (!Number.isInteger(parameters) || parameters < 0) return 'parameters is no number of them';
  return typeof approved === 'boolean' ? undefined : 'approved is missing';
}
