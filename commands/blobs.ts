import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';

/** Bytes of one piece of a stored file; every piece but the last has exactly these. */
export const PIECE_BYTES = 1_048_576;

/** A file by its content: SHA-256 and size in bytes. What is the same is stored once. */
export interface BlobName {
  readonly sha256: Buffer;
  readonly bytes: number;
}

/** A file whose hash is known before it is stored, and that can be read from its beginning. */
export interface BlobSource extends BlobName {
  /** Pieces of `PIECE_BYTES`, the last one shorter; none where it is empty. */
  pieces(): AsyncIterable<Uint8Array>;
}

/** A file that is in memory. */
export function blobOf(content: Uint8Array): BlobSource {
  return {
    sha256: createHash('sha256').update(content).digest(),
    bytes: content.byteLength,
    async *pieces() {
      for (let from = 0; from < content.byteLength; from += PIECE_BYTES) yield content.subarray(from, from + PIECE_BYTES);
    },
  };
}

/**
 * Reads a stream to its end, onto the disk, and hands the file over, for it must be seen whole before its hash is known and must not be held in memory.
 * Whatever becomes of it, nothing is left behind. Rejects with what the stream fails with.
 */
export async function spooled<Result>(chunks: AsyncIterable<Uint8Array>, use: (source: BlobSource) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-file-'));
  try {
    const file = await open(join(folder, 'file'), 'wx+', 0o600);
    try {
      const hash = createHash('sha256');
      let bytes = 0;
      for await (const chunk of chunks) {
        hash.update(chunk);
        // A write may take a part only.
        for (let done = 0; done < chunk.byteLength;) done += (await file.write(chunk, done, chunk.byteLength - done, bytes + done)).bytesWritten;
        bytes += chunk.byteLength;
      }
      return await use({
        sha256: hash.digest(),
        bytes,
        async *pieces() {
          for (let from = 0; from < bytes; from += PIECE_BYTES) {
            const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, bytes - from));
            for (let done = 0; done < piece.length;) {
              const { bytesRead } = await file.read(piece, done, piece.length - done, from + done);
              if (bytesRead === 0) throw new Error('a spooled file became shorter');
              done += bytesRead;
            }
            yield piece;
          }
        },
      });
    } finally {
      await file.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Stores a file, once however many store the same at the same moment: the others wait for the first. Call it in the transaction that refers to the file, or
 * refer to it within the hour after which it would be swept away. One file a transaction, and as its last lock: two that store the same two files
 * the other way round would wait for each other.
 */
export async function storeBlob(db: Db | Tx, file: Uint8Array | BlobSource): Promise<BlobName> {
  const source = file instanceof Uint8Array ? blobOf(file) : file;
  const { sha256, bytes } = source;
  if (!db.isTransaction) await db.transaction().execute((tx) => write(tx, source));
  else await write(db, source);
  return { sha256, bytes };
}

async function write(tx: Db | Tx, source: BlobSource): Promise<void> {
  const { sha256, bytes } = source;
  for (;;) {
    // Waits for whoever is storing the same file now.
    const made = await tx
      .insertInto('blob')
      .values({ sha256, bytes })
      .onConflict((conflict) => conflict.doNothing())
      .returning('bytes')
      .executeTakeFirst();
    if (made !== undefined) break;
    // It is there: kept from being swept away before it is referred to. If it was removed meanwhile, it is stored anew.
    const kept = await tx
      .updateTable('blob')
      .set({ created_at: sql<Date>`now()` })
      .where('sha256', '=', sha256)
      .returning('bytes')
      .executeTakeFirst();
    if (kept !== undefined) return;
  }
  let place = 0;
  for await (const piece of source.pieces()) {
    const data = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    await tx.insertInto('blob_piece').values({ sha256, place, data }).execute();
    place += 1;
  }
}

/** A stored file piece by piece, never more than one in memory. Throws where it is not there, or not whole. */
export async function* readBlob(db: Db | Tx, sha256: Buffer): AsyncGenerator<Buffer, void> {
  const blob = await db.selectFrom('blob').select('bytes').where('sha256', '=', sha256).executeTakeFirst();
  if (blob === undefined) throw new BlobMissing();
  for (let place = 0; place * PIECE_BYTES < blob.bytes; place += 1) {
    const piece = await db.selectFrom('blob_piece').select('data').where('sha256', '=', sha256).where('place', '=', place).executeTakeFirst();
    if (piece?.data.length !== Math.min(PIECE_BYTES, blob.bytes - place * PIECE_BYTES)) throw new BlobMissing();
    yield piece.data;
  }
}

/** All of a stored file. Throws as `readBlob`. */
export async function readWholeBlob(db: Db | Tx, sha256: Buffer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of readBlob(db, sha256)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** A part of a stored file: at most `length` bytes from `from` on, fewer at its end. */
export async function readBlobRange(db: Db | Tx, sha256: Buffer, from: number, length: number): Promise<Buffer> {
  const first = Math.floor(from / PIECE_BYTES);
  const pieces = await db
    .selectFrom('blob_piece')
    .select('data')
    .where('sha256', '=', sha256)
    .where('place', '>=', first)
    .where('place', '<=', Math.floor((from + length - 1) / PIECE_BYTES))
    .orderBy('place')
    .execute();
  const start = from - first * PIECE_BYTES;
  return Buffer.concat(pieces.map((piece) => piece.data)).subarray(start, start + length);
}

/** Minutes a file is kept to which nothing refers: whoever stored it may be about to. */
const GRACE_MINUTES = 60;

/** A file of which it is not yet said what it belongs to. */
const UNUSED = sql<boolean>`not exists (select 1 from attachment where attachment.sha256 = blob.sha256)
  and not exists (select 1 from upload where upload.sha256 = blob.sha256)
  and not exists (select 1 from ticket_import where ticket_import.sha256 = blob.sha256)`;

/**
 * Removes files to which nothing refers any more; returns how many. Looks at no more than `limit` of them, from a random place on, for all of them are too
 * many to look at each time: hashes are spread evenly, so every file has its turn.
 */
export async function dropOrphanBlobs(db: Db, limit: number, start: Buffer = randomBytes(32)): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ sha256: Buffer }>`
      select sha256 from blob where ${UNUSED} and created_at < now() - make_interval(mins => ${GRACE_MINUTES}) and sha256 in (
        select sha256 from ((select sha256 from blob where sha256 >= ${start} order by sha256 limit ${limit})
          union all (select sha256 from blob where sha256 < ${start} order by sha256 limit ${limit})) around limit ${limit})`.execute(tx);
    return dropUnusedBlobs(
      tx,
      rows.map((row) => row.sha256),
    );
  });
}

/**
 * Removes those of these files to which nothing refers, at once; returns how many. Each is locked first and then asked about in a statement of its own: who stored it
 * before is seen, who stores it from now on waits and stores it anew. What somebody is storing is passed over.
 */
export async function dropUnusedBlobs(tx: Tx, sha256s: readonly Buffer[]): Promise<number> {
  if (sha256s.length === 0) return 0;
  const { rows } = await sql<{ sha256: Buffer }>`
    select sha256 from blob where sha256 = any(${[...sha256s]}::bytea[]) order by sha256 for update skip locked`.execute(tx);
  const gone = await sql`delete from blob where sha256 = any(${rows.map((row) => row.sha256)}::bytea[]) and ${UNUSED}`.execute(tx);
  return Number(gone.numAffectedRows ?? 0);
}

/** A file is not there, or a piece of it is not. */
export class BlobMissing extends Error {
  constructor() {
    super('a stored file is not there, or not whole');
    this.name = 'BlobMissing';
  }
}
