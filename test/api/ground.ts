import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { storeBlob } from '#commands/blobs.ts';
import { insertTerms } from '#commands/sla-terms.ts';
import { hashToken } from '#commands/secrets.ts';
import { newestPosition, writeCursor } from '#api/feed.ts';
import { flowPlugin, makeFlow } from '../support/chatflow.ts';
import { inbound, makeChannel, makeTeam, makeUser, take } from '../support/fixtures.ts';
import { globalId, type Person } from './support.ts';

/** One of everything, new: what an operation is tried on, so that no try changes another's. */
export interface Ground {
  /** A word nobody has used. */
  readonly unique: string;
  /** The global id of its thing of this type. */
  gid(type: string): string;
  /** The global ids of all of it. */
  readonly all: readonly string[];
  /** The id that an argument of this name wants. Throws where nobody has said. */
  idFor(where: string, name: string): string;
  readonly keys: {
    readonly channel: string;
    readonly ticket: string;
    readonly ticketNumber: number;
    readonly failedMessage: string;
    readonly uncertainMessage: string;
    readonly issuer: string;
    /** A conversation of the inbox. */
    readonly withoutTicket: string;
    /** A channel of the inbox. */
    readonly elsewhere: string;
    /** A channel that runs chatflows. */
    readonly flowing: string;
    /** The global ids of all SLA policies there are. */
    readonly policies: readonly string[];
  };
  uploadOf(userId: string): string;
  tokenOf(userId: string): string;
  notificationOf(userId: string): string;
  outOfOfficeOf(userId: string): string;
  /** Before any of it. */
  readonly cursor: string;
}

/** What an argument's name means where it is not the type with `Id` behind. */
const NAMES: Readonly<Record<string, string>> = {
  id: 'Conversation',
  placeId: 'Inbox',
  statusId: 'TicketStatus',
  ruleId: 'SenderRule',
  mailId: 'SystemMail',
  filteredMessageId: 'FilteredMessage',
  subjectId: 'Ticket',
  tokenId: 'ApiToken',
  primaryUserId: 'User',
  importId: 'TicketImport',
  calendarId: 'BusinessCalendar',
  policyId: 'SlaPolicy',
  migrationId: 'ChannelMigration',
};

/** What an event says of a goal that became overdue. */
export const OVERDUE = JSON.stringify({ goal: 'CLOSE', round: 1, from: 'ACTIVE', to: 'OVERDUE' });

/** `owner`: whose token, upload and notification there is. */
export async function makeGround(db: Db, owner: Person): Promise<Ground> {
  const unique = `u${randomBytes(6).toString('hex')}`;
  const cursor = writeCursor(await newestPosition(db));
  const channel = await makeChannel(db);
  const userId = await makeUser(db);
  await db
    .insertInto('mailbox')
    .values({ address: `${unique}@users.example`, user_id: userId })
    .execute();
  const teamId = await makeTeam(db, {});
  await take(db, channel, [inbound(`${unique}@outside.example`)]);
  const conversation = await db.selectFrom('conversation').selectAll().where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
  const ticket = await db.selectFrom('ticket').selectAll().where('conversation_id', '=', conversation.id).executeTakeFirstOrThrow();
  const message = await db.selectFrom('message').select('id').where('conversation_id', '=', conversation.id).executeTakeFirstOrThrow();
  const inbox = await db.selectFrom('place').select('id').where('kind', '=', 'INBOX').executeTakeFirstOrThrow();
  const elsewhere = await makeChannel(db, { place: 'INBOX' });
  await take(db, elsewhere, [inbound(`${unique}@second.example`)]);
  const { id: withoutTicket } = await db.selectFrom('conversation').select('id').where('channel_id', '=', elsewhere.id).executeTakeFirstOrThrow();
  const insert = async (state: 'FAILED' | 'MAYBE_SENT'): Promise<string> => {
    const { id, arrival } = await db
      .insertInto('message')
      .values({ conversation_id: conversation.id, channel_id: channel.id, direction: 'OUTBOUND', author_user_id: userId, text: 'x', occurred_at: new Date(0) })
      .returning(['id', 'arrival'])
      .executeTakeFirstOrThrow();
    await db
      .insertInto('outbound')
      .values({
        message_id: id,
        conversation_id: conversation.id,
        channel_id: channel.id,
        arrival,
        kind: 'REPLY',
        sender: 'PERSON',
        recipient: JSON.stringify({ kind: 'email-address', value: `${unique}@outside.example` }),
        state,
        failure_code: 'Rejected',
        failure_reason: 'x',
        can_retry: state === 'FAILED' ? true : null,
      })
      .execute();
    return id;
  };
  const failedMessage = await insert('FAILED');
  const uncertainMessage = await insert('MAYBE_SENT');
  const returning = async (query: { executeTakeFirstOrThrow(): Promise<{ id: string | number }> }) => (await query.executeTakeFirstOrThrow()).id;
  const raw = { channel_id: channel.id, method: 'POST', url: '', headers: '{}', body: Buffer.from('[]'), tries: 3, settled_at: new Date() };
  const delivery = await returning(
    db
      .insertInto('raw_delivery')
      .values({ ...raw, state: 'SET_ASIDE', failure_code: 'Malformed' })
      .returning('id'),
  );
  const kept = await db
    .insertInto('raw_delivery')
    .values({ ...raw, state: 'DONE' })
    .returning('id')
    .executeTakeFirstOrThrow();
  const filtered = await returning(
    db
      .insertInto('filtered_message')
      .values({
        channel_id: channel.id,
        raw_delivery_id: kept.id,
        provider_message_id: unique,
        kind: 'FILTERED',
        reason: 'ANSWERS_NOTHING',
        text: 'x',
        received_at: new Date(),
      })
      .returning('id'),
  );
  const senderRule = await returning(
    db
      .insertInto('sender_rule')
      .values({ list: 'DENY', pattern: `${unique}@elsewhere.example` })
      .returning('id'),
  );
  const skill = await returning(db.insertInto('skill').values({ category: 'product', name: unique }).returning('id'));
  const systemMail = await returning(
    db
      .insertInto('system_mail')
      .values({
        kind: 'NOTIFICATION',
        user_id: userId,
        recipient: `${unique}@users.example`,
        subject: 'x',
        text: 'x',
        state: 'FAILED',
        reason: 'x',
        settled_at: new Date(),
      })
      .returning('id'),
  );
  const webhook = await returning(
    db
      .insertInto('webhook')
      .values({ name: unique, url: `https://${unique}.example`, secret: Buffer.alloc(0) })
      .returning('id'),
  );
  const webhookDelivery = await returning(
    db
      .insertInto('webhook_delivery')
      .values({
        webhook_id: String(webhook),
        ticket_id: ticket.id,
        payload: JSON.stringify({ type: 'sla.overdue' }),
        state: 'FAILED',
        failure: 'HTTP_410',
        settled_at: new Date(),
      })
      .returning('id'),
  );
  const { sha256, bytes } = await storeBlob(db, Buffer.from(`{"name":"${unique}"}\n`));
  const upload = await returning(
    db.insertInto('upload').values({ user_id: owner.id, sha256, file_name: 'tickets.ndjson', type: 'application/x-ndjson', bytes }).returning('id'),
  );
  const ticketImport = await returning(
    db
      .insertInto('ticket_import')
      .values({ user_id: owner.id, name: unique, format: 'NDJSON', sha256, pipeline_id: ticket.pipeline_id, bytes, state: 'DONE', ended_at: new Date() })
      .returning('id'),
  );
  const token = await returning(
    db
      .insertInto('api_token')
      .values({ user_id: owner.id, name: unique, token_hash: hashToken(unique) })
      .returning('id'),
  );
  const notification = await returning(
    db.insertInto('notification').values({ user_id: owner.id, kind: 'TICKET_ASSIGNED', ticket_id: ticket.id }).returning('id'),
  );
  const outOfOffice = await returning(
    db
      .insertInto('out_of_office')
      .values({ user_id: owner.id, from_at: new Date(0), to_at: new Date(1) })
      .returning('id'),
  );
  await db
    .insertInto('form_submission')
    .values({ message_id: message.id, channel_id: channel.id, contact_id: conversation.contact_id, fields: '[]', submitted_at: new Date() })
    .execute();
  const came = {
    kind: 'VISITOR_CAME',
    actor: 'CONTACT',
    channel_id: channel.id,
    conversation_id: conversation.id,
    place_id: channel.placeId,
    data: '{}',
  } as const;
  await db.insertInto('event').values(came).execute();
  await db
    .insertInto('event')
    .values({ ...came, kind: 'SLA_GOAL_CHANGED', actor: 'SYSTEM', ticket_id: ticket.id, why: 'OVERDUE', data: OVERDUE })
    .execute();
  const issuer = `https://${unique}.example`;
  await db.insertInto('sign_in_identity').values({ issuer, subject: 'x', user_id: userId }).execute();
  await db
    .insertInto('system_sender')
    .values({ channel_id: channel.id })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const flowing = await makeChannel(db, { plugin: flowPlugin.key });
  const chatflow = await makeFlow(db, flowing.id, {}, `${unique}-ref`);
  const sla = await makeSla(db, unique);
  const migration = await returning(
    db
      .insertInto('channel_migration')
      .values({
        channel_id: (await makeChannel(db, { place: 'INBOX' })).id,
        state: 'SCHEDULED',
        history: 'NONE',
        asked_by: userId,
        start_at: new Date(Date.now() + 86_400_000),
      })
      .returning('id'),
  );
  const ids: Readonly<Record<string, string | number>> = {
    BusinessCalendar: sla.calendarId,
    SlaPolicy: sla.policyId,
    SlaReevaluation: sla.reevaluationId,
    ChannelMigration: migration,
    Chatflow: chatflow,
    Channel: channel.id,
    HelpDesk: channel.placeId,
    Inbox: inbox.id,
    Conversation: conversation.id,
    Ticket: ticket.id,
    Message: message.id,
    Contact: conversation.contact_id ?? '',
    User: userId,
    Team: teamId,
    Pipeline: ticket.pipeline_id,
    TicketStatus: ticket.status_id,
    FormSubmission: message.id,
    Delivery: delivery,
    FilteredMessage: filtered,
    SenderRule: senderRule,
    Skill: skill,
    SystemMail: systemMail,
    Webhook: webhook,
    WebhookDelivery: webhookDelivery,
    TicketImport: ticketImport,
    ApiToken: token,
    Notification: notification,
    OutOfOffice: outOfOffice,
  };
  const gid = (type: string): string => {
    const id = ids[type];
    if (id === undefined) throw new Error(`the ground has no ${type}`);
    return globalId(type, id);
  };
  const mine = (userId_: string, id: string): string => {
    if (userId_ !== owner.id) throw new Error('this ground was made for somebody else');
    return id;
  };
  return {
    unique,
    gid,
    all: [...Object.keys(ids).map(gid), 'Plugin'],
    idFor(where, name) {
      const type = NAMES[name] ?? `${name.charAt(0).toUpperCase()}${name.slice(1).replace(/Id$/, '')}`;
      if (ids[type] === undefined) throw new Error(`${where}: no example of this id; add it to NAMES of test/api/ground.ts`);
      return gid(type);
    },
    keys: {
      channel: channel.key,
      ticket: ticket.id,
      ticketNumber: ticket.number,
      failedMessage,
      uncertainMessage,
      issuer,
      withoutTicket,
      elsewhere: elsewhere.id,
      flowing: flowing.id,
      policies: sla.policies,
    },
    uploadOf: (whose) => mine(whose, String(upload)),
    tokenOf: (whose) => mine(whose, gid('ApiToken')),
    notificationOf: (whose) => mine(whose, gid('Notification')),
    outOfOfficeOf: (whose) => mine(whose, gid('OutOfOffice')),
    cursor,
  };
}

/** An account has a hundred policies and two hundred calendars at most: what earlier grounds left is taken away. */
const KEPT = 20;

/** A calendar, a policy that is for no ticket, and a re-evaluation that is over. */
async function makeSla(db: Db, unique: string) {
  return db.transaction().execute(async (tx) => {
    for (const table of ['sla_policy', 'business_calendar'] as const) {
      await tx
        .updateTable(table)
        .set({ deleted_at: sql<Date>`now()` })
        .where('deleted_at', 'is', null)
        .where('id', 'not in', (eb) => eb.selectFrom(table).select('id').orderBy('id', 'desc').limit(KEPT))
        .execute();
    }
    const { id: calendarId } = await tx
      .insertInto('business_calendar')
      .values({ name: unique, time_zone: 'Europe/Berlin' })
      .returning('id')
      .executeTakeFirstOrThrow();
    await tx.insertInto('calendar_period').values({ calendar_id: calendarId, weekday: 1, from_minute: 540, to_minute: 1020 }).execute();
    const policyId = newId();
    const termsId = await insertTerms(tx, policyId, {
      conditions: [{ property: `properties.${unique}`, operator: 'IS', values: ['x'] }],
      targets: [{ kind: 'CLOSE', priority: null, durationMs: 60_000, dueSoonMs: 0 }],
      pauseStatusIds: [],
      calendar: { kind: 'ALWAYS' },
      actions: [],
    });
    await tx.insertInto('sla_policy').values({ id: policyId, name: unique, position: 1, terms_id: termsId }).execute();
    const { id: reevaluationId } = await tx
      .insertInto('sla_reevaluation')
      .values({ why: 'BY_HAND', state: 'DONE', total: 0, until: 0, ended_at: new Date() })
      .returning('id')
      .executeTakeFirstOrThrow();
    const policies = await tx.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).orderBy('position').orderBy('id').execute();
    return { calendarId, policyId, reevaluationId, policies: policies.map(({ id }) => globalId('SlaPolicy', id)) };
  });
}
