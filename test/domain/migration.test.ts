import { describe, expect, it } from 'vitest';
import { BATCH_AIM_MS, becomes, mustWait, nextBatchSize, type Moving } from '#domain/migration.ts';

const moving = (more: Partial<Moving>): Moving => ({
  hasTicket: false,
  open: true,
  ownerId: 'owner',
  ownerHasAccess: true,
  openStatusId: 'open',
  closedStatusId: 'closed',
  ...more,
});

describe('what a conversation becomes', () => {
  it('keeps a ticket as it is, whoever has it [MIG-9]', () => {
    expect(becomes(moving({ hasTicket: true, ownerHasAccess: false, open: false }))).toEqual({
      ticket: 'KEPT',
      ownerId: 'owner',
      statusId: null,
      why: 'TICKET_KEPT',
    });
  });

  it('gives a new ticket the status of the mapping, and the owner if they have access [MIG-9]', () => {
    expect(becomes(moving({}))).toEqual({ ticket: 'NEW', ownerId: 'owner', statusId: 'open', why: 'OWNER_HAS_ACCESS' });
    expect(becomes(moving({ open: false, ownerHasAccess: false }))).toEqual({ ticket: 'NEW', ownerId: null, statusId: 'closed', why: 'OWNER_WITHOUT_ACCESS' });
    expect(becomes(moving({ ownerId: null, ownerHasAccess: false }))).toEqual({ ticket: 'NEW', ownerId: null, statusId: 'open', why: 'NOBODY_HAD_IT' });
  });
});

describe('live work comes first', () => {
  it('waits over three times the pace of the minute before, from 200 ms and twenty messages on [MIG-19]', () => {
    expect(mustWait({ p99Ms: 301, messages: 20 }, 100)).toBe(true);
    expect(mustWait({ p99Ms: 300, messages: 20 }, 100)).toBe(false);
    expect(mustWait({ p99Ms: 200, messages: 500 }, 10)).toBe(false);
    expect(mustWait({ p99Ms: 201, messages: 500 }, 10)).toBe(true);
    expect(mustWait({ p99Ms: 5_000, messages: 19 }, 100)).toBe(false);
    expect(mustWait({ p99Ms: 201, messages: 20 }, null)).toBe(true);
    expect(mustWait({ p99Ms: null, messages: 0 }, 100)).toBe(false);
  });

  it('takes as many at once as fit into its aim, growing at most twofold [MIG-19]', () => {
    const { besideLiveWork: aim } = BATCH_AIM_MS;
    expect(nextBatchSize(1_000, aim, aim)).toBe(1_000);
    expect(nextBatchSize(1_000, 2 * aim, aim)).toBe(500);
    expect(nextBatchSize(1_000, 1, aim)).toBe(2_000);
    expect(nextBatchSize(4_000, 1, aim)).toBe(5_000);
    expect(nextBatchSize(60, 10_000, aim)).toBe(50);
    // From one on, after what could not be moved was found.
    expect(nextBatchSize(1, 10_000, aim)).toBe(2);
    expect(nextBatchSize(1_000, BATCH_AIM_MS.alone, BATCH_AIM_MS.alone)).toBe(1_000);
  });
});
