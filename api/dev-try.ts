import type { Plugin } from '@trunkline/channel-sdk';
import { Hono } from 'hono';
import type { Db } from '#db/database.ts';
import { ownHosts } from './dev-hosts.ts';
import { snippetOf } from './snippet.ts';

export interface DevTryDeps {
  readonly db: Db;
  readonly plugins: readonly Plugin[];
  readonly publicUrl: string;
}

/**
 * A page like one of the account's own with a channel's snippet in it, to see what visitors see (CHAT-1, FORM-2). For development only. Its policy is as
 * strict as a page may be that shows the snippet, so whatever needs more shows here first.
 */
export function createDevTryPage({ db, plugins, publicUrl }: DevTryDeps): Hono {
  const isOurs = ownHosts(publicUrl);
  const { origin } = new URL(publicUrl);
  const headers = {
    'content-security-policy': [
      "default-src 'none'",
      `script-src ${origin}`,
      `connect-src ${origin}`,
      `frame-src ${origin}`,
      'img-src https: data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  };
  const app = new Hono();
  app.get('/try/:key{[a-z0-9-]+}', async (context) => {
    if (!isOurs(context.req.url)) return context.text('not found', 404);
    const channel = await db
      .selectFrom('channel')
      .select(['key', 'plugin', 'settings'])
      .where('key', '=', context.req.param('key'))
      .where('disconnected_at', 'is', null)
      .executeTakeFirst();
    const snippet = channel === undefined ? null : snippetOf(plugins, publicUrl, channel);
    return snippet === null ? context.text('not found', 404) : context.html(page(snippet), 200, headers);
  });
  return app;
}

/** Nothing of the channel but its snippet, which is HTML by its plugin's word. */
function page(snippet: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>A page to try a channel on</title></head>
<body>
<main>
<h1>A page to try a channel on</h1>
<p>It stands for a page of your own: here is what your visitors see. This page is there in development only.</p>
${snippet}
</main>
</body>
</html>
`;
}
