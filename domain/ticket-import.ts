/** One line of a file of tickets, as it was read: a JSON object, or a row of a table under its header. */
export type ImportRecord = Readonly<Record<string, unknown>>;

/** What the account has that a line may name: names and addresses in lower case. */
export interface ImportNames {
  readonly statuses: ReadonlyMap<string, { readonly id: string; readonly closed: boolean }>;
  /** Where a line names no status. */
  readonly firstOpen: { readonly id: string };
  readonly firstClosed: { readonly id: string };
  /** Active users with access to the help desk, by mail address. */
  readonly owners: ReadonlyMap<string, string>;
}

/** A ticket to be made. */
export interface ImportedTicket {
  readonly externalId: string | null;
  readonly name: string;
  readonly description: string | null;
  readonly statusId: string;
  readonly closed: boolean;
  readonly priority: 'LOW' | 'MEDIUM' | 'HIGH' | 'URGENT';
  readonly ownerId: string | null;
  readonly properties: Readonly<Record<string, string | number | boolean | null>>;
  /** ISO 8601; null: when it is imported. */
  readonly createdAt: string | null;
  readonly closedAt: string | null;
}

/** What is wrong with a line. `message` never repeats what stands there. */
export interface ImportProblem {
  readonly field: string;
  readonly message: string;
}

export type ReadLine = { readonly ticket: ImportedTicket } | { readonly problems: readonly ImportProblem[] };

/** What a line may say; the documentation's table is held against these names. */
export const IMPORT_FIELDS = ['externalId', 'name', 'description', 'status', 'priority', 'owner', 'createdAt', 'closedAt'] as const;

const LONGEST = { externalId: 200, name: 500, description: 100_000, propertyName: 100, property: 10_000 } as const;
const MOST_PROPERTIES = 100;
const PRIORITIES = ['LOW', 'MEDIUM', 'HIGH', 'URGENT'] as const;
/** With an offset, for a moment without one is another moment in every office. */
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/;

/**
 * A line to a ticket, or everything that is wrong with it at once (MODEL-8). Other fields than the known ones, `property.<name>` and those
 * within an object `properties` become the ticket's custom properties. `now`: milliseconds since 1970.
 */
export function readTicketLine(record: ImportRecord, names: ImportNames, now: number): ReadLine {
  const problems: ImportProblem[] = [];
  const fail = (field: string, message: string): null => {
    problems.push({ field, message });
    return null;
  };
  const text = (field: keyof typeof LONGEST): string | null => {
    const value = record[field];
    if (value == null || value === '') return null;
    if (typeof value !== 'string' && typeof value !== 'number') return fail(field, 'must be a text');
    const trimmed = String(value).trim();
    if (trimmed.length > LONGEST[field]) return fail(field, `is longer than ${LONGEST[field]} characters`);
    if (trimmed.includes('\uFFFD') || trimmed.includes('\0')) return fail(field, 'is not UTF-8 text');
    return trimmed === '' ? null : trimmed;
  };

  const name = text('name');
  if (name === null && !problems.some((one) => one.field === 'name')) fail('name', 'is needed');
  const status = readStatus(record, names, fail);
  const priority = readPriority(record['priority'], fail);
  const ownerId = readOwner(record['owner'], names, fail);
  const createdAt = readMoment('createdAt', record['createdAt'], now, fail);
  const closedAt = readMoment('closedAt', record['closedAt'], now, fail);
  if (closedAt !== null && status !== null && !status.closed) fail('closedAt', 'goes with a closed status only');
  if (createdAt !== null && closedAt !== null && Date.parse(closedAt) < Date.parse(createdAt)) fail('closedAt', 'is before createdAt');
  const externalId = text('externalId');
  const description = text('description');
  const properties = readProperties(record, fail);
  if (problems.length > 0 || name === null || status === null || priority === null) return { problems };
  return {
    ticket: { externalId, name, description, statusId: status.id, closed: status.closed, priority, ownerId, properties, createdAt, closedAt },
  };
}

type Fail = (field: string, message: string) => null;

function readStatus(record: ImportRecord, names: ImportNames, fail: Fail): { readonly id: string; readonly closed: boolean } | null {
  const value = record['status'];
  if (value == null || value === '') {
    const closed = record['closedAt'] != null && record['closedAt'] !== '';
    return closed ? { id: names.firstClosed.id, closed } : { id: names.firstOpen.id, closed };
  }
  if (typeof value !== 'string') return fail('status', 'must be the name of a status');
  return names.statuses.get(value.trim().toLowerCase()) ?? fail('status', 'is not the name of a status of this pipeline');
}

function readPriority(value: unknown, fail: Fail): ImportedTicket['priority'] | null {
  if (value == null || value === '') return 'MEDIUM';
  const upper = typeof value === 'string' ? value.trim().toUpperCase() : '';
  return PRIORITIES.find((one) => one === upper) ?? fail('priority', `is none of ${PRIORITIES.join(', ')}`);
}

function readOwner(value: unknown, names: ImportNames, fail: Fail): string | null {
  if (value == null || value === '') return null;
  if (typeof value !== 'string') return fail('owner', 'must be the mail address of a user');
  return names.owners.get(value.trim().toLowerCase()) ?? fail('owner', 'is not the mail address of an active user with access to the help desk');
}

function readMoment(field: string, value: unknown, now: number, fail: Fail): string | null {
  if (value == null || value === '') return null;
  if (typeof value !== 'string' || !INSTANT.test(value.trim())) return fail(field, 'must be a moment with its offset, such as 2026-03-01T09:30:00Z');
  const at = Date.parse(value.trim());
  if (Number.isNaN(at)) return fail(field, 'is not a moment of the calendar');
  if (at > now) return fail(field, 'is in the future');
  return new Date(at).toISOString();
}

const KNOWN: ReadonlySet<string> = new Set([...IMPORT_FIELDS, 'properties']);

function readProperties(record: ImportRecord, fail: Fail): ImportedTicket['properties'] {
  const found: [string, string | number | boolean | null][] = [];
  const take = (field: string, name: string, value: unknown): void => {
    if (value === undefined || value === '') return;
    if (name === '' || name.length > LONGEST.propertyName) fail(field, `the name of a property has 1 to ${LONGEST.propertyName} characters`);
    else if (value !== null && !['string', 'number', 'boolean'].includes(typeof value)) fail(field, 'must be a text, a number, true, false or null');
    else if (typeof value === 'string' && value.length > LONGEST.property) fail(field, `is longer than ${LONGEST.property} characters`);
    else if (typeof value === 'string' && (value.includes('\uFFFD') || value.includes('\0'))) fail(field, 'is not UTF-8 text');
    else found.push([name, value as string | number | boolean | null]);
  };
  const nested = record['properties'];
  if (nested != null && nested !== '') {
    if (typeof nested !== 'object' || Array.isArray(nested)) fail('properties', 'must be an object');
    else for (const [name, value] of Object.entries(nested)) take(`properties.${shown(name)}`, name, value);
  }
  for (const [name, value] of Object.entries(record)) {
    if (!KNOWN.has(name)) take(shown(name), name.replace(/^property\./, ''), value);
  }
  if (found.length > MOST_PROPERTIES) fail('properties', `are more than ${MOST_PROPERTIES}`);
  return Object.fromEntries(found);
}

/** A column's own name is the file's, and may be anything. */
function shown(name: string): string {
  return name.length <= 60 ? name : `${name.slice(0, 59)}…`;
}
