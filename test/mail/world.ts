import email from '@trunkline/plugin-email';
import { createActivities } from '#activities/index.ts';
import type { Engine } from '#activities/dependencies.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { createLogger } from '#runtime/log.ts';
import { connectChannel } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { isRecord, loadChannel } from '#commands/channel-settings.ts';
import { applyDeliveries, storeDelivery, type ParsedDelivery } from '#commands/intake.ts';
import { claimNext, settleSend } from '#commands/outbox.ts';
import { safeParts } from '#commands/safe-html.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { DELIVERY_HEADERS } from '#plugins/email/test/corpus/samples.ts';
import { settingsSchema } from '#plugins/email/settings.ts';
import { replyAddress, replyToken } from '#plugins/email/token.ts';
import { emailSettings, placeId } from '../support/email-channel.ts';
import { makeUser, testKeys } from '../support/fixtures.ts';
import { testDatabase } from '../support/database.ts';
import { eventually } from '../support/wait.ts';

/** A channel as a test names it. */
export interface At {
  readonly id: string;
  readonly key: string;
}

/** A mail as the receiver stores it. */
export interface ArrivingMail {
  readonly mail: string | Uint8Array;
  /** Of the stored delivery, over those of an ordinary one. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the channel, over its own; null: not set. For this mail's parsing alone. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** The world the corpus describes, with the real plugin, intake and PostgreSQL. */
export interface MailWorld {
  readonly db: Db;
  readonly engine: Engine;
  /** Ada. */
  readonly userId: string;
  readonly support: At;
  readonly sales: At;
  /** Ben's, with Cleo in copy, answered by Ada. */
  readonly lamp: Thread;
  /** Mia's, answered by Ada. */
  readonly invoice: Thread;
  /** Stores mails as the receiver does; their deliveries. */
  store(at: At, mails: readonly ArrivingMail[]): Promise<readonly number[]>;
  /** Stores, parses and takes in, in one batch; their deliveries. */
  take(at: At, ...mails: readonly ArrivingMail[]): Promise<readonly number[]>;
  /** Ada's answer, sent; the id of the mail and its Reply-To. */
  answer(at: At, conversationId: string, text?: string): Promise<Answer>;
  act<Value>(work: (unit: Unit) => Promise<Value>): Promise<Value>;
  /** Checks every invariant, then closes. */
  close(): Promise<readonly string[]>;
}

export interface Answer {
  /** Ours. */
  readonly messageId: string;
  /** The mail's. */
  readonly mailId: string;
  readonly token: string;
  readonly replyTo: string;
}

export interface Thread extends Answer {
  readonly conversationId: string;
}

/** The header by which the forwarding server vouches for a domain. */
export function vouched(domain: string, result = 'pass'): string {
  return `Authentication-Results: mx.acme.example; spf=${result} smtp.mailfrom=${domain}; dkim=${result} header.d=${domain}; dmarc=${result} header.from=${domain}`;
}

let written = 0;

/** A mail that somebody's domain vouches for; `headers` may say otherwise, and replace those given here. */
export function mailFrom(from: string, headers: Readonly<Record<string, string>> = {}, text = 'Some words.'): ArrivingMail & { readonly id: string } {
  written += 1;
  const address = /<([^>]+)>/.exec(from)?.[1] ?? from;
  const id = headers['Message-ID'] ?? `<mail-${written}@${address.slice(address.lastIndexOf('@') + 1)}>`;
  const fields = { From: from, To: 'support@acme.example', Subject: 'A subject', 'Message-ID': id, ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  const verdict = 'Authentication-Results' in headers ? [] : [vouched(address.slice(address.lastIndexOf('@') + 1))];
  return { id, mail: [...verdict, ...lines.filter((line) => line !== 'Authentication-Results: '), '', text, ''].join('\r\n') };
}

export async function openMailWorld(): Promise<MailWorld> {
  const database = await testDatabase();
  const { db } = database;
  const configUrl = new URL('../support/config.ts', import.meta.url).href;
  const waker = { signalWithStart: () => Promise.resolve(), terminate: () => Promise.resolve(false) };
  const log = createLogger({ service: 'test', level: 'fatal' });
  const set = createActivities({ db, keys: testKeys, plugins: [email], configUrl, waker, log, now: () => Date.now() });
  const userId = await makeUser(db, { name: 'Ada Lindqvist' });
  const connected = async (key: string, address: string): Promise<At> => {
    const settings = { ...emailSettings(address), inboundDomain: 'in.trunkline.example', trustedAuthenticator: 'mx.acme.example' };
    const input = { plugin: email.key, name: 'Support', placeId: await placeId(db, 'HELP_DESK'), key, settings };
    const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: [email], keys: testKeys }, input));
    return { id: value.channelId, key };
  };
  const support = await connected('support-1', 'support@acme.example');
  const sales = await connected('sales-1', 'sales@acme.example');

  async function store(at: At, mails: readonly ArrivingMail[]): Promise<readonly number[]> {
    const ids: number[] = [];
    for (const { mail, headers = {} } of mails) {
      const kept = { ...DELIVERY_HEADERS, 'rcpt-to': `${at.key}@in.trunkline.example`, ...headers };
      const raw = { method: 'SMTP', url: `smtp:/${at.key}`, headers: kept, body: Buffer.from(mail), receivedAt: new Date().toISOString() };
      ids.push((await storeDelivery(db, at.id, raw)).deliveryId);
    }
    return ids;
  }

  /** As the parsing thread does: from what is stored. */
  async function parsed(at: At, deliveryId: number, settings: Readonly<Record<string, unknown>> = {}): Promise<ParsedDelivery> {
    const row = await db.selectFrom('raw_delivery').selectAll().where('id', '=', deliveryId).executeTakeFirstOrThrow();
    const channel = await loadChannel(db, testKeys, { id: at.id });
    if (channel === undefined) throw new Error('the channel is gone');
    if (!isRecord(channel.info.settings)) throw new Error('settings are an object');
    const own = Object.entries({ ...channel.info.settings, ...settings }).filter(([, value]) => value !== null);
    const context = createPluginContext(
      { ...channel.info, settings: Object.fromEntries(own) },
      { sign: (text) => testKeys.signFor(at.key, text), log: () => undefined },
    );
    const receivedAt = row.received_at.toISOString();
    const events = await email.parse({ method: row.method, url: row.url, headers: row.headers, body: row.body, receivedAt }, context);
    return { deliveryId, receivedAt, events, safe: safeParts(events) };
  }

  async function take(at: At, ...mails: readonly ArrivingMail[]): Promise<readonly number[]> {
    const ids = await store(at, mails);
    const batch = await Promise.all(ids.map((id, index) => parsed(at, id, mails[index]?.settings)));
    await eventually(async () => !(await applyDeliveries(db, { keys: testKeys, capabilities: email.capabilities }, at.id, batch)).value.busy);
    return ids;
  }

  async function answer(at: At, conversationId: string, text = 'We send you a new one.'): Promise<Answer> {
    const { value } = await transact(db, { actor: 'USER', userId }, (unit) => reply(unit, [email], { conversationId, text }));
    const channel = await loadChannel(db, testKeys, { id: at.id });
    if (channel === undefined || email.reserve === undefined) throw new Error('the channel can not send');
    const sign = (words: string): string => testKeys.signFor(at.key, words);
    const context = createPluginContext(channel.info, { sign, log: () => undefined });
    const { value: claim } = await claimNext(db, conversationId, (_key, message) => email.reserve?.(message, context));
    if (claim.kind !== 'send') throw new Error(`nothing to send: ${claim.kind}`);
    const receipt = { ...email.reserve(claim.claimed.message, context), state: 'sent' as const };
    await settleSend(db, value.messageId, claim.claimed.attempt, { kind: 'sent', receipt });
    const settings = settingsSchema.parse({ ...emailSettings(channel.info.address), inboundDomain: 'in.trunkline.example' });
    const token = replyToken(value.messageId, sign);
    return {
      messageId: value.messageId,
      mailId: receipt.providerMessageId,
      token,
      replyTo: replyAddress({ key: at.key, settings }, token),
    };
  }

  async function started(at: At, mail: ArrivingMail): Promise<Thread> {
    const [deliveryId = 0] = await take(at, mail);
    const { conversation_id: conversationId } = await db
      .selectFrom('message')
      .select('conversation_id')
      .where('raw_delivery_id', '=', deliveryId)
      .executeTakeFirstOrThrow();
    return { conversationId, ...(await answer(at, conversationId)) };
  }

  const lamp = await started(
    support,
    mailFrom('Ben Carter <ben@customer.example>', {
      Subject: 'The lamp is broken',
      Cc: 'Cleo <cleo@partner.example>',
      'Message-ID': '<lamp-1@customer.example>',
    }),
  );
  const invoice = await started(support, mailFrom('Mia Torres <mia@other.example>', { Subject: 'The invoice', 'Message-ID': '<invoice-1@other.example>' }));
  await started(
    sales,
    mailFrom('Ben Carter <ben@customer.example>', { To: 'sales@acme.example', Subject: 'Your offer', 'Message-ID': '<offer-1@customer.example>' }),
  );

  return {
    db,
    engine: set.engine,
    userId,
    support,
    sales,
    lamp,
    invoice,
    store,
    take,
    answer,
    act: async (work) => (await transact(db, { actor: 'USER', userId }, work)).value,
    async close() {
      const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
      await set.close();
      await database.drop();
      return broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`);
    },
  };
}
