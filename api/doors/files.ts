import type { IncomingMessage } from 'node:http';
import { Hono } from 'hono';
import { readBlob, spooled } from '#commands/blobs.ts';
import type { Keys } from '#commands/secrets.ts';
import { saveUpload, UNUSED_UPLOADS, type Upload } from '#commands/uploads.ts';
import type { Db } from '#db/database.ts';
import { contentDisposition, INLINE_TYPES, safeType } from '#domain/file-names.ts';
import { visibilityOf } from '../access.ts';
import { judgeLink } from '../attachment-links.ts';
import { createCors } from '../cors.ts';
import { refuse, type Gate } from '../gate.ts';
import { LIMITS } from '../limits.ts';
import { lacks } from '../roles.ts';
import { givenFileName } from './file-name-headers.ts';

export interface FileDoorDeps {
  readonly db: Db;
  readonly keys: Pick<Keys, 'signLink'>;
  readonly gate: Gate;
  /** Origins whose pages may send files from a browser; none unless given (API-7). */
  readonly corsOrigins?: readonly string[];
  /** Bytes of one file; as the documented table unless given. */
  readonly uploadBytes?: number;
}

type Bindings = { readonly incoming?: IncomingMessage } | undefined;

/** `POST /uploads` takes a file for a message that is still being written; `GET /attachments/<id>` gives one back (CH-6). */
export function createFileDoors({
  db,
  keys,
  gate,
  corsOrigins = [],
  uploadBytes = LIMITS.uploadBytes,
}: FileDoorDeps): Hono<{ Bindings: NonNullable<Bindings> }> {
  const app = new Hono<{ Bindings: NonNullable<Bindings> }>();
  const cors = createCors(corsOrigins);
  app.on(['POST', 'OPTIONS'], '/uploads', async (c) => {
    const env: Bindings = c.env;
    return cors.preflight(c.req.raw) ?? cors.open(c.req.raw, await takeUpload(c.req.raw, env?.incoming));
  });
  app.on(['GET', 'OPTIONS'], '/attachments/:id', async (c) => {
    const env: Bindings = c.env;
    return cors.preflight(c.req.raw) ?? cors.open(c.req.raw, await giveAttachment(c.req.raw, c.req.param('id'), env?.incoming));
  });

  async function takeUpload(request: Request, incoming: IncomingMessage | undefined): Promise<Response> {
    const admission = await gate(request, incoming);
    if ('refusal' in admission) return unread(admission.refusal);
    const { viewer } = admission;
    const lacking = lacks(viewer, 'reply');
    if (lacking !== undefined) return unread(refuse(403, `this needs ${lacking}`, 'FORBIDDEN'));
    const type = request.headers.get('content-type') ?? '';
    if (/^multipart\//i.test(type) || request.headers.has('content-encoding')) {
      return unread(refuse(415, 'send the file itself as the body, as it is', 'BAD_USER_INPUT'));
    }
    const fileName = givenFileName(request.headers);
    if (fileName === undefined) return unread(refuse(400, 'the header x-file-name must be percent-encoded UTF-8', 'BAD_USER_INPUT'));
    if (Number(request.headers.get('content-length') ?? 0) > uploadBytes) return tooLarge(uploadBytes);
    let upload: Upload | undefined;
    try {
      upload = await spooled(bounded(bodyOf(request, incoming), uploadBytes), (source) => saveUpload(db, viewer.userId, { fileName, type }, source));
    } catch (error) {
      if (error instanceof TooLarge) return tooLarge(uploadBytes);
      // The sender has gone in the middle: nobody reads this answer.
      if (request.signal.aborted) return refuse(400, 'the file did not come whole', 'BAD_USER_INPUT');
      throw error;
    }
    if (upload === undefined) {
      return refuse(429, `the limit UNUSED_UPLOADS: at most ${UNUSED_UPLOADS} files that are not attached yet`, 'LIMIT_EXCEEDED', {}, { max: UNUSED_UPLOADS });
    }
    return Response.json(upload, { status: 201, headers: { 'cache-control': 'no-store' } });
  }

  async function giveAttachment(request: Request, id: string, incoming: IncomingMessage | undefined): Promise<Response> {
    if (!UUID.test(id)) return notFound();
    let query = db
      .selectFrom('attachment')
      .innerJoin('blob', 'blob.sha256', 'attachment.sha256')
      .select(['blob.sha256', 'blob.bytes', 'attachment.file_name', 'attachment.type'])
      .where('attachment.id', '=', id)
      .where('attachment.state', '=', 'STORED');
    const { searchParams } = new URL(request.url);
    const signature = searchParams.get('sig');
    if (signature === null) {
      const admission = await gate(request, incoming);
      if ('refusal' in admission) return admission.refusal;
      // What one may not see is not found (API-6).
      query = query.where((await visibilityOf(db, admission.viewer)).attachment);
    } else {
      const link = judgeLink(keys, id, { until: searchParams.get('until') ?? '', signature });
      if (link === 'over') return refuse(410, 'the time of this link is up: ask for a new one', 'LINK_OVER');
      if (link === 'forged') return notFound();
    }
    const file = await query.executeTakeFirst();
    if (file === undefined) return notFound();
    const etag = `"${file.sha256.toString('hex')}"`;
    const headers = {
      'content-type': safeType(file.type),
      'content-disposition': contentDisposition(INLINE_TYPES.has(file.type) ? 'inline' : 'attachment', file.file_name),
      // By a link the browser may keep it as long as the link counts; by a token it asks again each time.
      'cache-control': signature === null ? 'private, no-cache' : `private, max-age=${LIMITS.attachmentLinkSeconds}, immutable`,
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      vary: 'authorization',
      etag,
    };
    if (hasTag(request.headers.get('if-none-match'), etag)) return new Response(null, { status: 304, headers });
    const body = request.method === 'HEAD' ? null : streamOf(readBlob(db, file.sha256));
    return new Response(body, { headers: { ...headers, 'content-length': String(file.bytes) } });
  }

  return app;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

class TooLarge extends Error {}

/** Behind Node's own server its stream is read directly, as in `readBody`; what is not read any more is not destroyed, for the answer still has to go out. */
function bodyOf(request: Request, incoming: IncomingMessage | undefined): AsyncIterable<Uint8Array> {
  return incoming?.iterator({ destroyOnReturn: false }) ?? request.body?.values({ preventCancel: true }) ?? nothing();
}

/** Reads a piece when the one before has gone out, and none after the reader has gone. */
function streamOf(pieces: AsyncGenerator<Uint8Array, void>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: async () => void (await pieces.return()),
    },
    { highWaterMark: 1 },
  );
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* bounded(chunks: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.byteLength;
    if (bytes > most) throw new TooLarge();
    yield chunk;
  }
}

/** The connection ends with the answer: what the sender still has to say of the file is not waited for. */
function unread(answer: Response): Response {
  answer.headers.set('connection', 'close');
  return answer;
}

function tooLarge(most: number): Response {
  return unread(refuse(413, `the file exceeds the limit uploadBytes: at most ${most}`, 'LIMIT_EXCEEDED', {}, { limit: 'uploadBytes', max: most }));
}

function notFound(): Response {
  return refuse(404, 'there is no such attachment', 'NOT_FOUND');
}

function hasTag(given: string | null, etag: string): boolean {
  return given !== null && (given.trim() === '*' || given.split(',').some((one) => one.trim().replace(/^W\//, '') === etag));
}
