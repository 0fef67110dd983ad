import './refusals.ts';
import './user.ts';
import './availability.ts';
import './token.ts';
import './team.ts';
import './place.ts';
import './pipeline.ts';
import './plugin.ts';
import './attachment.ts';
import './channel.ts';
import './chatflow.ts';
import './contact.ts';
import './conversation.ts';
import './message.ts';
import './submission.ts';
import './ticket.ts';
import './sla-goal.ts';
import './sla-report.ts';
import './routing.ts';
import './routing-decision.ts';
import './event.ts';
import './notification.ts';
import './system-sender.ts';
import './delivery.ts';
import './filtered.ts';
import './sender-rule.ts';
import './skill.ts';
import './ticket-import.ts';
import './webhook.ts';
import './migration.ts';
import './migration-preflight.ts';
import './calendar.ts';
import './sla-policy.ts';
import './sla-preview.ts';
import './subscription.ts';
import './sla-event.ts';
import './live.ts';
import './notice.ts';
import './mutations/conversation.ts';
import './mutations/contact.ts';
import './mutations/ticket.ts';
import './mutations/ticket-import.ts';
import './mutations/channel.ts';
import './mutations/chatflow.ts';
import './mutations/filtered.ts';
import './mutations/place.ts';
import './mutations/routing.ts';
import './mutations/skill.ts';
import './mutations/sla.ts';
import './mutations/pipeline.ts';
import './mutations/people.ts';
import './mutations/availability.ts';
import './mutations/token.ts';
import './mutations/notification.ts';
import './mutations/system-sender.ts';
import './mutations/webhook.ts';
import './mutations/migration.ts';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { builder } from '../builder.ts';

/** The whole schema, built once. */
export const schema = builder.toSchema();

/** As it stands in `api/schema.graphql` (API-9). */
export function printedSchema(): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}
