import type { Plugin } from '../index.ts';
import type { ConformanceCheck, Subject } from './check.ts';
import { anyBytesChecks } from './checks/any-bytes.ts';
import { askingChecks } from './checks/asking.ts';
import { attachmentChecks } from './checks/attachments.ts';
import { callChecks } from './checks/calls.ts';
import { catchUpChecks } from './checks/catch-up.ts';
import { choiceChecks } from './checks/choices.ts';
import { connectionChecks } from './checks/connection.ts';
import { definitionChecks } from './checks/definition.ts';
import { deliveryChecks } from './checks/deliveries.ts';
import { fromSettingsChecks } from './checks/from-settings.ts';
import { isolationChecks } from './checks/isolation.ts';
import { limitChecks } from './checks/limits.ts';
import { listenerChecks } from './checks/listener.ts';
import { liveChecks } from './checks/live.ts';
import { pageChecks } from './checks/pages.ts';
import { secretChecks } from './checks/secrets.ts';
import { sendingChecks } from './checks/sending.ts';
import { settingsChecks } from './checks/settings.ts';
import { sharedDoorChecks } from './checks/shared-door.ts';
import { templateChecks } from './checks/templates.ts';
import { threadingChecks } from './checks/threading.ts';
import { webhookChecks } from './checks/webhook.ts';
import type { ConformanceSamples } from './samples.ts';

const GROUPS: readonly ((subject: Subject) => ConformanceCheck[])[] = [
  definitionChecks,
  settingsChecks,
  fromSettingsChecks,
  connectionChecks,
  askingChecks,
  webhookChecks,
  sharedDoorChecks,
  deliveryChecks,
  threadingChecks,
  anyBytesChecks,
  attachmentChecks,
  sendingChecks,
  limitChecks,
  choiceChecks,
  templateChecks,
  callChecks,
  catchUpChecks,
  pageChecks,
  liveChecks,
  listenerChecks,
  isolationChecks,
  secretChecks,
];

/** What a test runner gives: vitest, `node:test` and their like. */
export interface Runner {
  describe(name: string, body: () => void): unknown;
  test(name: string, body: () => Promise<void>): unknown;
}

/** Every check that this plugin, by its capabilities, must pass. */
export function conformanceChecks(plugin: Plugin, samples: ConformanceSamples): readonly ConformanceCheck[] {
  return GROUPS.flatMap((checks) => checks({ plugin, samples }));
}

/** Registers every check with a test runner (PLUG-10). */
export function describeConformance(runner: Runner, plugin: Plugin, samples: ConformanceSamples): void {
  runner.describe(`plugin "${plugin.key}" keeps the contract`, () => {
    for (const { name, rule, run } of conformanceChecks(plugin, samples)) runner.test(`${name} [${rule}]`, run);
  });
}
