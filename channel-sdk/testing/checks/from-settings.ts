import type { Author, ChannelInfo } from '../../index.ts';
import { channelOf } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { same } from '../compare.ts';
import { outcomeOf } from '../outcome.ts';
import { isRecord } from '../samples.ts';

export const HOSTILE = '"><script>alert(1)</script>';
const PAGE_URL = 'https://help.acme.example/pages/sample/sample-1';
const AUTHOR: Author = { fullName: `Ada ${HOSTILE}`, firstName: 'Ada', lastName: HOSTILE };

/** A function of the settings alone: how it is called, and what is wrong with what it gave. */
interface Told {
  readonly member: 'preview' | 'snippet' | 'transcripts' | 'replyChannel' | 'routingTargets' | 'migrationProblems';
  tell(settings: unknown): unknown;
  problem(value: unknown): string | undefined;
}

/** What the engine asks while an admin waits: of the settings alone, and never in vain. */
export function fromSettingsChecks(subject: Subject): ConformanceCheck[] {
  return toldBy(subject).map(({ member, tell, problem }): ConformanceCheck => ({
    name: `answers ${member} from the settings alone`,
    rule: 'PLUG-4',
    async run() {
      for (const channel of await channelsOf(subject)) {
        const before = JSON.stringify(channel.settings);
        const first = await quietly(member, () => tell(channel.settings));
        const second = await quietly(member, () => tell(channel.settings));
        must(same(first, second), `${member} gives another answer the second time`, 'make it depend on its arguments alone');
        must(JSON.stringify(channel.settings) === before, `${member} changes the settings`, 'change nothing');
        const wrong = problem(first);
        must(wrong === undefined, `${member}: ${wrong ?? ''}`, 'give what the contract says');
      }
    },
  }));
}

function toldBy({ plugin, samples }: Subject): readonly Told[] {
  const { preview, snippet, transcripts, replyChannel, routingTargets, migrationProblems, secrets } = plugin;
  const { valid } = samples.settings;
  const kept = secrets.flatMap((name) => (isRecord(valid) && typeof valid[name] === 'string' ? [valid[name]] : []));
  const found: Told[] = [];
  if (preview !== undefined) {
    found.push({
      member: 'preview',
      tell: (settings) => preview(settings, AUTHOR),
      problem(value) {
        if (!Array.isArray(value)) return 'is no list';
        for (const one of value) {
          if (!isRecord(one) || typeof one['label'] !== 'string' || typeof one['text'] !== 'string') return 'an entry has no label or no text';
          const { html } = one;
          if (html !== undefined && typeof html !== 'string') return 'an entry has HTML that is no text';
          if (html?.includes('<script') === true) return 'its HTML runs a script somebody has for a name';
        }
        return undefined;
      },
    });
  }
  if (snippet !== undefined) {
    found.push({
      member: 'snippet',
      tell: (settings) => snippet(settings, PAGE_URL),
      problem(value) {
        if (typeof value !== 'string' || !value.includes(PAGE_URL)) return 'does not lead to the page';
        if (value.includes(HOSTILE)) return 'runs what stands in the settings';
        return kept.some((secret) => value.includes(secret)) ? 'shows a secret to everybody' : undefined;
      },
    });
  }
  if (transcripts !== undefined) {
    found.push({
      member: 'transcripts',
      tell: transcripts,
      problem: (value) => (isRecord(value) && typeof value['onClose'] === 'boolean' && isTextOrNone(value['from']) ? undefined : 'lacks onClose'),
    });
  }
  if (replyChannel !== undefined)
    found.push({ member: 'replyChannel', tell: replyChannel, problem: (value) => (isTextOrNone(value) ? undefined : 'is no key of a channel') });
  if (routingTargets !== undefined) {
    found.push({
      member: 'routingTargets',
      tell: routingTargets,
      problem: (value) => (isRecord(value) && areTexts(value['userIds']) && areTexts(value['teamIds']) ? undefined : 'lacks the lists userIds and teamIds'),
    });
  }
  if (migrationProblems !== undefined) {
    found.push({
      member: 'migrationProblems',
      tell: migrationProblems,
      problem(value) {
        if (!areTexts(value)) return 'is no list of phrases';
        return value.some((phrase) => kept.some((secret) => phrase.includes(secret)) || phrase.includes(HOSTILE)) ? 'quotes the settings' : undefined;
      },
    });
  }
  return found;
}

/** The samples' channels, and the first with something hostile in each setting that takes it. */
export async function channelsOf(subject: Subject): Promise<readonly ChannelInfo<unknown>[]> {
  const channels = [await channelOf(subject), await channelOf(subject, 'second')];
  const { valid } = subject.samples.settings;
  for (const name of isRecord(valid) ? Object.keys(valid) : []) {
    const typed = { ...(isRecord(valid) ? valid : {}), [name]: HOSTILE };
    const { value } = await outcomeOf('settings', async () => subject.plugin.settings['~standard'].validate(typed));
    if (value !== undefined && value.issues === undefined) channels.push(await channelOf(subject, 'valid', typed));
  }
  return channels;
}

/** Nobody may be asked, and nothing may be waited for. */
async function quietly(member: string, tell: () => unknown): Promise<unknown> {
  const { fetch } = globalThis;
  let asked = false;
  globalThis.fetch = () => {
    asked = true;
    return Promise.reject(new TypeError('nobody may be asked here'));
  };
  try {
    const { value } = await outcomeOf(member, () => {
      const told = tell();
      return told instanceof Promise ? fail(`${member} gives a promise`, 'answer at once') : told;
    });
    must(!asked, `${member} asks somebody`, 'make it depend on its arguments alone');
    return value;
  } finally {
    globalThis.fetch = fetch;
  }
}

function isTextOrNone(value: unknown): boolean {
  return value === undefined || (typeof value === 'string' && value !== '');
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
