import { Resolver } from 'node:dns/promises';

/** Milliseconds one question may take, its second try included. */
const TIMEOUT_MS = 3_000;
/** Milliseconds an answer is kept, a refusal too: a burst of mail from one domain asks once. */
const KEPT_MS = 5 * 60_000;
/** Answers kept at most; the oldest go first. */
const MOST_KEPT = 5_000;

/** Asks DNS; rejects like `dns.promises.resolve`. */
export type ResolveDns = (name: string, type: string) => Promise<readonly unknown[]>;

/** Stands in where nobody is asked: there is no such name. */
export const noDns: ResolveDns = (name) => Promise.reject(Object.assign(new Error(`there is no DNS here, ${name} was not asked for`), { code: 'ENOTFOUND' }));

/** `servers`: addresses in place of the machine's own, `host` or `host:port`. */
export function createDns(servers: readonly string[] = []): ResolveDns {
  const resolver = new Resolver({ timeout: TIMEOUT_MS / 2, tries: 2 });
  if (servers.length > 0) resolver.setServers([...servers]);
  const kept = new Map<string, { readonly until: number; readonly answer: Promise<readonly unknown[]> }>();
  return (name, type) => {
    const question = `${type} ${name.toLowerCase()}`;
    const known = kept.get(question);
    if (known !== undefined && known.until > Date.now()) return known.answer;
    const answer = resolver.resolve(name, type).then((found) => (Array.isArray(found) ? found : [found]));
    answer.catch((error: unknown) => {
      // That there is no such name is an answer; that nobody answered is not.
      if (!isAnswer(error) && kept.get(question)?.answer === answer) kept.delete(question);
    });
    kept.delete(question);
    kept.set(question, { until: Date.now() + KEPT_MS, answer });
    for (const oldest of kept.keys()) {
      if (kept.size <= MOST_KEPT) break;
      kept.delete(oldest);
    }
    return answer;
  };
}

function isAnswer(error: unknown): boolean {
  return error instanceof Error && ['ENOTFOUND', 'ENODATA'].includes(String(Reflect.get(error, 'code')));
}
