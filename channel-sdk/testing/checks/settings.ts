import { channelOf, pathText } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { same } from '../compare.ts';
import { outcomeOf } from '../outcome.ts';
import { isRecord } from '../samples.ts';

const NO_SETTINGS: readonly unknown[] = [undefined, null, 0, 'text', [], [null], true];

/** What an admin types. */
export function settingsChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const schema = plugin.settings['~standard'];
  const issuesOf = async (what: string, typed: unknown): Promise<readonly string[] | undefined> => {
    const outcome = await outcomeOf(what, () => schema.validate(typed));
    if (outcome.failure !== undefined) return fail(`${what} threw`, 'return issues; a schema does not throw');
    return outcome.value.issues?.map(({ path }) => pathText(path));
  };
  return [
    {
      name: 'names every wrong setting by its path',
      rule: 'CH-3',
      async run() {
        for (const { name, settings, path } of samples.settings.invalid) {
          const paths = await issuesOf(`settings "${name}"`, settings);
          if (paths === undefined) fail(`settings "${name}" are taken`, 'refuse them with an issue');
          must(
            paths.includes(path),
            `settings "${name}": no issue at "${path}", but at: ${paths.join(', ') || 'none'}`,
            'give each issue the path of its field',
          );
          must(!paths.includes(''), `settings "${name}": an issue without a path`, 'give each issue the path of its field');
        }
        const { valid } = samples.settings;
        for (const name of isRecord(valid) ? Object.keys(valid) : []) {
          const paths = await issuesOf(`settings.${name}`, { ...(isRecord(valid) ? valid : {}), [name]: { 'no such thing': [null] } });
          const named = paths === undefined || paths.some((path) => path === name || path.startsWith(`${name}.`));
          must(named, `settings.${name} is refused without its path`, 'give each issue the path of its field');
        }
        for (const typed of NO_SETTINGS) {
          const paths = await issuesOf('settings that are none', typed);
          must(paths !== undefined, `${JSON.stringify(typed) ?? 'undefined'} is taken for settings`, 'refuse what is not an object of settings');
        }
      },
    },
    {
      name: 'gives the same settings when they are saved again',
      rule: 'CH-3',
      async run() {
        for (const which of ['valid', 'second'] as const) {
          const { settings } = await channelOf(subject, which);
          const again = await channelOf(subject, which, settings);
          must(
            same(settings, again.settings),
            `settings.${which} come out otherwise when put in again`,
            'normalise so that what comes out is taken and stays as it is',
          );
        }
      },
    },
  ];
}
