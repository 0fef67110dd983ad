import type { Plugin } from '@trunkline/channel-sdk';
import DataLoader from 'dataloader';
import { sql, type RawBuilder, type SelectQueryBuilder } from 'kysely';
import { readOpenTickets, type OpenTickets } from '#commands/capacity.ts';
import { presenceOf, type VisitorPresence } from '#commands/presence.ts';
import { windowsOf, type ConversationWindow } from '#commands/messaging-windows.ts';
import { givenAddresses, type GivenAddress } from '#commands/recipients.ts';
import { replyChannelsOf } from '#commands/reply-channels.ts';
import { progressOf, reportsOf, type MigrationProgress, type MigrationReport } from '#commands/migration-report.ts';
import { loadTerms, slaPending } from '#commands/sla-rows.ts';
import type { Db } from '#db/database.ts';
import type { Database } from '#db/schema.ts';
import type { PolicyTerms } from '#domain/sla-policy.ts';
import type { Visibility } from './access.ts';
import { LIMITS } from './limits.ts';
import { onPage, pageRequest, toConnection, type Connection, type Keyed, type Order, type PageArguments } from './page.ts';
import {
  ATTACHMENT_COLUMNS,
  CHANNEL_COLUMNS,
  DELIVERY_COLUMNS,
  type AccessEntryRow,
  type AttachmentRow,
  type CalendarPeriodRow,
  type ChatflowRow,
  type ChatflowRunRow,
  type HolidayRow,
  type IdentityRow,
  type MessageRow,
  type MigrationSlaRow,
  type OutboundRow,
  type OutOfOfficeRow,
  type ReplyChannelRow,
  type SubmittedField,
  type RuleTargetRow,
  type SignInRow,
  type SkillRow,
  type SkillRuleRow,
  type SlaPolicyRow,
  type SlaGoalRow,
  type StatusRow,
  type WorkingPeriodRow,
  SYSTEM_MAIL_COLUMNS,
  TOKEN_COLUMNS,
  WEBHOOK_COLUMNS,
} from './rows.ts';

/** One request's reads: every fetch by id and every nested page goes through here, so a list of any length costs the same number of statements (API-8). */
export type Loaders = ReturnType<typeof createLoaders>;

/** `see` is asked once and narrows every statement. */
export function createLoaders(db: Db, see: () => Promise<Visibility>, { plugins, userId }: { readonly plugins: readonly Plugin[]; readonly userId: string }) {
  const nested = new Map<string, DataLoader<string, Connection<unknown>>>();

  const loaders = {
    user: byId((ids) => db.selectFrom('app_user').selectAll().where('id', 'in', ids).execute()),
    outOfOffice: byId((ids) => db.selectFrom('out_of_office').selectAll().where('id', 'in', ids).execute()),
    team: byId((ids) => db.selectFrom('team').selectAll().where('id', 'in', ids).execute()),
    skill: byId((ids) => db.selectFrom('skill').selectAll().where('id', 'in', ids).where('deleted_at', 'is', null).execute()),
    calendar: byId((ids) => db.selectFrom('business_calendar').selectAll().where('id', 'in', ids).where('deleted_at', 'is', null).execute()),
    slaReevaluation: byId(async (ids) =>
      db
        .selectFrom('sla_reevaluation')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).sla_reevaluation)
        .execute(),
    ),
    channelMigration: byId(async (ids) =>
      db
        .selectFrom('channel_migration')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).channel_migration)
        .execute(),
    ),
    pipeline: byId((ids) => db.selectFrom('pipeline').selectAll().where('id', 'in', ids).execute()),
    status: byId((ids) => db.selectFrom('ticket_status').selectAll().where('id', 'in', ids).execute()),
    // Also one that was deleted: goals that were measured by it say so.
    slaPolicy: byId((ids) => db.selectFrom('sla_policy').selectAll().where('id', 'in', ids).execute()),
    place: byId(async (ids) =>
      db
        .selectFrom('place')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).place)
        .execute(),
    ),
    channel: byId(async (ids) =>
      db
        .selectFrom('channel')
        .select(CHANNEL_COLUMNS)
        .where('id', 'in', ids)
        .where((await see()).channel)
        .execute(),
    ),
    chatflow: byId(async (ids) =>
      db
        .selectFrom('chatflow')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).chatflow)
        .execute(),
    ),
    contact: byId(async (ids) =>
      db
        .selectFrom('contact')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).contact)
        .execute(),
    ),
    conversation: byId(async (ids) =>
      db
        .selectFrom('conversation')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).conversation)
        .execute(),
    ),
    message: byId(async (ids) =>
      db
        .selectFrom('message')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).message)
        .execute(),
    ),
    attachment: byId(async (ids) =>
      db
        .selectFrom('attachment')
        .select(ATTACHMENT_COLUMNS)
        .where('id', 'in', ids)
        .where((await see()).attachment)
        .execute(),
    ),
    ticket: byId(async (ids) =>
      db
        .selectFrom('ticket')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).ticket)
        .execute(),
    ),
    rule: byId(async (ids) =>
      db
        .selectFrom('routing_rule')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).routing_rule)
        .execute(),
    ),
    decision: byId(async (ids) =>
      db
        .selectFrom('routing_decision')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).routing_decision)
        .execute(),
    ),
    event: byId(async (ids) =>
      db
        .selectFrom('event')
        .selectAll()
        .where('id', 'in', ids.map(Number))
        .where((await see()).event)
        .execute(),
    ),
    /** By the id of the message it became. */
    submission: new DataLoader(async (messageIds: readonly string[]) => {
      const rows = await db
        .selectFrom('form_submission')
        .selectAll()
        .where('message_id', 'in', messageIds)
        .where((await see()).form_submission)
        .execute();
      const found = new Map(rows.map((row) => [row.message_id, row]));
      return messageIds.map((id) => found.get(id) ?? null);
    }),
    notification: byId(async (ids) =>
      db
        .selectFrom('notification')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).notification)
        .execute(),
    ),
    filteredMessage: byId(async (ids) =>
      db
        .selectFrom('filtered_message')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).filtered_message)
        .execute(),
    ),
    senderRule: byId(async (ids) =>
      db
        .selectFrom('sender_rule')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).sender_rule)
        .execute(),
    ),
    apiToken: byId(async (ids) =>
      db
        .selectFrom('api_token')
        .select(TOKEN_COLUMNS)
        .where('id', 'in', ids)
        .where((await see()).api_token)
        .execute(),
    ),
    ticketImport: byId(async (ids) =>
      db
        .selectFrom('ticket_import')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).ticket_import)
        .execute(),
    ),
    systemMail: byId(async (ids) =>
      db
        .selectFrom('system_mail')
        .select(SYSTEM_MAIL_COLUMNS)
        .where('id', 'in', ids)
        .where((await see()).system_mail)
        .execute(),
    ),
    webhook: byId(async (ids) =>
      db
        .selectFrom('webhook')
        .select(WEBHOOK_COLUMNS)
        .where('id', 'in', ids)
        .where((await see()).webhook)
        .execute(),
    ),
    webhookDelivery: byId(async (ids) =>
      db
        .selectFrom('webhook_delivery')
        .selectAll()
        .where('id', 'in', ids)
        .where((await see()).webhook_delivery)
        .execute(),
    ),
    delivery: byId(async (ids) =>
      db
        .selectFrom('raw_delivery')
        .select(DELIVERY_COLUMNS)
        .where('id', 'in', ids.map(Number))
        .where((await see()).raw_delivery)
        .execute(),
    ),

    /** The ticket of this number. */
    ticketByNumber: new DataLoader(async (numbers: readonly number[]) => {
      const rows = await db
        .selectFrom('ticket')
        .selectAll()
        .where('number', 'in', numbers)
        .where((await see()).ticket)
        .execute();
      const found = new Map(rows.map((row) => [row.number, row]));
      return numbers.map((number) => found.get(number) ?? null);
    }),

    // What follows belongs to a row that is already seen.
    outboundOf: new DataLoader<string, OutboundRow | null>(async (messageIds) => {
      const rows = await db.selectFrom('outbound').selectAll().where('message_id', 'in', messageIds).execute();
      const found = new Map(rows.map((row) => [row.message_id, row]));
      return messageIds.map((id) => found.get(id) ?? null);
    }),
    attachmentsOf: grouped<AttachmentRow>(
      (ids) => db.selectFrom('attachment').select(ATTACHMENT_COLUMNS).where('message_id', 'in', ids).orderBy('message_id').orderBy('position').execute(),
      (row) => row.message_id,
    ),
    chatflowsOf: grouped<ChatflowRow>(
      // The primary one first.
      (ids) =>
        db
          .selectFrom('chatflow')
          .selectAll()
          .where('channel_id', 'in', ids)
          .orderBy('channel_id')
          .orderBy(sql`entry_point nulls first`)
          .execute(),
      (row) => row.channel_id,
    ),
    chatflowRunOf: new DataLoader<string, ChatflowRunRow | null>(async (conversationIds) => {
      const rows = await db
        .selectFrom('chatflow_run')
        .select(['conversation_id', 'chatflow_id', 'state', 'step', 'wait_until', 'started_at'])
        .where('conversation_id', 'in', conversationIds)
        .execute();
      const found = new Map(rows.map((row) => [row.conversation_id, row]));
      return conversationIds.map((id) => found.get(id) ?? null);
    }),
    identitiesOf: grouped<IdentityRow>(
      (ids) => db.selectFrom('contact_identity').selectAll().where('contact_id', 'in', ids).orderBy('created_at').orderBy('kind').orderBy('value').execute(),
      (row) => row.contact_id,
    ),
    givenAddressesOf: grouped<GivenAddress>(
      (ids) => givenAddresses(db, ids),
      (row) => row.conversation_id,
    ),
    statusesOf: grouped<StatusRow>(
      (ids) => db.selectFrom('ticket_status').selectAll().where('pipeline_id', 'in', ids).orderBy('position').execute(),
      (row) => row.pipeline_id,
    ),
    accessOf: grouped<AccessEntryRow>(
      (ids) =>
        db.selectFrom('access_entry').selectAll().where('place_id', 'in', ids).orderBy('everyone', 'desc').orderBy('team_id').orderBy('user_id').execute(),
      (row) => row.place_id,
    ),
    membershipsOf: grouped<{ team_id: string; user_id: string; kind: 'PRIMARY' | 'EXTRA' }>(
      (ids) => db.selectFrom('team_member').selectAll().where('user_id', 'in', ids).orderBy('kind', 'desc').orderBy('team_id').execute(),
      (row) => row.user_id,
    ),
    workingHoursOf: grouped<WorkingPeriodRow>(
      (ids) => db.selectFrom('working_period').selectAll().where('user_id', 'in', ids).orderBy('weekday').orderBy('from_minute').execute(),
      (row) => row.user_id,
    ),
    outOfOfficeOf: grouped<OutOfOfficeRow>(
      (ids) =>
        db
          .selectFrom('out_of_office')
          .selectAll()
          .where('user_id', 'in', ids)
          .where('to_at', '>', sql<Date>`now()`)
          .orderBy('from_at')
          .orderBy('id')
          .execute(),
      (row) => row.user_id,
    ),
    targetsOf: grouped<{ rule_id: string; user_id: string | null; team_id: string | null }>(
      (ids) => db.selectFrom('routing_rule_target').selectAll().where('rule_id', 'in', ids).orderBy('team_id').orderBy('user_id').execute(),
      (row) => row.rule_id,
    ),
    targetStatesOf: grouped<RuleTargetRow>(
      async (ids) => (await targetStates(ids).execute(db)).rows,
      (row) => row.rule_id,
    ),
    /** Why a rule's default user can get nothing now; null: they can, or it has none. */
    defaultUserReasonOf: new DataLoader<string, string | null>(async (ruleIds) => {
      const { rows } = await sql<{ rule_id: string; reason: string | null }>`
        select r.id as rule_id, ${USER_REASON} as reason
        from routing_rule r join channel h on h.routing_rule_id = r.id join app_user u on u.id = r.default_user_id
        where r.id = any(${[...ruleIds]}::uuid[])`.execute(db);
      const found = new Map(rows.map((row) => [row.rule_id, row.reason]));
      return ruleIds.map((id) => found.get(id) ?? null);
    }),
    skillRulesOf: grouped<SkillRuleRow>(
      (ids) =>
        db
          .selectFrom('skill_rule')
          .selectAll()
          .select(
            sql<string[]>`(select array_agg(s.skill_id order by s.skill_id) from skill_rule_skill s where s.skill_rule_id = skill_rule.id)`.as('required'),
          )
          .where('rule_id', 'in', ids)
          .orderBy('rule_id')
          .orderBy('position')
          .execute(),
      (row) => row.rule_id,
    ),
    calendarPeriodsOf: grouped<CalendarPeriodRow>(
      (ids) => db.selectFrom('calendar_period').selectAll().where('calendar_id', 'in', ids).orderBy('weekday').orderBy('from_minute').execute(),
      (row) => row.calendar_id,
    ),
    holidaysOf: grouped<HolidayRow>(
      (ids) =>
        db
          .selectFrom('calendar_holiday')
          .select(['calendar_id', 'name', sql<string>`to_char(date, 'YYYY-MM-DD')`.as('date')])
          .where('calendar_id', 'in', ids)
          .orderBy('calendar_holiday.date')
          .execute(),
      (row) => row.calendar_id,
    ),
    slaPoliciesOf: grouped<SlaPolicyRow>(
      (ids) =>
        db.selectFrom('sla_policy').selectAll().where('calendar_id', 'in', ids).where('deleted_at', 'is', null).orderBy('position').orderBy('id').execute(),
      (row) => row.calendar_id ?? '',
    ),
    skillsOf: grouped<SkillRow & { readonly user_id: string }>(
      (ids) =>
        db
          .selectFrom('user_skill')
          .innerJoin('skill', 'skill.id', 'user_skill.skill_id')
          .selectAll('skill')
          .select('user_skill.user_id')
          .where('user_skill.user_id', 'in', ids)
          .orderBy('skill.category')
          .orderBy('skill.name')
          .execute(),
      (row) => row.user_id,
    ),
    // Of moves that have begun.
    progressOf: new DataLoader<string, MigrationProgress | null>(async (ids) => {
      const found = await progressOf(db, ids);
      return ids.map((id) => found.get(id) ?? null);
    }),
    migrationSlaOf: new DataLoader<string, MigrationSlaRow | null>(async (ids) => {
      const rows = await db.selectFrom('channel_migration_sla').selectAll().where('migration_id', 'in', ids).execute();
      const found = new Map(rows.map((row) => [row.migration_id, row]));
      return ids.map((id) => found.get(id) ?? null);
    }),
    reportOf: new DataLoader<string, MigrationReport | null>(async (ids) => {
      const found = await reportsOf(db, ids);
      return ids.map((id) => found.get(id) ?? null);
    }),
    /** By ticket, in the order in which they began: those that run, and the newest of the others. */
    slaGoalsOf: grouped<SlaGoalRow>(
      async (ids) => {
        const { rows } = await sql<SlaGoalRow>`
          select shown.*, s.terms_id, clock_timestamp() as now
          from sla_ticket s cross join lateral (
            select * from sla_goal g where g.ticket_id = s.ticket_id order by g.ended_at is not null, g.started_at desc, g.kind, g.round desc limit ${LIMITS.ticketGoals}
          ) shown
          where s.ticket_id = any(${[...ids]}::uuid[]) order by shown.started_at, shown.kind, shown.round`.execute(db);
        return rows;
      },
      (row) => row.ticket_id,
    ),
    /** Whether a ticket waits for the goals that a move has still to give it. */
    slaPendingOf: new DataLoader<string, boolean>(async (ticketIds) => {
      const rows = await db.selectFrom('ticket').select('id').where('id', 'in', ticketIds).where(slaPending('ticket')).execute();
      const found = new Set(rows.map(({ id }) => id));
      return ticketIds.map((id) => found.has(id));
    }),
    slaTerms: new DataLoader<string, PolicyTerms | null>(async (ids) => {
      const found = await loadTerms(db, ids);
      return ids.map((id) => found.get(id) ?? null);
    }),
    /** Of the policy that applies to a ticket. */
    slaPolicyIdOf: new DataLoader<string, string | null>(async (ticketIds) => {
      const rows = await db
        .selectFrom('sla_ticket')
        .innerJoin('sla_terms', 'sla_terms.id', 'sla_ticket.terms_id')
        .select(['ticket_id', 'policy_id'])
        .where('ticket_id', 'in', ticketIds)
        .execute();
      const found = new Map(rows.map((row) => [row.ticket_id, row.policy_id]));
      return ticketIds.map((id) => found.get(id) ?? null);
    }),
    openTicketsOf: new DataLoader<string, OpenTickets>(async (userIds) => {
      const found = await readOpenTickets(db, plugins, userIds);
      return userIds.map((id) => found.get(id) ?? { total: 0, voice: 0, messaging: 0, written: 0 });
    }),
    signInsOf: grouped<SignInRow>(
      async (ids) =>
        db
          .selectFrom('sign_in_identity')
          .selectAll()
          .where('user_id', 'in', ids)
          .where((await see()).sign_in_identity)
          .orderBy('issuer')
          .execute(),
      (row) => row.user_id,
    ),
    switchedOffOf: grouped<{ user_id: string; kind: string }>(
      (ids) => db.selectFrom('notification_off').selectAll().where('user_id', 'in', ids).execute(),
      (row) => row.user_id,
    ),
    visibleFieldsOf: new DataLoader<string, readonly SubmittedField[]>(async (messageIds) => {
      const rows = await db.selectFrom('form_submission').select(['message_id', 'fields']).where('message_id', 'in', messageIds).execute();
      const found = new Map(rows.map((row) => [row.message_id, row.fields.filter(({ hidden }) => !hidden)]));
      return messageIds.map((id) => found.get(id) ?? []);
    }),
    replyChannelsOf: new DataLoader<string, readonly ReplyChannelRow[]>(async (conversationIds) => {
      const found = await replyChannelsOf(db, plugins, userId, conversationIds);
      return conversationIds.map((id) => found.get(id) ?? []);
    }),
    presenceOf: new DataLoader<string, VisitorPresence | null>(async (conversationIds) => {
      const found = await presenceOf(db, conversationIds);
      return conversationIds.map((id) => found.get(id) ?? null);
    }),
    messagingWindowOf: new DataLoader<string, ConversationWindow | null>(async (conversationIds) => {
      const found = await windowsOf(db, plugins, conversationIds);
      return conversationIds.map((id) => found.get(id) ?? null);
    }),
    mailOffOf: grouped<{ user_id: string; kind: string }>(
      (ids) => db.selectFrom('notification_mail_off').selectAll().where('user_id', 'in', ids).execute(),
      (row) => row.user_id,
    ),
    lastMessageOf: new DataLoader<string, MessageRow | null>(async (conversationIds) => {
      const { rows } = await sql<MessageRow>`
        select newest.* from unnest(${[...conversationIds]}::uuid[]) as asked (id)
        cross join lateral (
          select * from message where message.conversation_id = asked.id and message.direction <> 'COMMENT'
          order by message.occurred_at desc, message.arrival desc limit 1
        ) newest`.execute(db);
      const found = new Map(rows.map((row) => [row.conversation_id, row]));
      return conversationIds.map((id) => found.get(id) ?? null);
    }),
  };

  return {
    ...loaders,

    /** Forgets what was read. */
    clear(): void {
      for (const loader of Object.values(loaders)) loader.clearAll();
      nested.clear();
    },

    /** One page of a root list. */
    async page<TB extends keyof Database, Row>(
      args: PageArguments,
      order: Order,
      query: SelectQueryBuilder<Database, TB, Row>,
    ): Promise<Connection<Keyed<Row>>> {
      const request = pageRequest(args, order);
      return toConnection(await onPage(query, order, request).execute(), request);
    },

    /**
     * One page of each of many parents' lists in one statement. `build` gets the visibility and the parent's id as an expression;
     * `name` tells the list apart from others.
     */
    async nestedPage<Row>(
      name: string,
      parentId: string,
      args: PageArguments,
      order: Order,
      build: (parent: RawBuilder<string>, visible: Visibility) => SelectQueryBuilder<Database, keyof Database, Row>,
    ): Promise<Connection<Row>> {
      const request = pageRequest(args, order);
      const key = `${name} ${JSON.stringify(request)}`;
      let loader = nested.get(key);
      if (loader === undefined) {
        loader = new DataLoader<string, Connection<unknown>>(async (parents) => {
          const query = onPage(build(sql<string>`asked.parent`, await see()), order, request);
          const { rows } = await sql<Keyed<Row> & { parent_id: string }>`
            select asked.parent as parent_id, found.* from unnest(${[...parents]}::uuid[]) with ordinality as asked (parent, place_in_list)
            cross join lateral ${query} found order by asked.place_in_list, ${inOrder(order, request.backward)}`.execute(db);
          const groups = Map.groupBy(rows, (row) => row.parent_id);
          return parents.map((parent) => toConnection(groups.get(parent) ?? [], request));
        });
        nested.set(key, loader);
      }
      return (await loader.load(parentId)) as Connection<Row>;
    },
  };
}

/** A join need not keep the order of its inner query. */
function inOrder(order: Order, backward: boolean): RawBuilder<unknown> {
  const direction = sql.raw((order.descending === true) === backward ? 'asc' : 'desc');
  return sql.join(order.keys.map((key, at) => sql`found.cursor_keys[${sql.raw(String(at + 1))}]::${sql.raw(key.cast)} ${direction}`));
}

/** Where those whom a rule `t.rule_id` names must have access: the place of its channel, or of an SLA policy's rule the help desk. */
const placeOfRule = sql`(select coalesce((select c.place_id from channel c where c.routing_rule_id = t.rule_id),
      (select id from place where kind = 'HELP_DESK')) as place_id)`;

/** Why a user `u` can get nothing in the place `h.place_id`; null: they can. */
const USER_REASON = sql<string | null>`case when u.deactivated_at is not null then 'DEACTIVATED' when u.seat <> 'PAID' then 'NO_SEAT'
        when not exists (select from place_assignable a where a.place_id = h.place_id and a.user_id = u.id) then 'NO_ACCESS' end`;

/** Whom rules name, and why they can get nothing now. */
function targetStates(ruleIds: readonly string[]): RawBuilder<RuleTargetRow> {
  return sql<RuleTargetRow>`
    select t.rule_id, t.user_id, t.team_id, case
      when t.user_id is not null then ${USER_REASON}
      when not exists (select from team_member m where m.team_id = t.team_id and m.kind = 'PRIMARY') then 'NO_PRIMARY_MEMBER'
      when not exists (select from team_member m join app_user p on p.id = m.user_id and p.deactivated_at is null and p.seat = 'PAID'
        join place_assignable a on a.user_id = p.id and a.place_id = h.place_id where m.team_id = t.team_id and m.kind = 'PRIMARY') then 'NOBODY_ASSIGNABLE'
      end as reason
    from routing_rule_target t cross join lateral ${placeOfRule} h left join app_user u on u.id = t.user_id
    where t.rule_id = any(${[...ruleIds]}::uuid[]) order by t.team_id nulls first, t.user_id`;
}

function byId<Row extends { readonly id: string | number }>(fetch: (ids: readonly string[]) => Promise<Row[]>): DataLoader<string, Row | null> {
  return new DataLoader<string, Row | null>(async (ids) => {
    const found = new Map((await fetch(ids)).map((row) => [String(row.id), row]));
    return ids.map((id) => found.get(id) ?? null);
  });
}

function grouped<Row>(fetch: (ids: readonly string[]) => Promise<Row[]>, keyOf: (row: Row) => string): DataLoader<string, Row[]> {
  return new DataLoader<string, Row[]>(async (ids) => {
    const groups = Map.groupBy(await fetch(ids), keyOf);
    return ids.map((id) => groups.get(id) ?? []);
  });
}
