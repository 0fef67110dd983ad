import { safeHtml, withRemoteImages } from '#commands/safe-html.ts';
import { XSS_VECTORS } from './xss-vectors.ts';

/**
 * One page with every vector after `safeHtml`, for a real browser: once in the page itself, where whatever can run would, and once in a frame of its own without scripts.
 * `window.__xss` holds what ran: it must stay empty. `remote`: with the pictures from elsewhere asked for, whose addresses a browser then tries.
 */
export function xssPage({ remote = false } = {}): string {
  const rows = XSS_VECTORS.map(({ name, html }) => {
    const safe = remote ? withRemoteImages(safeHtml(html)) : safeHtml(html);
    return `<section><h2>${escaped(name)}</h2><div data-shown>${safe}</div><iframe sandbox srcdoc="${escaped(safe)}"></iframe></section>`;
  });
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Known vectors, sanitised</title>
<script>window.__xss = []; window.alert = window.confirm = window.prompt = (words) => { window.__xss.push(String(words)); };
window.addEventListener('error', (event) => { if (event.message) window.__xss.push('script error: ' + event.message); });</script>
<style>section { border: 1px solid #ccc; margin: 4px; padding: 4px; overflow: hidden } h2 { font: 12px sans-serif; margin: 0 } iframe { height: 40px; width: 60% } [data-shown] { max-height: 60px; overflow: hidden }</style>
</head><body>
${rows.join('\n')}
<p id="end">That was all ${XSS_VECTORS.length}.</p>
</body></html>
`;
}

/** The same page with nothing sanitised: whoever judges must see that it would notice. */
export function unsafePage(): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Known vectors as they came</title><script>window.__xss = []; window.alert = (words) => { window.__xss.push(String(words)); };</script></head><body>
${XSS_VECTORS.map(({ html }) => `<iframe srcdoc="${escaped(html)}"></iframe>`).join('\n')}
</body></html>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
