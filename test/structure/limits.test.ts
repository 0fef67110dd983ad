import { expect, test } from 'vitest';
import { LIMITS as PARSE_LIMITS } from '#activities/limits.ts';
import { AVAILABLE_MS } from '#api/doors/availability-cache.ts';
import { VERIFY_MS } from '#api/doors/webhooks.ts';
import { LIMITS as API_LIMITS, RATES } from '#api/limits.ts';
import { PIECE_BYTES } from '#commands/blobs.ts';
import { MOST_CAPACITY } from '#commands/capacity.ts';
import { CHECK_EVERY_MINUTES, RENEWALS_FAILED } from '#commands/channel-health.ts';
import { STATE_BYTES } from '#commands/channel-state.ts';
import { TYPING_FRESH_SECONDS } from '#commands/contact-typing.ts';
import { INTAKE_AHEAD_SECONDS, MAX_TRIES } from '#commands/intake.ts';
import { HISTORY_AFTER_HOURS } from '#commands/intake-batch.ts';
import { GONE_AFTER_SECONDS } from '#commands/presence.ts';
import { NAMED_OF_TEAM } from '#commands/migration-obstacles.ts';
import { PREFLIGHT_STATEMENT_MS } from '#commands/migration-preflight.ts';
import { HTML_LIMITS } from '#commands/safe-html.ts';
import { CHATFLOWS_PER_CHANNEL } from '#commands/chatflows.ts';
import { HELD_SECONDS, TELL_SECONDS } from '#commands/provider-calls.ts';
import { RENEW_AFTER_HOURS, RENEW_AGAIN_MINUTES, RENEW_ASK_SECONDS } from '#commands/renewals.ts';
import { RETENTION_DAYS } from '#commands/retention.ts';
import { ASK_AGAIN_SECONDS, TRANSCRIPT_MESSAGES, TRANSCRIPTS_OF_CHANNEL, TRANSCRIPTS_TO_ADDRESS } from '#commands/transcripts.ts';
import { TEMPLATES_REMEMBERED_SECONDS, TEMPLATES_SECONDS } from '#commands/templates.ts';
import { UNUSED_UPLOADS } from '#commands/uploads.ts';
import { HISTORY_PAGE } from '#commands/visitor-messages.ts';
import { FETCH_TRIES } from '#domain/attachments.ts';
import { CHATFLOW_LIMITS, GIVE_UP_MINUTES } from '#domain/chatflow.ts';
import { MAX_FILE_NAME_BYTES } from '#domain/file-names.ts';
import { GIVE_UP_AFTER_SECONDS, SEND_LIMIT_SECONDS } from '#domain/outbox.ts';
import { ACTIVE_SECONDS, EXPLAINED } from '#domain/routing.ts';
import { CONDITION_LIMITS } from '#domain/conditions.ts';
import { SKILL_LIMITS } from '#domain/skills.ts';
import { SLA_LIMITS } from '#domain/sla-policy.ts';
import { HORIZON_HOURS, TICKETS_PER_BATCH } from '#commands/sla-reevaluation.ts';
import { REPORT_LIMITS } from '#commands/sla-reports.ts';
import { MAIL_LIMIT_SECONDS } from '#domain/system-mail.ts';
import { WEBHOOK_LIMITS, WEBHOOK_LOST_SECONDS, WEBHOOK_TRIES } from '#domain/webhook.ts';
import { AVAILABILITY_LIMITS } from '#domain/working-hours.ts';
import { tableRows } from './markdown.ts';

const named = (prefix: string, limits: Readonly<Record<string, number>>) =>
  Object.entries(limits).map(([name, value]) => [`${prefix}.${name}`, value] as const);

const constants = new Map<string, number>([
  ...named('activities', PARSE_LIMITS),
  ...named('api', API_LIMITS),
  ...named('api', RATES),
  ['api.VERIFY_MS', VERIFY_MS],
  ['api.AVAILABLE_MS', AVAILABLE_MS],
  ['commands.TYPING_FRESH_SECONDS', TYPING_FRESH_SECONDS],
  ['commands.INTAKE_AHEAD_SECONDS', INTAKE_AHEAD_SECONDS],
  ['commands.MAX_TRIES', MAX_TRIES],
  ...named('commands.HTML_LIMITS', HTML_LIMITS),
  ...named('commands.RETENTION_DAYS', RETENTION_DAYS),
  ['commands.PIECE_BYTES', PIECE_BYTES],
  ['commands.UNUSED_UPLOADS', UNUSED_UPLOADS],
  ['commands.ASK_AGAIN_SECONDS', ASK_AGAIN_SECONDS],
  ['commands.TRANSCRIPT_MESSAGES', TRANSCRIPT_MESSAGES],
  ['commands.TRANSCRIPTS_TO_ADDRESS', TRANSCRIPTS_TO_ADDRESS],
  ['commands.TRANSCRIPTS_OF_CHANNEL', TRANSCRIPTS_OF_CHANNEL],
  ['commands.GONE_AFTER_SECONDS', GONE_AFTER_SECONDS],
  ['commands.HISTORY_PAGE', HISTORY_PAGE],
  ...named('domain.CHATFLOW_LIMITS', CHATFLOW_LIMITS),
  ...named('domain.AVAILABILITY_LIMITS', AVAILABILITY_LIMITS),
  ...named('domain.SKILL_LIMITS', SKILL_LIMITS),
  ...named('domain.CONDITION_LIMITS', CONDITION_LIMITS),
  ...named('domain.SLA_LIMITS', SLA_LIMITS),
  ...named('commands.REPORT_LIMITS', REPORT_LIMITS),
  ['commands.TICKETS_PER_BATCH', TICKETS_PER_BATCH],
  ['commands.PREFLIGHT_STATEMENT_MS', PREFLIGHT_STATEMENT_MS],
  ['commands.NAMED_OF_TEAM', NAMED_OF_TEAM],
  ['commands.HORIZON_HOURS', HORIZON_HOURS],
  ['commands.MOST_CAPACITY', MOST_CAPACITY],
  ['commands.HISTORY_AFTER_HOURS', HISTORY_AFTER_HOURS],
  ['commands.CHATFLOWS_PER_CHANNEL', CHATFLOWS_PER_CHANNEL],
  ['domain.GIVE_UP_MINUTES', GIVE_UP_MINUTES],
  ['domain.FETCH_TRIES', FETCH_TRIES],
  ['domain.MAX_FILE_NAME_BYTES', MAX_FILE_NAME_BYTES],
  ['domain.GIVE_UP_AFTER_SECONDS', GIVE_UP_AFTER_SECONDS],
  ['domain.SEND_LIMIT_SECONDS', SEND_LIMIT_SECONDS],
  ['domain.MAIL_LIMIT_SECONDS', MAIL_LIMIT_SECONDS],
  ...named('domain.WEBHOOK_LIMITS', WEBHOOK_LIMITS),
  ['domain.WEBHOOK_LOST_SECONDS', WEBHOOK_LOST_SECONDS],
  ['domain.WEBHOOK_TRIES', WEBHOOK_TRIES],
  ['domain.ACTIVE_SECONDS', ACTIVE_SECONDS],
  ['domain.EXPLAINED', EXPLAINED],
  ['commands.CHECK_EVERY_MINUTES', CHECK_EVERY_MINUTES],
  ['commands.RENEWALS_FAILED', RENEWALS_FAILED],
  ['commands.RENEW_AFTER_HOURS', RENEW_AFTER_HOURS],
  ['commands.RENEW_AGAIN_MINUTES', RENEW_AGAIN_MINUTES],
  ['commands.RENEW_ASK_SECONDS', RENEW_ASK_SECONDS],
  ['commands.STATE_BYTES', STATE_BYTES],
  ['commands.TELL_SECONDS', TELL_SECONDS],
  ['commands.HELD_SECONDS', HELD_SECONDS],
  ['commands.TEMPLATES_SECONDS', TEMPLATES_SECONDS],
  ['commands.TEMPLATES_REMEMBERED_SECONDS', TEMPLATES_REMEMBERED_SECONDS],
]);

test('docs/limits.md says what the code does [PLUG-11, API-7]', () => {
  const documented = tableRows('docs/limits.md').filter(([name = '']) => /^(activities|api|commands|domain)\./.test(name));
  expect(Object.fromEntries(documented.map(([name, value = '']) => [name, Number(value.replaceAll(/[\s,]/g, ''))]))).toEqual(Object.fromEntries(constants));
});
