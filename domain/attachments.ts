import type { AttachmentLimits } from '@trunkline/channel-sdk';

/** Tries of fetching one attachment; after the last it has failed. */
export const FETCH_TRIES = 5;

/** What is asked of a file before it is taken. */
export interface FileToTake {
  readonly type: string;
  /** Null: not known yet. */
  readonly bytes: number | null;
}

/** Why a file is not taken; `most`: the limit, in files or bytes. */
export type FileRefusal =
  | { readonly code: 'NONE_TAKEN' }
  | { readonly code: 'TYPE_NOT_TAKEN' }
  | { readonly code: 'TOO_MANY' | 'TOO_LARGE' | 'TOO_LARGE_TOGETHER'; readonly most: number };

/** What a channel says to each of a message's files, in their order; null: it takes it. What is refused counts neither as one nor by its size (CH-6). */
export function refuseFiles(limits: AttachmentLimits | null, files: readonly FileToTake[]): (FileRefusal | null)[] {
  let count = 0;
  let bytes = 0;
  return files.map((file) => {
    const refusal = refuseFile(limits, file);
    if (refusal !== null || limits === null) return refusal;
    if (count === limits.maxCount) return { code: 'TOO_MANY', most: limits.maxCount };
    const together = limits.maxTotalBytes;
    if (together !== undefined && bytes + (file.bytes ?? 0) > together) return { code: 'TOO_LARGE_TOGETHER', most: together };
    count += 1;
    bytes += file.bytes ?? 0;
    return null;
  });
}

/** The same for one file by itself, once its size is known. */
export function refuseFile(limits: AttachmentLimits | null, { type, bytes }: FileToTake): FileRefusal | null {
  if (limits === null) return { code: 'NONE_TAKEN' };
  if (limits.types !== '*' && !limits.types.includes(type)) return { code: 'TYPE_NOT_TAKEN' };
  if (bytes !== null && bytes > limits.maxBytes) return { code: 'TOO_LARGE', most: limits.maxBytes };
  return null;
}

/** A refusal as people read it: no name and no content in it. */
export function refusalInWords(refusal: FileRefusal): string {
  switch (refusal.code) {
    case 'NONE_TAKEN':
      return 'this channel takes no attachments';
    case 'TYPE_NOT_TAKEN':
      return 'this channel does not take this type';
    case 'TOO_MANY':
      return `more than ${refusal.most} attachments`;
    case 'TOO_LARGE':
      return `larger than ${sizeInWords(refusal.most)}`;
    case 'TOO_LARGE_TOGETHER':
      return `together with those before it larger than ${sizeInWords(refusal.most)}`;
  }
}

/** Bytes as people say them. */
function sizeInWords(bytes: number): string {
  for (const [unit, size] of UNITS) if (bytes >= size) return `${Number((bytes / size).toFixed(1))} ${unit}`;
  return `${bytes} bytes`;
}

const UNITS = [
  ['MB', 1024 * 1024],
  ['kB', 1024],
] as const;
