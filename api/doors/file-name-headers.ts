/** What the sender calls the file: `x-file-name`, percent-encoded, or a content disposition; empty: nothing. Undefined: it can not be read. */
export function givenFileName(headers: Headers): string | undefined {
  const own = headers.get('x-file-name');
  if (own !== null) return percentDecoded(own);
  const disposition = headers.get('content-disposition') ?? '';
  // RFC 6266: the extended form comes first, and is UTF-8 here.
  const extended = /;\s*filename\*\s*=\s*utf-8'[\w-]*'([^\s;]+)/i.exec(disposition)?.[1];
  if (extended !== undefined) return percentDecoded(extended);
  const plain = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(disposition);
  return plain?.[1]?.replaceAll(/\\(.)/g, '$1') ?? plain?.[2] ?? '';
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
