import { createAttachmentActivities } from './attachments.ts';
import { createCatchUpActivities } from './catch-up.ts';
import type { Dependencies, Engine } from './dependencies.ts';
import { createChatflowActivities } from './chatflow.ts';
import { createChannelCheckActivities } from './channel-check.ts';
import { createGuardianActivities } from './guardian.ts';
import { createIntakeActivities } from './intake.ts';
import { createMigrationActivities } from './migration.ts';
import { createMigrationSlaActivities } from './migration-sla.ts';
import { createOutboxActivities } from './outbox.ts';
import { createParsePool } from './parse-pool.ts';
import { createRenewalActivities } from './renewals.ts';
import { createRoutingActivities } from './routing.ts';
import { createRoutingRetryActivities } from './routing-retry.ts';
import { createSlaActivities } from './sla.ts';
import { createTicketImportActivities } from './ticket-import.ts';
import { createSystemMailActivities } from './system-mail.ts';
import { createTicketActivities } from './tickets.ts';
import { createWebhookActivities } from './webhooks.ts';

/** Everything the workflows call. */
export type Activities = ReturnType<typeof activitiesOf>;

/** The activities of one process, and how to end the threads behind them. */
export interface ActivitySet {
  readonly activities: Activities;
  readonly engine: Engine;
  close(): Promise<void>;
}

/** Binds the activities to what they need. The caller closes them after the workers have stopped. */
export function createActivities(dependencies: Dependencies): ActivitySet {
  const pool = createParsePool(dependencies.configUrl, dependencies.keys.signingKey);
  const engine: Engine = { ...dependencies, pool };
  return { activities: activitiesOf(engine), engine, close: () => pool.close() };
}

function activitiesOf(engine: Engine) {
  return {
    ...createTicketActivities(engine),
    ...createRoutingActivities(engine),
    ...createRoutingRetryActivities(engine),
    ...createIntakeActivities(engine),
    ...createAttachmentActivities(engine),
    ...createCatchUpActivities(engine),
    ...createOutboxActivities(engine),
    ...createChatflowActivities(engine),
    ...createGuardianActivities(engine),
    ...createSystemMailActivities(engine),
    ...createChannelCheckActivities(engine),
    ...createRenewalActivities(engine),
    ...createTicketImportActivities(engine),
    ...createSlaActivities(engine),
    ...createMigrationActivities(engine),
    ...createMigrationSlaActivities(engine),
    ...createWebhookActivities(engine),
  };
}
