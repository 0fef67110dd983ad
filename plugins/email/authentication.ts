import type { Authentication, RawDelivery } from '@trunkline/channel-sdk';
import { addressParser, type Email } from 'postal-mime';
import { getDomain } from 'tldts';
import { canonicalAddress, domainOf } from './address.ts';
import { readAuthenticationResults, type CheckResult } from './authentication-results.ts';
import { CHECKED_HEADER, readChecked, type Checked } from './checked.ts';
import type { EmailSettings } from './settings.ts';

type Verdict = Authentication['verdict'];

/** They run most of the mailboxes that forward, judge what comes into them, and seal it with their verdict. */
const SEALERS = ['google.com', 'microsoft.com'];

/**
 * Whether the author is who they say they are (EMAIL-8). The first that can tell decides: the forwarding server that the settings name, the
 * last sealer of a valid ARC chain if the settings trust it, our own look at the door. Depends on its arguments alone.
 */
export function authenticationOf(raw: RawDelivery, email: Email, settings: EmailSettings): Authentication {
  const checked = readChecked(raw.headers[CHECKED_HEADER]);
  const author = authorDomain(email);
  const forwarder = checked === undefined ? [] : forwarderResults(email, checked, settings);
  const sealer = checked === undefined ? [] : sealerResults(checked, settings);
  const checks = { ...doorChecks(checked), ...named('forwarder', forwarder), ...named('sealer', sealer) };
  if (author === undefined) return { verdict: 'unknown', by: 'nobody', checks };
  const judges: readonly (readonly [string, Verdict])[] = [
    ['forwarder', judge(forwarder, author)],
    ['arc', judge(sealer, author)],
    ['direct', checked === undefined ? 'unknown' : judgeAtDoor(checked, author, isStraight(raw, email))],
  ];
  const [by, verdict] = judges.find(([, said]) => said !== 'unknown') ?? ['nobody', 'unknown'];
  return { verdict, by, checks };
}

/** The domain of the one mailbox in the one From; undefined where there is none, or several: then nobody can vouch for "the" author. */
function authorDomain(email: Email): string | undefined {
  const fields = email.headers.filter(({ key }) => key === 'from');
  const mailboxes = addressParser(fields[0]?.value ?? '', { flatten: true });
  const address = canonicalAddress(mailboxes[0]?.address ?? '');
  return fields.length === 1 && mailboxes.length === 1 && address !== undefined ? domainOf(address) : undefined;
}

/**
 * What the trusted server wrote: its topmost fields, up to the next `Received`, for one server may write one field a check. It takes out
 * what others wrote in its name, but only from mail that passes it. Whoever comes to us past it could write anything: so it counts only
 * where the client that handed the mail in has a name of the same domain, or is this machine.
 */
function forwarderResults(email: Email, checked: Checked, { trustedAuthenticator: name }: EmailSettings): readonly CheckResult[] {
  if (name === undefined || !(checked.local || (checked.client !== null && aligned(checked.client, name)))) return [];
  const found: CheckResult[] = [];
  let began = false;
  for (const { key, value } of email.headers) {
    if (began && key === 'received') break;
    if (key !== 'authentication-results') continue;
    const { server, results } = readAuthenticationResults(value);
    if (server !== name) continue;
    began = true;
    found.push(...results);
  }
  return found;
}

/** What the last sealer says it found. A seal is a signature, so it counts however the mail came; but anybody can seal, so only of those named. */
function sealerResults({ arc }: Checked, { trustedAuthenticator, trustedSealers = SEALERS }: EmailSettings): readonly CheckResult[] {
  const { sealer } = arc;
  if (arc.result !== 'pass' || sealer === null) return [];
  const trusted =
    trustedSealers.some((name) => sealer === name || sealer.endsWith(`.${name}`)) ||
    (trustedAuthenticator !== undefined && aligned(sealer, trustedAuthenticator));
  return trusted ? readAuthenticationResults(arc.says).results : [];
}

/** Another server's verdict: DMARC's; where it gave none, a pass of DKIM or SPF for the author's own domain. */
function judge(results: readonly CheckResult[], author: string): Verdict {
  const dmarc = results.filter(({ method, properties }) => method === 'dmarc' && sameDomain(properties['header.from'] ?? author, author));
  if (dmarc.some(({ result }) => result === 'fail')) return 'fail';
  if (dmarc.some(({ result }) => result === 'pass')) return 'pass';
  const vouched = results.some(({ method, result, properties }) => {
    const domain = method === 'dkim' ? (properties['header.d'] ?? properties['header.i']) : method === 'spf' ? properties['smtp.mailfrom'] : undefined;
    return result === 'pass' && domain !== undefined && aligned(domainOf(domain), author);
  });
  return vouched ? 'pass' : 'unknown';
}

/**
 * Our own verdict. A signature proves itself on any way. SPF does not: a forwarding server may be among those that the author's domain lets
 * send for it (everybody's large provider is), so a forged mail it passes on would pass here. A failure means something only where the mail
 * came straight to us: forwarding alone breaks SPF, and a changed subject line DKIM.
 */
function judgeAtDoor({ dkim, dmarc }: Checked, author: string, straight: boolean): Verdict {
  if (!sameDomain(dmarc.from ?? author, author)) return 'unknown';
  if (dmarc.result === 'pass' && dmarc.signed) return 'pass';
  if (dmarc.result === 'fail') return straight ? 'fail' : 'unknown';
  const signed = dkim.some(({ result, domain, whole }) => result === 'pass' && whole && aligned(domain, author));
  return dmarc.result === 'none' && signed ? 'pass' : 'unknown';
}

/** Whether it was written to the very address it came to: nobody need have forwarded it. */
function isStraight(raw: RawDelivery, email: Email): boolean {
  const written = [...(email.to ?? []), ...(email.cc ?? [])].flatMap((entry) => (entry.address === undefined ? entry.group : [entry]));
  const named = new Set(written.map(({ address }) => canonicalAddress(address)));
  return (raw.headers['rcpt-to'] ?? '').split(' ').some((recipient) => named.has(canonicalAddress(recipient) ?? ''));
}

function doorChecks(checked: Checked | undefined): Record<string, string> {
  if (checked === undefined) return {};
  const { spf, dkim, dmarc, arc } = checked;
  const best = dkim.find(({ result }) => result === 'pass') ?? dkim[0];
  return { spf: spf.result, dkim: best?.result ?? 'none', dmarc: dmarc.result, arc: arc.result };
}

/** `forwarder-dmarc: pass`, the first of each method. */
function named(who: string, results: readonly CheckResult[]): Record<string, string> {
  const shown = results.filter(({ method }) => ['spf', 'dkim', 'dmarc'].includes(method)).toReversed();
  return Object.fromEntries(shown.map(({ method, result }) => [`${who}-${method}`, result]));
}

function sameDomain(one: string, other: string): boolean {
  return canonicalAddress(`a@${one}`) === canonicalAddress(`a@${other}`);
}

/** Of one organisation (DMARC's relaxed alignment): the same domain below a public suffix. */
function aligned(one: string, other: string): boolean {
  const [first, second] = [one, other].map((name) => getDomain(name, { allowPrivateDomains: true }));
  return sameDomain(one, other) || (first != null && first === second);
}
