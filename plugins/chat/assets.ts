import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const FILE = new URL('./assets/widget.js', import.meta.url);

interface Widget {
  readonly etag: string;
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly encoded: Readonly<Record<'br' | 'gzip', Uint8Array<ArrayBuffer>>>;
}

let read: Widget | undefined;

/** The widget's program, compressed as the browser likes it: it is on every page of the account's. 404 where it was not built. */
export function widgetFile(request: Request): Response {
  const widget = theWidget();
  if (widget === undefined) return new Response(null, { status: 404 });
  const accepted = request.headers.get('accept-encoding') ?? '';
  const encoding = (['br', 'gzip'] as const).find((one) => new RegExp(`\\b${one}\\b(?!\\s*;\\s*q=0(\\.0*)?\\s*(,|$))`).test(accepted));
  const headers = {
    'content-type': 'text/javascript; charset=utf-8',
    etag: widget.etag,
    'cache-control': 'public, max-age=300',
    vary: 'accept-encoding',
    'x-content-type-options': 'nosniff',
    // Other sites load it, also those that want to know by a hash what they load.
    'cross-origin-resource-policy': 'cross-origin',
    'access-control-allow-origin': '*',
  };
  if ((request.headers.get('if-none-match') ?? '').includes(widget.etag)) return new Response(null, { status: 304, headers });
  if (encoding === undefined) return new Response(widget.plain, { headers });
  return new Response(widget.encoded[encoding], { headers: { ...headers, 'content-encoding': encoding } });
}

/** Read when it is first asked for: a parsing thread loads this plugin too and needs none. */
function theWidget(): Widget | undefined {
  if (read !== undefined || !existsSync(FILE)) return read;
  const plain = new Uint8Array(readFileSync(FILE));
  // Weak, for the compressed ones are other bytes that mean the same.
  const etag = `W/"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`;
  read = { etag, plain, encoded: { br: new Uint8Array(brotliCompressSync(plain)), gzip: new Uint8Array(gzipSync(plain)) } };
  return read;
}
