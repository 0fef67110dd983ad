/** An attachment that the HTML of its message may name. */
interface InlineFile {
  readonly content_id: string | null;
  readonly state: string;
}

/**
 * Sanitised HTML with the addresses of its inline pictures (`cid:…`) replaced by links to the attachments they name; one that can not be had
 * has no address any more. Only for HTML that `safeHtml` wrote: there every attribute stands in double quotes and no tag holds a `>`.
 */
export function withInlineImages<File extends InlineFile>(html: string, files: readonly File[], linkTo: (file: File) => string): string {
  if (!html.includes('cid:')) return html;
  const named = new Map(files.flatMap((file) => (file.content_id === null || file.state !== 'STORED' ? [] : [[file.content_id, file] as const])));
  return html.replace(/<img\b[^>]*>/g, (tag) =>
    tag.replace(/ src="cid:([^"]*)"/, (_, name: string) => {
      const file = named.get(decoded(name));
      return file === undefined ? '' : ` src="${linkTo(file).replaceAll('&', '&amp;').replaceAll('"', '&quot;')}"`;
    }),
  );
}

/** As the attribute means it: character references, then percent signs, as RFC 2392 has them. */
function decoded(text: string): string {
  const plain = text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => REFERENCES[name] ?? '');
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}

const REFERENCES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
