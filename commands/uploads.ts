import type { AttachmentLimits } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { lockUploads } from '#db/locks.ts';
import { refusalInWords, refuseFiles, type FileRefusal } from '#domain/attachments.ts';
import { distinctFileNames, normalType, safeFileName } from '#domain/file-names.ts';
import { storeBlob, type BlobSource } from './blobs.ts';
import { FilesRefused, type RefusedFile } from './refusals.ts';
import type { Unit } from './unit.ts';

/** Uploads one user may have that belong to nothing yet. */
export const UNUSED_UPLOADS = 100;
/** Files of one message, where its channel says nothing: comments. */
const COMMENT_LIMITS: AttachmentLimits = { maxCount: 50, maxBytes: Number.MAX_SAFE_INTEGER, types: '*' };

/** A file that was sent up and belongs to nothing yet. */
export interface Upload {
  readonly id: string;
  readonly fileName: string;
  readonly type: string;
  readonly bytes: number;
}

/** Keeps a file for its user until it is attached, for a day. Undefined: they have `UNUSED_UPLOADS` already. */
export async function saveUpload(
  db: Db,
  userId: string,
  described: { readonly fileName: string; readonly type: string },
  content: BlobSource,
): Promise<Upload | undefined> {
  const upload = { id: newId(), fileName: safeFileName(described.fileName), type: normalType(described.type), bytes: content.bytes };
  return db.transaction().execute(async (tx) => {
    await lockUploads(tx, userId);
    const { unused } = await tx
      .selectFrom('upload')
      .select((eb) => eb.fn.countAll<number>().as('unused'))
      .where('user_id', '=', userId)
      .executeTakeFirstOrThrow();
    if (unused >= UNUSED_UPLOADS) return undefined;
    const { sha256 } = await storeBlob(tx, content);
    await tx
      .insertInto('upload')
      .values({ id: upload.id, user_id: userId, sha256, file_name: upload.fileName, type: upload.type, bytes: upload.bytes })
      .execute();
    return upload;
  });
}

/**
 * Attaches uploads of the user's to a message, in their order; they are uploads no longer. `limits`: what the channel takes, null for none, `'comment'` for what
 * stays inside. Throws `FilesRefused`, which names every file that can not go along, and why.
 */
export async function attachUploads(
  unit: Unit,
  messageId: string,
  userId: string,
  uploadIds: readonly string[],
  limits: AttachmentLimits | null | 'comment',
): Promise<void> {
  const ids = [...new Set(uploadIds)];
  if (ids.length === 0) return;
  const { tx } = unit;
  const found = await tx
    .selectFrom('upload')
    .select(['id', 'sha256', 'file_name', 'type', 'bytes'])
    .where(sql<boolean>`id = any(${ids.filter((id) => UUID.test(id))}::uuid[])`)
    .where('user_id', '=', userId)
    .orderBy('id')
    .forUpdate()
    .execute();
  const byId = new Map(found.map((upload) => [upload.id, upload]));
  const uploads = ids.flatMap((id) => byId.get(id) ?? []);
  const refusals = refuseFiles(limits === 'comment' ? COMMENT_LIMITS : limits, uploads);
  const refused = [
    ...ids.filter((id) => !byId.has(id)).map(unknown),
    ...uploads.flatMap(({ id }, index) => {
      const refusal = refusals[index] ?? null;
      return refusal === null ? [] : [refusedFile(id, refusal)];
    }),
  ];
  if (refused.length > 0) throw new FilesRefused(refused.toSorted((a, b) => ids.indexOf(a.uploadId) - ids.indexOf(b.uploadId)));
  const names = distinctFileNames(uploads.map((upload) => upload.file_name));
  await tx
    .insertInto('attachment')
    .values(
      uploads.map(({ sha256, type, bytes }, position) => ({
        id: newId(),
        message_id: messageId,
        position,
        file_name: names[position] ?? 'attachment',
        type,
        bytes,
        state: 'STORED' as const,
        sha256,
      })),
    )
    .execute();
  await tx
    .deleteFrom('upload')
    .where(sql<boolean>`id = any(${uploads.map((upload) => upload.id)}::uuid[])`)
    .execute();
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function unknown(uploadId: string): RefusedFile {
  return { uploadId, code: 'NOT_FOUND', most: null, reason: 'there is no such upload of yours, or it is attached already' };
}

function refusedFile(uploadId: string, refusal: FileRefusal): RefusedFile {
  return { uploadId, code: refusal.code, most: 'most' in refusal ? refusal.most : null, reason: refusalInWords(refusal) };
}
