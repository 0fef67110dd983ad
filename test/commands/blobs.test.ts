import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  BlobMissing,
  blobOf,
  dropOrphanBlobs,
  dropUnusedBlobs,
  PIECE_BYTES,
  readBlob,
  readBlobRange,
  readWholeBlob,
  spooled,
  storeBlob,
} from '#commands/blobs.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeUser } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
let userId: string;
beforeAll(async () => {
  // Other tests spool at the same time.
  process.env['TMPDIR'] = mkdtempSync(join(tmpdir(), 'trunkline-blobs-'));
  database = await testDatabase();
  db = database.db;
  userId = await makeUser(db);
});
afterAll(async () => {
  rmSync(tmpdir(), { recursive: true, force: true });
  await database.drop();
});

const hash = (content: Uint8Array) => createHash('sha256').update(content).digest();
const pieces = (sha256: Buffer) => db.selectFrom('blob_piece').select(['place', 'data']).where('sha256', '=', sha256).orderBy('place').execute();
const isThere = async (sha256: Buffer) => (await db.selectFrom('blob').select('bytes').where('sha256', '=', sha256).executeTakeFirst()) !== undefined;
const refer = (sha256: Buffer, to: Db = db) =>
  to.insertInto('upload').values({ user_id: userId, sha256, file_name: 'x', type: 'text/plain', bytes: 1 }).returning('id').executeTakeFirstOrThrow();
const longAgo = () => sql`update blob set created_at = now() - interval '2 hours'`.execute(db);

async function* chunksOf(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < content.length; from += size) yield content.subarray(from, from + size);
}

test.each([0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7])(
  'a file of %i bytes comes back whole, in pieces of a megabyte [CH-6]',
  async (size) => {
    const content = randomBytes(size);
    const stored = await storeBlob(db, content);
    expect(stored).toEqual({ sha256: hash(content), bytes: size });
    expect((await pieces(stored.sha256)).map((piece) => piece.data.length)).toEqual(
      Array.from({ length: Math.ceil(size / PIECE_BYTES) }, (_, place) => Math.min(PIECE_BYTES, size - place * PIECE_BYTES)),
    );
    expect((await readWholeBlob(db, stored.sha256)).equals(content)).toBe(true);
  },
);

test('a file of 50 MB is stored from a stream of odd chunks, never held whole, and nothing is left on the disk [CH-6]', async () => {
  const before = spools();
  const content = randomBytes(50 * 1024 * 1024);
  const stored = await spooled(chunksOf(content, 65_537), (source) => storeBlob(db, source));
  expect(stored).toEqual({ sha256: hash(content), bytes: content.length });
  const back = createHash('sha256');
  for await (const piece of readBlob(db, stored.sha256)) {
    expect(piece.length).toBeLessThanOrEqual(PIECE_BYTES);
    back.update(piece);
  }
  expect(back.digest().equals(stored.sha256)).toBe(true);
  expect(spools()).toEqual(before);
});

const spools = () => readdirSync(tmpdir());

test('a stream that breaks off stores nothing and leaves nothing on the disk [CH-6]', async () => {
  const before = spools();
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half of a f');
    throw new Error('gone');
  }
  await expect(spooled(broken(), (source) => storeBlob(db, source))).rejects.toThrow('gone');
  expect(await isThere(hash(Buffer.from('half of a f')))).toBe(false);
  expect(spools()).toEqual(before);
});

test('fifty that store the same file at once store it once, and each can refer to it [CH-6]', async () => {
  const wide = openDatabase(database.url, { max: 50 });
  const content = randomBytes(2 * PIECE_BYTES + 5);
  try {
    await Promise.all(
      Array.from({ length: 50 }, () =>
        wide.transaction().execute(async (tx) => {
          const { sha256 } = await storeBlob(tx, content);
          await tx.insertInto('upload').values({ user_id: userId, sha256, file_name: 'x', type: 'text/plain', bytes: 1 }).execute();
        }),
      ),
    );
  } finally {
    await wide.destroy();
  }
  expect(await pieces(hash(content))).toHaveLength(3);
  expect(await db.selectFrom('upload').select('id').where('sha256', '=', hash(content)).execute()).toHaveLength(50);
});

test('a part of a file is read, across the border of two pieces and beyond its end', async () => {
  const content = randomBytes(2 * PIECE_BYTES + 100);
  const { sha256 } = await storeBlob(db, content);
  for (const [from, length] of [
    [0, 10],
    [PIECE_BYTES - 5, 10],
    [2 * PIECE_BYTES + 90, 50],
    [0, content.length],
  ] as const) {
    expect((await readBlobRange(db, sha256, from, length)).equals(content.subarray(from, from + length))).toBe(true);
  }
});

test('a file that is not whole is never given out as if it were', async () => {
  const content = randomBytes(3 * PIECE_BYTES);
  const { sha256 } = await storeBlob(db, content);
  await db.deleteFrom('blob_piece').where('sha256', '=', sha256).where('place', '=', 1).execute();
  await expect(readWholeBlob(db, sha256)).rejects.toThrow(BlobMissing);
  await expect(readWholeBlob(db, hash(Buffer.from('never stored')))).rejects.toThrow(BlobMissing);
});

test('a file to which nothing refers is swept away after an hour, the others stay [CH-6]', async () => {
  const [kept, gone] = [await storeBlob(db, randomBytes(10)), await storeBlob(db, randomBytes(10))];
  await refer(kept.sha256);
  await longAgo();
  const fresh = await storeBlob(db, randomBytes(10));
  // Small steps from any place on reach every file.
  while ((await dropOrphanBlobs(db, 5)) > 0 || (await isThere(gone.sha256)));
  expect([await isThere(kept.sha256), await isThere(fresh.sha256)]).toEqual([true, true]);
  expect(await pieces(gone.sha256)).toEqual([]);
});

test('a file that is stored anew is safe from being swept away for an hour [CH-6]', async () => {
  const content = randomBytes(10);
  const { sha256 } = await storeBlob(db, content);
  await longAgo();
  await storeBlob(db, content);
  await dropOrphanBlobs(db, 1_000);
  expect(await isThere(sha256)).toBe(true);
});

test('a file is never dropped under whoever stores it at the same moment [CH-6]', async () => {
  const wide = openDatabase(database.url, { max: 20 });
  const content = randomBytes(1_000);
  const sha256 = hash(content);
  let storing = true;
  let drops = 0;
  try {
    const dropping = Array.from({ length: 4 }, async () => {
      while (storing) {
        const dropped = await wide.transaction().execute((tx) => dropUnusedBlobs(tx, [sha256]));
        drops += dropped;
      }
    });
    const store = async () => {
      for (let time = 0; time < 4; time += 1) {
        const id = await wide.transaction().execute(async (tx) => {
          const blob = await storeBlob(tx, content);
          return (await refer(blob.sha256, tx)).id;
        });
        expect((await readWholeBlob(wide, sha256)).equals(content)).toBe(true);
        await wide.deleteFrom('upload').where('id', '=', id).execute();
      }
    };
    try {
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(Array.from({ length: 12 }, store));
        // Nothing refers to the file now: the next round begins when it is gone.
        while (await isThere(sha256));
      }
    } finally {
      storing = false;
    }
    await Promise.all(dropping);
  } finally {
    await wide.destroy();
  }
  expect(drops).toBeGreaterThanOrEqual(10);
});

test('a source in memory gives its pieces again and again', async () => {
  const source = blobOf(randomBytes(PIECE_BYTES + 1));
  for (let time = 0; time < 2; time += 1) {
    const sizes: number[] = [];
    for await (const piece of source.pieces()) sizes.push(piece.byteLength);
    expect(sizes).toEqual([PIECE_BYTES, 1]);
  }
});
