import type { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { SEARCH_ATTRIBUTES as NAMED } from '#workflows/contract.ts';

/** The kinds of search attribute in use, with their numbers in Temporal's `IndexedValueType`. */
const KINDS = { Keyword: 2, Int: 3 } as const;

/** What an operator filters by in the UI. Ids and enumerated values only: they are never encrypted. */
export const SEARCH_ATTRIBUTES = {
  [NAMED.channel]: 'Keyword',
  [NAMED.plugin]: 'Keyword',
  [NAMED.ticket]: 'Int',
  [NAMED.ticketStatus]: 'Keyword',
  [NAMED.owner]: 'Keyword',
  [NAMED.slaState]: 'Keyword',
  [NAMED.migrationState]: 'Keyword',
} as const satisfies Record<string, keyof typeof KINDS>;

/** Days a closed workflow is kept. The dev server's own default, one day, loses the story before anybody asks. */
export const RETENTION_DAYS = 30;

const DAY_SECONDS = 86_400;
const CALL_TIMEOUT_MS = 10_000;

/** What is not as it should be, in words; empty when everything is in place. Changes nothing. */
export async function missingTemporalSetup(connection: Connection, namespace: string): Promise<readonly string[]> {
  const found = await inspect(connection, namespace);
  if (!found.exists) return [`namespace ${namespace}`];
  return [
    ...found.missing.map((name) => `search attribute ${name} (${kindOf(name)})`),
    ...found.mistyped.map((name) => `search attribute ${name} is not of type ${kindOf(name)}`),
    ...(found.retentionDays === RETENTION_DAYS ? [] : [`retention of ${RETENTION_DAYS} days (it is ${found.retentionDays})`]),
  ];
}

/**
 * Registers the search attributes and sets the retention; again and again without harm. Returns what it changed.
 * Throws when the namespace does not exist or a search attribute has another type, which only an operator can mend.
 */
export async function ensureTemporalSetup(connection: Connection, namespace: string): Promise<readonly string[]> {
  const found = await inspect(connection, namespace);
  if (!found.exists) {
    throw new Error(
      `Temporal has no namespace "${namespace}". Make it with \`temporal operator namespace create -n ${namespace}\`, or set TEMPORAL_NAMESPACE.`,
    );
  }
  if (found.mistyped.length > 0) {
    const wrong = found.mistyped.map((name) => `${name} (should be ${kindOf(name)})`).join(', ');
    throw new Error(`Search attributes of namespace "${namespace}" have another type: ${wrong}.`);
  }
  const changed: string[] = [];
  if (found.missing.length > 0) {
    await addSearchAttributes(connection, namespace, found.missing);
    changed.push(...found.missing.map((name) => `search attribute ${name} (${kindOf(name)})`));
  }
  if (found.retentionDays !== RETENTION_DAYS) {
    await call(connection, () =>
      connection.workflowService.updateNamespace({
        namespace,
        config: { workflowExecutionRetentionTtl: msToTs(RETENTION_DAYS * DAY_SECONDS * 1000) },
      }),
    );
    changed.push(`retention of ${RETENTION_DAYS} days`);
  }
  return changed;
}

type AttributeName = keyof typeof SEARCH_ATTRIBUTES;
const NAMES = Object.keys(SEARCH_ATTRIBUTES) as readonly AttributeName[];
const kindOf = (name: AttributeName) => SEARCH_ATTRIBUTES[name];

type Found = {
  readonly exists: boolean;
  readonly missing: readonly AttributeName[];
  readonly mistyped: readonly AttributeName[];
  readonly retentionDays: number;
};

async function inspect(connection: Connection, namespace: string): Promise<Found> {
  let retentionSeconds: number;
  try {
    const { config } = await call(connection, () => connection.workflowService.describeNamespace({ namespace }));
    retentionSeconds = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0);
  } catch (error) {
    if (grpcCode(error) === NOT_FOUND) return { exists: false, missing: NAMES, mistyped: [], retentionDays: 0 };
    throw error;
  }
  const { customAttributes } = await call(connection, () => connection.operatorService.listSearchAttributes({ namespace }));
  const present = customAttributes ?? {};
  return {
    exists: true,
    missing: NAMES.filter((name) => present[name] === undefined),
    mistyped: NAMES.filter((name) => present[name] !== undefined && present[name] !== KINDS[kindOf(name)]),
    retentionDays: retentionSeconds / DAY_SECONDS,
  };
}

async function addSearchAttributes(connection: Connection, namespace: string, names: readonly AttributeName[]) {
  const searchAttributes = Object.fromEntries(names.map((name) => [name, KINDS[kindOf(name)]]));
  try {
    await call(connection, () => connection.operatorService.addSearchAttributes({ namespace, searchAttributes }));
  } catch (error) {
    // Two deployments may run the setup at the same moment; the other one's is as good.
    if (grpcCode(error) !== ALREADY_EXISTS) throw error;
  }
}

const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;

function grpcCode(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined;
}

function call<Value>(connection: Connection, run: () => Promise<Value>): Promise<Value> {
  return connection.withDeadline(Date.now() + CALL_TIMEOUT_MS, run);
}
