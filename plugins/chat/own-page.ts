import type { PageContext } from '@trunkline/channel-sdk';
import type { ChatSettings } from './settings.ts';

/** A page with nothing but the widget: for a link in a mail, or for who has no page of their own. It has nothing inline and nothing from elsewhere but the avatar. */
export function ownPage({ channel: { settings }, pageUrl }: PageContext<ChatSettings>): Response {
  const title = escaped(settings.title);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title}</title>
<script async src="./widget.js"></script>
</head>
<body>
<main><h1>${title}</h1></main>
</body>
</html>
`;
  return new Response(html, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      // The widget asks where its file came from, which is here.
      'content-security-policy': `default-src 'none'; script-src ${new URL(pageUrl).origin}; connect-src ${new URL(pageUrl).origin}; img-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      'cache-control': 'no-cache',
      'referrer-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
    },
  });
}

const CODES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => CODES[letter] ?? letter);
}
