import { parentPort } from 'node:worker_threads';
import { authenticate, type AuthenticateResult } from 'mailauth';
import { nothing, type CheckAnswer, type CheckRequest, type Found } from './check-messages.ts';

/** More signatures or characters than anybody looks at. */
const MOST_SIGNATURES = 20;
const LONGEST_RESULTS = 8_000;

const asked = new Map<number, PromiseWithResolvers<string[][]>>();
let lastQuestion = 0;

/** A checking thread: it has no network of its own. It may take long or crash on what somebody sent; it is ended then, and the mail is taken in all the same. */
parentPort?.on('message', (request: CheckRequest) => {
  if (request.type === 'answer') settle(request);
  else {
    // What the library can not take apart it never will.
    const found = check(request).catch(() => nothing('permerror'));
    void found.then((one) => say({ type: 'found', job: request.job, found: one }));
  }
});

say({ type: 'ready' });

async function check({ job, mail, handover: { ip, helo, sender } }: Extract<CheckRequest, { type: 'check' }>): Promise<Found> {
  const result = await authenticate(Buffer.from(mail.buffer, mail.byteOffset, mail.byteLength), {
    ip,
    helo,
    sender,
    // The name in headers that nobody reads; without it the machine's own would be looked up.
    mta: 'trunkline',
    resolver: (name, rrtype) => ask(job, name, rrtype),
    // A broken hash vouches for nobody (RFC 8301).
    rejectRsaSha1: true,
    disableBimi: true,
  });
  return {
    spf: result.spf === false ? { result: 'none', domain: null } : { result: word(result.spf.status.result), domain: domain(result.spf.domain) },
    dkim: result.dkim.results.slice(0, MOST_SIGNATURES).flatMap(({ status, signingDomain }) => {
      const signer = domain(signingDomain);
      return signer === null ? [] : [{ result: word(status.result), domain: signer, whole: (status.underSized ?? 0) === 0 }];
    }),
    dmarc: dmarc(result.dmarc),
    arc: arc(result.arc),
  };
}

function dmarc(result: AuthenticateResult['dmarc']): Found['dmarc'] {
  if (result === false) return { result: 'none', from: null, signed: false };
  // Without a record there is no alignment, whatever the types say.
  const dkim = result.alignment?.dkim;
  const signed = dkim?.result !== undefined && (dkim.underSized ?? 0) === 0;
  return { result: word(result.status.result), from: domain(result.status.header?.from), signed };
}

function arc(result: AuthenticateResult['arc']): Found['arc'] {
  if (result === false) return { result: 'none', sealer: null, says: '' };
  const last = result.status.result === 'pass' ? result.chain?.at(-1) : undefined;
  const sealer: unknown = last?.['arc-seal']?.parsed?.['d']?.value;
  // As it stood when it was sealed; the mail could hold a second one of the same number.
  const line = String(last?.['arc-authentication-results']?.original ?? '');
  return { result: word(result.status.result), sealer: domain(sealer), says: line.slice(line.indexOf(':') + 1, LONGEST_RESULTS).toWellFormed() };
}

function word(result: unknown): string {
  return typeof result === 'string' && /^[a-z]{1,20}$/.test(result) ? result : 'permerror';
}

function domain(name: unknown): string | null {
  return typeof name === 'string' && name !== '' && name.length <= 255 ? name.toLowerCase().toWellFormed() : null;
}

function ask(job: number, name: string, rrtype: string): Promise<string[][]> {
  const answer = Promise.withResolvers<string[][]>();
  lastQuestion += 1;
  asked.set(lastQuestion, answer);
  say({ type: 'ask', job, question: lastQuestion, name, rrtype });
  return answer.promise;
}

function settle({ question, records, code }: Extract<CheckRequest, { type: 'answer' }>): void {
  const answer = asked.get(question);
  asked.delete(question);
  // Whatever kind of record was asked for: the library knows which.
  if (records === undefined) answer?.reject(Object.assign(new Error('DNS has no answer'), { code }));
  else answer?.resolve(records as string[][]);
}

function say(answer: CheckAnswer): void {
  parentPort?.postMessage(answer);
}
