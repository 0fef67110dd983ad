import { Context } from '@temporalio/activity';
import { isChannelFailure, type Failure, type OutboundMessage } from '@trunkline/channel-sdk';
import { loadChannel } from '#commands/channel-settings.ts';
import { claimSystemMails, nextSystemMail, settleOverdueMails, settleSystemMail, type ClaimedMail, type MailOutcome } from '#commands/system-mail.ts';
import { loadSystemSender, type LoadedSender } from '#commands/system-sender.ts';
import { backOffSeconds } from '#domain/outbox.ts';
import type { Engine } from './dependencies.ts';
import { throughTrouble } from './failures.ts';
import { LIMITS } from './limits.ts';
import { contextOf } from './plugin-context.ts';
import { handOver } from './smtp.ts';

/** What one call of the sender came to: counts, codes and moments. */
export interface MailRun {
  readonly sent: number;
  readonly notSent: number;
  /** Mails that are not settled. */
  readonly remaining: number;
  /** Why the first of them waits: a code or a fixed phrase. */
  readonly heldBy: string | null;
  /** ISO 8601; null: none waits. */
  readonly nextTryAtIso: string | null;
}

const HEARTBEAT_MS = 4_000;

type Sender = Pick<Engine, 'db' | 'keys' | 'plugins' | 'log' | 'now'>;

export function createSystemMailActivities(engine: Engine) {
  return {
    /** Sends what waits of the account's own mail, a few at a time, each once, and says what is left (CH-12). */
    async sendSystemMails(): Promise<MailRun> {
      const context = Context.current();
      const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
      try {
        return await sendWaiting(engine, () => context.cancellationSignal.aborted);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

/** One run of the sender, also outside Temporal (tests). `stopped`: nobody waits for it any more. */
export async function sendWaiting(engine: Sender, stopped: () => boolean = () => false): Promise<MailRun> {
  const until = engine.now() + LIMITS.drainMs;
  let sent = 0;
  let notSent = 0;
  await settleOverdueMails(engine.db);
  while (!stopped() && engine.now() < until) {
    // Before the claim: what is claimed and then not sent would be left in doubt.
    const sender = await loadSystemSender(engine.db, engine.keys);
    const claimed = await claimSystemMails(engine.db, LIMITS.mailsAtOnce);
    if (claimed.length === 0) break;
    const outcomes = await Promise.all(
      claimed.map(async (mail) => {
        const outcome = await sendOne(engine, await senderOf(engine, sender, mail), mail);
        // The server has said what it did: that is not forgotten because PostgreSQL is away for a moment.
        await throughTrouble(
          () => settleSystemMail(engine.db, mail, outcome),
          () => !stopped(),
        );
        engine.log.info({ mailId: mail.id, attempt: mail.attempt, outcome: outcome.kind }, 'a mail of the system was tried');
        return outcome.kind;
      }),
    );
    sent += outcomes.filter((kind) => kind === 'sent').length;
    notSent += outcomes.filter((kind) => kind !== 'sent').length;
  }
  const { remaining, nextIso, heldBy } = await nextSystemMail(engine.db);
  return { sent, notSent, remaining, heldBy, nextTryAtIso: nextIso };
}

/** A channel of its own where it has one, else the system sender; undefined: that came just now, after it was looked for. */
async function senderOf({ db, keys }: Sender, sender: LoadedSender | undefined, { channelId }: ClaimedMail): Promise<LoadedSender | undefined> {
  return channelId === null ? sender : { kind: 'channel', channel: await loadChannel(db, keys, { id: channelId }).catch(() => undefined) };
}

/** Sends it once, within `sendSeconds`. Never rejects. */
async function sendOne(engine: Sender, sender: LoadedSender | undefined, mail: ClaimedMail): Promise<MailOutcome> {
  if (sender === undefined) return { kind: 'later', seconds: 1, reason: 'the system sender was just chosen', ofSender: false };
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), LIMITS.sendSeconds * 1000);
  try {
    return sender.kind === 'smtp'
      ? await handOver(sender.smtp, sender.password, mail, late.signal, engine.now())
      : await sendByChannel(engine, sender, mail, late.signal);
  } catch {
    return { kind: 'maybe-sent', reason: 'the sender failed unexpectedly' };
  } finally {
    clearTimeout(timer);
  }
}

async function sendByChannel(
  engine: Sender,
  { channel }: Extract<LoadedSender, { kind: 'channel' }>,
  mail: ClaimedMail,
  signal: AbortSignal,
): Promise<MailOutcome> {
  // A channel of its own that is disconnected meanwhile is taken off the mail at the next look.
  if (channel === undefined && mail.channelId !== null) return { kind: 'later', seconds: 5, reason: 'the channel it goes by can not be read', ofSender: false };
  if (channel === undefined) return { kind: 'unsent', reason: 'the channel of the system sender is disconnected' };
  const plugin = engine.plugins.find((one) => one.key === channel.plugin);
  const send = plugin?.send;
  if (plugin === undefined || send === undefined)
    return { kind: 'later', seconds: 300, reason: 'the config names no plugin that can send this', ofSender: true };
  const context = contextOf(engine, plugin, channel, signal);
  const timeUp = new Promise<MailOutcome>((resolve) =>
    signal.addEventListener('abort', () => resolve({ kind: 'maybe-sent', reason: 'no answer in time' }), { once: true }),
  );
  const sending = send.call(plugin, messageOf(mail), context).then(
    (): MailOutcome => ({ kind: 'sent' }),
    (error: unknown): MailOutcome =>
      isChannelFailure(error) ? afterFailure(error.failure, mail.attempt) : { kind: 'maybe-sent', reason: 'the plugin failed unexpectedly' },
  );
  return Promise.race([sending, timeUp]);
}

/** Of no conversation: nobody's thread, nobody's name. */
function messageOf(mail: ClaimedMail): OutboundMessage {
  return {
    id: mail.id,
    kind: 'start',
    to: { kind: 'email-address', value: mail.recipient },
    cc: [],
    subject: mail.subject,
    text: mail.text,
    html: mail.html,
    author: null,
    sender: 'automation',
    precedingIds: [],
    inReplyTo: null,
    attachments: [],
  };
}

function afterFailure(failure: Failure, attempt: number): MailOutcome {
  switch (failure.code) {
    case 'RateLimited':
      return { kind: 'later', seconds: failure.retryAfterSeconds, reason: 'the provider limits the rate', ofSender: true };
    case 'Disconnected':
      return { kind: 'later', seconds: 300, reason: failure.reason, ofSender: true };
    case 'Unavailable':
      return { kind: 'later', seconds: backOffSeconds(attempt), reason: failure.reason, ofSender: false };
    case 'MaybeSent':
      return { kind: 'maybe-sent', reason: failure.reason };
    case 'Rejected':
      return { kind: 'failed', reason: failure.reason };
    case 'OutsideWindow':
    case 'Malformed':
    case 'Unauthentic':
      return { kind: 'failed', reason: 'the plugin could not make the mail' };
  }
}
