import { sql, type RawBuilder } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { userOfIdentity } from '#commands/sign-in.ts';
import type { Role, TokenScope } from '#db/schema.ts';
import { reaches } from './roles.ts';

/** What a request came with: a token of ours, or one of an OpenID Connect provider. */
export type Credential =
  | { readonly kind: 'token'; readonly tokenId: string; readonly expiresAt: Date | null }
  | { readonly kind: 'sign-in'; readonly issuer: string; readonly subject: string; readonly expiresAt: Date };

/** Who asks, as their token says. */
export interface Viewer {
  readonly userId: string;
  readonly role: Role;
  /** What the token may do besides reading; `*`: all that the role may. */
  readonly scopes: readonly TokenScope[];
  readonly credential: Credential;
}

/**
 * THE place where access is decided, one condition per type (API-6). Every read, by id, as a list, by a mutation or in a stream, narrows
 * its statement with one of these, so what one may not see is not found. Each is over the unaliased table of its name.
 */
export interface Visibility {
  /** The places whose access list names the viewer; a role adds none (MODEL-11). */
  readonly placeIds: readonly string[];
  /** Null: the viewer has no access to it. */
  readonly helpDeskId: string | null;
  readonly place: RawBuilder<boolean>;
  readonly channel: RawBuilder<boolean>;
  readonly chatflow: RawBuilder<boolean>;
  readonly contact: RawBuilder<boolean>;
  readonly conversation: RawBuilder<boolean>;
  readonly message: RawBuilder<boolean>;
  readonly attachment: RawBuilder<boolean>;
  readonly form_submission: RawBuilder<boolean>;
  readonly ticket: RawBuilder<boolean>;
  /** The same for the help desk's list, over `ticket` left-joined with its `conversation`: there is one help desk, so this asks no row of its own. */
  readonly helpDeskTicket: RawBuilder<boolean>;
  readonly routing_rule: RawBuilder<boolean>;
  readonly routing_decision: RawBuilder<boolean>;
  readonly event: RawBuilder<boolean>;
  readonly notification: RawBuilder<boolean>;
  readonly api_token: RawBuilder<boolean>;
  readonly sign_in_identity: RawBuilder<boolean>;
  readonly raw_delivery: RawBuilder<boolean>;
  readonly filtered_message: RawBuilder<boolean>;
  readonly sender_rule: RawBuilder<boolean>;
  readonly system_mail: RawBuilder<boolean>;
  readonly ticket_import: RawBuilder<boolean>;
  readonly webhook: RawBuilder<boolean>;
  readonly webhook_delivery: RawBuilder<boolean>;
  readonly sla_reevaluation: RawBuilder<boolean>;
  readonly channel_migration: RawBuilder<boolean>;
  /** Users, teams, pipelines and statuses, calendars and SLA policies: any user sees them. */
  readonly anybody: RawBuilder<boolean>;
}

/** Reads the viewer's places and says what they see. Asked once a request, and again for every batch of a stream. */
export async function visibilityOf(db: Db | Tx, viewer: Viewer): Promise<Visibility> {
  const rows = await db
    .selectFrom('place_member')
    .innerJoin('place', 'place.id', 'place_member.place_id')
    .select(['place.id', 'place.kind'])
    .where('place_member.user_id', '=', viewer.userId)
    .execute();
  return visibility(viewer, rows.map((row) => row.id).toSorted(), rows.find((row) => row.kind === 'HELP_DESK')?.id ?? null);
}

function visibility(viewer: Viewer, placeIds: readonly string[], helpDeskId: string | null): Visibility {
  const helpDesk = helpDeskId !== null;
  const admin = reaches(viewer.role, 'ADMIN');
  const inPlaces = (column: string) => sql<boolean>`${sql.ref(column)} = any(${[...placeIds]}::uuid[])`;
  const yes = sql<boolean>`true`;
  const no = sql<boolean>`false`;
  const conversationSeen = (column: string) =>
    sql<boolean>`exists (select 1 from conversation seen where seen.id = ${sql.ref(column)} and ${inPlaces('seen.place_id')})`;
  // A ticket is seen where its conversation lives; without one it is the help desk's (MODEL-9).
  const ticket = sql<boolean>`case when ticket.conversation_id is null then ${helpDesk}::boolean else ${conversationSeen('ticket.conversation_id')} end`;
  const ofTicket = (column: string) => sql<boolean>`exists (select 1 from ticket where ticket.id = ${sql.ref(column)} and ${ticket})`;
  const channel = admin ? yes : inPlaces('channel.place_id');
  return {
    placeIds,
    helpDeskId,
    anybody: yes,
    place: admin ? yes : inPlaces('place.id'),
    channel,
    chatflow: sql<boolean>`exists (select 1 from channel where channel.id = chatflow.channel_id and ${channel})`,
    contact: sql<boolean>`(contact.owner_id = ${viewer.userId}::uuid
      or exists (select 1 from conversation seen where seen.contact_id = contact.id and ${inPlaces('seen.place_id')}))`,
    conversation: inPlaces('conversation.place_id'),
    message: conversationSeen('message.conversation_id'),
    form_submission: sql<boolean>`exists (select 1 from message said where said.id = form_submission.message_id and ${conversationSeen('said.conversation_id')})`,
    attachment: sql<boolean>`exists (select 1 from message where message.id = attachment.message_id and ${conversationSeen('message.conversation_id')})`,
    ticket,
    helpDeskTicket: helpDesk ? sql<boolean>`(ticket.conversation_id is null or conversation.place = 'HELP_DESK')` : no,
    // A channel's, or one that an SLA policy assigns by: those are seen by all, as their policy is.
    routing_rule: sql<boolean>`(exists (select 1 from channel where channel.routing_rule_id = routing_rule.id and ${channel})
      or exists (select 1 from sla_policy p join sla_terms s on s.id = p.terms_id
        where s.actions @> jsonb_build_array(jsonb_build_object('act', jsonb_build_object('ruleId', routing_rule.id)))))`,
    routing_decision: sql<boolean>`case when routing_decision.conversation_id is null
      then ${ofTicket('routing_decision.ticket_id')} else ${conversationSeen('routing_decision.conversation_id')} end`,
    // The place as it was when it happened; what has none is an admin's matter, or that of whom it is about.
    event: sql<boolean>`case when event.place_id is null
      then ${admin}::boolean or event.user_id = ${viewer.userId}::uuid else ${inPlaces('event.place_id')} end`,
    notification: sql<boolean>`notification.user_id = ${viewer.userId}::uuid`,
    api_token: reaches(viewer.role, 'SUPER_ADMIN') ? yes : sql<boolean>`api_token.user_id = ${viewer.userId}::uuid`,
    sign_in_identity: reaches(viewer.role, 'SUPER_ADMIN') ? yes : sql<boolean>`sign_in_identity.user_id = ${viewer.userId}::uuid`,
    ticket_import: admin ? yes : no,
    sla_reevaluation: admin ? yes : no,
    // That one runs is told to all, as a notice.
    channel_migration: admin ? yes : no,
    system_mail: admin ? yes : no,
    webhook: admin ? sql<boolean>`webhook.deleted_at is null` : no,
    webhook_delivery: admin ? yes : no,
    // Whoever has access to the channel's place: it is what people wrote, so a role adds nothing.
    filtered_message: sql<boolean>`exists (select 1 from channel seen where seen.id = filtered_message.channel_id and ${inPlaces('seen.place_id')})`,
    sender_rule: admin ? yes : no,
    raw_delivery: admin ? sql<boolean>`raw_delivery.state = 'SET_ASIDE'` : no,
  };
}

/** The condition `event`, for rows that were read already. */
export function seesEvent(viewer: Viewer, visible: Visibility, event: { readonly place_id: string | null; readonly user_id: string | null }): boolean {
  if (event.place_id === null) return reaches(viewer.role, 'ADMIN') || event.user_id === viewer.userId;
  return visible.placeIds.includes(event.place_id);
}

/** The viewer as they are now: null once they are deactivated, or what they came with is revoked or over. For streams, which outlive the request's own check. */
export async function viewerNow(db: Db, viewer: Viewer): Promise<Viewer | null> {
  const { credential } = viewer;
  if (credential.kind === 'sign-in') {
    if (credential.expiresAt.getTime() <= Date.now()) return null;
    const user = await userOfIdentity(db, credential);
    return user === undefined || user.userId !== viewer.userId ? null : { ...viewer, role: user.role };
  }
  const token = await activeToken(db).where('api_token.id', '=', credential.tokenId).executeTakeFirst();
  return token === undefined ? null : { ...viewer, role: token.role };
}

/** Tokens that count now, with whom they belong to. */
export function activeToken(db: Db) {
  return db
    .selectFrom('api_token')
    .innerJoin('app_user', 'app_user.id', 'api_token.user_id')
    .select(['api_token.id as tokenId', 'api_token.scopes', 'api_token.expires_at as expiresAt', 'app_user.id as userId', 'app_user.role'])
    .where('api_token.revoked_at', 'is', null)
    .where((eb) => eb.or([eb('api_token.expires_at', 'is', null), eb('api_token.expires_at', '>', sql<Date>`now()`)]))
    .where('app_user.deactivated_at', 'is', null);
}
