import { readFileSync } from 'node:fs';

const TYPES = { 'form.css': 'text/css; charset=utf-8', 'form.js': 'text/javascript; charset=utf-8', 'embed.js': 'text/javascript; charset=utf-8' } as const;

export type AssetName = keyof typeof TYPES;

export function isAsset(name: string): name is AssetName {
  return Object.hasOwn(TYPES, name);
}

const read = new Map<AssetName, string>();

/** A file of the page. Read when it is first asked for: a parsing thread loads this plugin too and needs none. */
export function asset(name: AssetName, accent: string): Response {
  let text = read.get(name);
  if (text === undefined) {
    text = readFileSync(new URL(`./assets/${name}`, import.meta.url), 'utf8');
    read.set(name, text);
  }
  const body = name === 'form.css' ? `:root{--accent:${accent};--on-accent:${readableOn(accent)}}\n${text}` : text;
  return new Response(body, {
    headers: {
      'content-type': TYPES[name],
      'cache-control': 'public, max-age=300',
      'x-content-type-options': 'nosniff',
      // The snippet is loaded by other sites.
      'cross-origin-resource-policy': name === 'embed.js' ? 'cross-origin' : 'same-origin',
    },
  });
}

/** Black or white, whichever is easier to read on a colour (WCAG's relative luminance). */
export function readableOn(colour: string): '#000000' | '#ffffff' {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) ? '#000000' : '#ffffff';
}
