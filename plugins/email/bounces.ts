import type { Email } from 'postal-mime';
import { canonicalAddress } from './address.ts';
import { attachmentBytes } from './attachments.ts';
import { messageIds } from './message-id.ts';
import { readHeaders } from './mime.ts';

/** What a report says of a mail that was not delivered, or is late. */
export interface Bounce {
  /** The Message-ID of the mail it is about. */
  readonly returnedId: string | undefined;
  /** Where answers to that mail would have gone: our token may be in it. */
  readonly replyTo: readonly string[];
  /** Why its main recipient will not get it: a status code, or a fixed phrase; undefined: it did not fail for that one, or not for good. */
  readonly failure: string | undefined;
}

/** What a report says of one recipient. */
interface Fate {
  readonly recipients: readonly string[];
  readonly failed: boolean;
  readonly status: string | undefined;
}

/** The headers of the mail that comes back. */
interface Returned {
  readonly id: string | undefined;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly replyTo: readonly string[];
}

const NOTHING: Returned = { id: undefined, to: [], cc: [], replyTo: [] };
const MOST_RECIPIENTS = 100;
const LONGEST_REPORT = 256 * 1024;
const LONGEST_HEADERS = 64 * 1024;

/** Senders of reports that are no `multipart/report`. */
const DAEMON = /^(?:mailer-?daemon|postmaster|maildaemon|mdaemon|mail-daemon)@/;
/** What qmail, Exim, old Exchange, sendmail and their kin begin such reports with. Only together with a daemon's address and an empty sender. */
const OLD_REPORT =
  /this is the qmail-send program|created automatically by mail delivery software|did not reach (?:some or all of )?the (?:intended )?recipient|the following addresses had (?:permanent|transient) |delivery to the following recipients? (?:has )?failed|could not be delivered to|undeliverable|unzustellbar|non remis/i;
const FOR_GOOD = /permanent error|permanent fatal errors|could not be delivered|did not reach|delivery to the following recipients? (?:has )?failed/i;
const RETURNED_BELOW =
  /^.{0,20}(?:below this line is a copy|this is a copy of|original message follows|returned message|unsent message|original headers|forwarded message).{0,80}$/im;

/** What a whole mail is that is a report, by its own Content-Type. */
const REPORT = /^\s*multipart\/report\s*;/;
const OF_DELIVERY = /;\s*report-type\s*=\s*"?(?:global-)?delivery-status"?\s*(?:;|$)/;

/**
 * The report in a mail; undefined: it is none. `nullSender`: it came from the empty sender, as reports do. A report that somebody put into a mail of
 * their own is a file of that mail: else anybody's mail were a bounce, and a customer's question about one were filtered (EMAIL-5, EMAIL-6).
 */
export async function bounceIn(email: Email, nullSender: boolean): Promise<Bounce | undefined> {
  const type = (email.headers.find(({ key }) => key === 'content-type')?.value ?? '').toLowerCase();
  const report = email.attachments.find(({ mimeType }) => mimeType === 'message/delivery-status' || mimeType === 'message/global-delivery-status');
  const whole = REPORT.test(type) && OF_DELIVERY.test(type);
  if (report !== undefined && (whole || nullSender)) return judge(fatesIn(decode(attachmentBytes(report))), await returnedIn(email));
  // Told to be one, but its machine part is lost.
  if (whole) return judge([], await returnedIn(email));
  return nullSender && DAEMON.test(canonicalAddress(email.from?.address ?? '') ?? '') ? oldBounce(email) : undefined;
}

/** The Message-ID of the mail that a read receipt is about. */
export function receiptFor(email: Email): string[] {
  const receipt = email.attachments.find(({ mimeType }) => mimeType === 'message/disposition-notification');
  const [fields] = receipt === undefined ? [] : fieldGroups(decode(attachmentBytes(receipt)));
  return messageIds(fields?.get('original-message-id')).slice(0, 1);
}

function judge(fates: readonly Fate[], returned: Returned): Bounce {
  const to = new Set(returned.to);
  // Whoever the server knows under another name, after a forward of the recipient's own, is still the one whom the mail was for.
  const only = to.size === 1 && returned.cc.length === 0 && fates.length === 1;
  const fate = fates.find(({ failed, recipients }) => failed && to.size > 0 && (only || recipients.some((one) => to.has(one))));
  return { returnedId: returned.id, replyTo: returned.replyTo, failure: fate === undefined ? undefined : (fate.status ?? 'delivery failed') };
}

/** What a delivery report (RFC 3464) says, one entry for each recipient. */
function fatesIn(report: string): Fate[] {
  return fieldGroups(report)
    .filter((fields) => fields.has('final-recipient') || fields.has('original-recipient'))
    .slice(0, MOST_RECIPIENTS)
    .map((fields) => {
      const status = statusIn(fields.get('status')) ?? statusIn(fields.get('diagnostic-code'));
      const action = (fields.get('action') ?? '').trim().toLowerCase();
      return {
        recipients: ['final-recipient', 'original-recipient'].flatMap((name) => canonicalAddress((fields.get(name) ?? '').replace(/^[^;]*;/, '')) ?? []),
        // A server that gives up says so whatever the code; one that only waits says "delayed".
        failed: action === '' ? (status ?? '').startsWith('5') : action.startsWith('failed'),
        status,
      };
    });
}

/** Groups of fields between empty lines, names in lower case, folded lines joined, the first of a name counts. */
function fieldGroups(text: string): Map<string, string>[] {
  const groups: Map<string, string>[] = [new Map()];
  let name = '';
  for (const line of text.slice(0, LONGEST_REPORT).split('\n')) {
    const group = groups.at(-1);
    if (group === undefined) break;
    if (line.trim() === '') {
      if (group.size > 0) groups.push(new Map());
      continue;
    }
    if (/^[ \t]/.test(line)) {
      if (name !== '') group.set(name, `${group.get(name) ?? ''} ${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(':');
    name = colon < 1 ? '' : line.slice(0, colon).trim().toLowerCase();
    if (group.has(name)) name = '';
    if (name !== '') group.set(name, line.slice(colon + 1).trim());
  }
  return groups;
}

function statusIn(field: string | undefined): string | undefined {
  return /(?:^|[^\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])/.exec((field ?? '').slice(0, 1_000))?.[1];
}

/** The headers it brings back: all of the mail, or only them. */
async function returnedIn(email: Email): Promise<Returned> {
  const part = email.attachments.find(({ mimeType }) => /^(?:message\/(?:rfc822|global)|(?:text|message)\/(?:rfc822|global)-headers)$/.test(mimeType));
  return part === undefined ? NOTHING : headersOf(attachmentBytes(part).subarray(0, LONGEST_HEADERS));
}

async function headersOf(bytes: Uint8Array): Promise<Returned> {
  const email = await readHeaders(bytes);
  const addresses = (list: Email['to']): string[] =>
    (list ?? []).flatMap((entry) => (entry.group ?? [entry]).flatMap((mailbox) => canonicalAddress(mailbox.address ?? '') ?? []));
  return { id: messageIds(email.messageId)[0], to: addresses(email.to), cc: addresses(email.cc), replyTo: addresses(email.replyTo) };
}

/** A report in words alone. The mail that comes back stands below a line that says so; else its headers are where a Message-ID is. */
async function oldBounce(email: Email): Promise<Bounce | undefined> {
  const text = (email.text ?? '').slice(0, LONGEST_REPORT);
  const listed = (email.headers.find(({ key }) => key === 'x-failed-recipients')?.value ?? '')
    .split(',', MOST_RECIPIENTS)
    .flatMap((one) => canonicalAddress(one) ?? []);
  if (listed.length === 0 && !OLD_REPORT.test(text.slice(0, 4_000))) return undefined;
  const mark = RETURNED_BELOW.exec(text);
  const words = mark === null ? text : text.slice(0, mark.index);
  const attached = await returnedIn(email);
  const below = mark === null ? '' : text.slice(mark.index + mark[0].length).trimStart();
  const returned = attached.id === undefined ? await headersOf(new TextEncoder().encode(below.slice(0, LONGEST_HEADERS))) : attached;
  const named = [...words.matchAll(/<([^<>\s]{3,254})>/g)].flatMap((one) => canonicalAddress(one[1] ?? '') ?? []).slice(0, MOST_RECIPIENTS);
  const recipients = listed.length > 0 ? listed : named;
  return judge(
    recipients.map((one) => ({ recipients: [one], failed: FOR_GOOD.test(words), status: statusIn(words) })),
    returned,
  );
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, LONGEST_REPORT)).replace(/\r\n?/g, '\n');
}
