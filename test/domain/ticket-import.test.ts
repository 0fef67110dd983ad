import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTicketLine, type ImportNames } from '#domain/ticket-import.ts';

const NOW = Date.UTC(2026, 5, 1);
const names: ImportNames = {
  statuses: new Map([
    ['new', { id: 'status-new', closed: false }],
    ['closed', { id: 'status-closed', closed: true }],
  ]),
  firstOpen: { id: 'status-new' },
  firstClosed: { id: 'status-closed' },
  owners: new Map([['ada@acme.example', 'user-ada']]),
};

const ticketOf = (record: Record<string, unknown>) => {
  const read = readTicketLine(record, names, NOW);
  if (!('ticket' in read)) throw new Error(JSON.stringify(read.problems));
  return read.ticket;
};
const problemsOf = (record: Record<string, unknown>) => {
  const read = readTicketLine(record, names, NOW);
  return 'ticket' in read ? [] : read.problems;
};

describe('a line of an import', () => {
  it('gives a ticket with all that it says [MODEL-8]', () => {
    expect(
      ticketOf({
        externalId: 'Z-17',
        name: ' A lamp ',
        description: 'It is broken.',
        status: 'CLOSED',
        priority: 'high',
        owner: 'Ada@Acme.example',
        createdAt: '2026-03-01T09:30:00+01:00',
        closedAt: '2026-03-02T09:30:00Z',
        properties: { rooms: 3 },
        'property.colour': 'red',
      }),
    ).toEqual({
      externalId: 'Z-17',
      name: 'A lamp',
      description: 'It is broken.',
      statusId: 'status-closed',
      closed: true,
      priority: 'HIGH',
      ownerId: 'user-ada',
      properties: { rooms: 3, colour: 'red' },
      createdAt: '2026-03-01T08:30:00.000Z',
      closedAt: '2026-03-02T09:30:00.000Z',
    });
  });

  it('needs a name only: the rest has defaults, and a moment of closing means closed [MODEL-8]', () => {
    expect(ticketOf({ name: 'A lamp' })).toMatchObject({ statusId: 'status-new', closed: false, priority: 'MEDIUM', ownerId: null, createdAt: null });
    expect(ticketOf({ name: 'A lamp', closedAt: '2026-03-02T09:30:00Z' })).toMatchObject({ statusId: 'status-closed', closed: true });
  });

  it('names everything that is wrong at once, and repeats nothing of it [MODEL-8]', () => {
    const secret = 'somebody@private.example';
    const problems = problemsOf({
      name: '',
      status: secret,
      priority: secret,
      owner: secret,
      createdAt: '2026-03-01 09:30',
      closedAt: '2031-03-01T09:30:00Z',
      description: 'x'.repeat(100_001),
      properties: { nested: {} },
    });
    expect(problems.map((one) => one.field).toSorted()).toEqual([
      'closedAt',
      'createdAt',
      'description',
      'name',
      'owner',
      'priority',
      'properties.nested',
      'status',
    ]);
    expect(JSON.stringify(problems)).not.toContain(secret);
  });

  it('refuses a close before the beginning, and one with an open status [MODEL-8]', () => {
    expect(problemsOf({ name: 'a', createdAt: '2026-03-02T00:00:00Z', closedAt: '2026-03-01T00:00:00Z' })).toEqual([
      { field: 'closedAt', message: 'is before createdAt' },
    ]);
    expect(problemsOf({ name: 'a', status: 'New', closedAt: '2026-03-01T00:00:00Z' })).toEqual([
      { field: 'closedAt', message: 'goes with a closed status only' },
    ]);
  });

  it('takes any object at all without an exception, and never makes a ticket without a name [MODEL-8]', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('name', 'status', 'priority', 'owner', 'createdAt', 'closedAt', 'properties', 'x', '__proto__'), fc.anything()),
        (record) => {
          const read = readTicketLine(record, names, NOW);
          if ('ticket' in read) expect(read.ticket.name).not.toBe('');
          else expect(read.problems.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
