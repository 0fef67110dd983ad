import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { storeBlob } from '#commands/blobs.ts';
import { InvalidInput, NotFound } from '#commands/refusals.ts';
import { importBatch, previewTicketImport, startTicketImport, type ImportProgress } from '#commands/ticket-import.ts';
import { transact } from '#commands/unit.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeUser } from '../support/fixtures.ts';

let database: TestDatabase;
let admin: string;
beforeAll(async () => {
  database = await testDatabase();
  admin = await makeUser(database.db, { role: 'ADMIN' });
});
afterAll(() => database.drop());

async function upload(content: string, userId = admin): Promise<string> {
  const { db } = database;
  const { sha256, bytes } = await storeBlob(db, Buffer.from(content));
  const row = { user_id: userId, sha256, file_name: 'tickets', type: 'text/plain', bytes };
  const { id } = await db.insertInto('upload').values(row).returning('id').executeTakeFirstOrThrow();
  return id;
}

async function start(content: string, format: 'CSV' | 'NDJSON', source: string): Promise<string> {
  const uploadId = await upload(content);
  const { value } = await transact(database.db, { actor: 'USER', userId: admin }, (unit) =>
    startTicketImport(unit, { uploadId, userId: admin, format, source }),
  );
  return value.importId;
}

async function finish(importId: string): Promise<ImportProgress> {
  for (;;) {
    const { value } = await importBatch(database.db, importId);
    if (value.state !== 'RUNNING') return value;
  }
}

const ticketsOf = (importId: string) => database.db.selectFrom('ticket').selectAll().where('import_id', '=', importId).orderBy('number').execute();

describe('an import of tickets', () => {
  it('makes a ticket of every good line and names every bad one, with owner, dates and properties [MODEL-8]', async () => {
    const { db } = database;
    const { email } = await db.selectFrom('app_user').select('email').where('id', '=', admin).executeTakeFirstOrThrow();
    const file = [
      'name,externalId,owner,status,createdAt,colour',
      `A lamp,1,${email},Closed,2024-01-02T03:04:05Z,red`,
      ',2,,,,',
      'A bulb,3,nobody@out.example,Nope,,',
      'A door,4,,,,',
    ];
    const id = await start(file.join('\n'), 'CSV', 'old desk');
    expect(await finish(id)).toMatchObject({ state: 'DONE', created: 2, known: 0, bad: 2, line: 5 });
    const [lamp, door] = await ticketsOf(id);
    expect(lamp).toMatchObject({
      name: 'A lamp',
      source: 'IMPORT',
      owner_id: admin,
      properties: { colour: 'red' },
      external_id: 'old desk/1',
      conversation_id: null,
    });
    expect(lamp?.created_at.toISOString()).toBe('2024-01-02T03:04:05.000Z');
    expect(lamp?.closed_at).not.toBeNull();
    expect(door).toMatchObject({ name: 'A door', owner_id: null, closed_at: null, route_pending_since: null });
    const problems = await db.selectFrom('ticket_import_problem').select(['line', 'problems']).where('import_id', '=', id).orderBy('line').execute();
    expect(problems.map((one) => one.line)).toEqual([3, 4]);
    expect(JSON.stringify(problems)).not.toContain('out.example');
    // The file itself is kept no longer than it is read.
    expect(await db.selectFrom('ticket_import').select('sha256').where('id', '=', id).executeTakeFirstOrThrow()).toEqual({ sha256: null });
    expect(await db.selectFrom('notification').select('id').execute()).toEqual([]);
    expect((await checkInvariants(db)).filter((one) => one.violations > 0)).toEqual([]);
  });

  it('is done once, however many take it in at once and however often it is begun anew [MODEL-8]', async () => {
    const lines = Array.from({ length: 2_300 }, (_, index) => JSON.stringify({ name: `Ticket ${index}`, ...(index % 7 === 0 ? { priority: 'x' } : {}) }));
    const id = await start(lines.join('\n'), 'NDJSON', 'many');
    await Promise.all(Array.from({ length: 20 }, () => finish(id)));
    const good = lines.filter((line) => !line.includes('priority')).length;
    expect(await finish(id)).toMatchObject({ state: 'DONE', created: good, bad: 2_300 - good, line: 2_300 });
    expect(new Set((await ticketsOf(id)).map((one) => one.name)).size).toBe(good);
    expect(await ticketsOf(id)).toHaveLength(good);
  });

  it('leaves what its source has brought before as it is, and keeps sources apart [MODEL-8]', async () => {
    const file = '{"name":"One","externalId":"7"}\n{"name":"Again","externalId":"7"}\n{"name":"No id"}';
    const [first, second, other] = [await start(file, 'NDJSON', 'here'), await start(file, 'NDJSON', 'here'), await start(file, 'NDJSON', 'there')];
    expect(await finish(first)).toMatchObject({ created: 2, known: 1 });
    expect(await finish(second)).toMatchObject({ created: 1, known: 2 });
    expect(await finish(other)).toMatchObject({ created: 2, known: 1 });
    expect((await ticketsOf(first)).map((one) => one.name).toSorted()).toEqual(['No id', 'One']);
  });

  it('stops where a file can not be read any further, keeps what it has, and says where [MODEL-8]', async () => {
    expect(await finish(await start('title,x\n1,2\n', 'CSV', 'no name'))).toMatchObject({ state: 'FAILED', created: 0 });
    const id = await start(`name,x\nOne,1\nTwo,"${'x'.repeat(5_000_000)}`, 'CSV', 'open quote');
    expect(await finish(id)).toMatchObject({ state: 'FAILED', created: 1 });
    const row = await database.db.selectFrom('ticket_import').select('reason').where('id', '=', id).executeTakeFirstOrThrow();
    expect(row.reason).toMatch(/^line 3 and what follows is not readable/);
  });

  it("takes nobody else's upload, and no source without a name [MODEL-8]", async () => {
    const foreign = await upload('{}', await makeUser(database.db));
    const begin = (uploadId: string, source: string) =>
      transact(database.db, { actor: 'USER', userId: admin }, (unit) => startTicketImport(unit, { uploadId, userId: admin, format: 'CSV', source }));
    await expect(begin(foreign, 'x')).rejects.toBeInstanceOf(NotFound);
    await expect(begin(await upload('{}'), ' ')).rejects.toBeInstanceOf(InvalidInput);
  });

  it('tells beforehand what the first lines would become, and writes nothing [MODEL-8]', async () => {
    const before = await database.db.selectFrom('ticket').select('id').execute();
    const uploadId = await upload('name;priority\nA;HIGH\nB;loud\nC;\n');
    const preview = await previewTicketImport(database.db, { uploadId, userId: admin, format: 'CSV' }, 2);
    expect(preview.columns?.slice(1)).toEqual(['name', 'priority']);
    expect(preview.lines.map(({ line, ticket, problems }) => [line, ticket?.priority ?? null, problems.map((one) => one.field)])).toEqual([
      [2, 'HIGH', []],
      [3, null, ['priority']],
    ]);
    expect(await database.db.selectFrom('ticket').select('id').execute()).toHaveLength(before.length);
  });
});
