import { Hono } from 'hono';
import type { Db } from '#db/database.ts';
import { ownHosts } from './dev-hosts.ts';

/** Mails on the page. */
const SHOWN = 100;

/**
 * What the account's own mail was, or would have been, newest first (CH-12). For development only: it needs no token. What stands in a mail comes from
 * outside, so nothing of it is taken for markup: text is escaped, HTML is shown in a frame without scripts, forms, links or requests.
 */
export function createDevMailPage(db: Db, publicUrl: string): Hono {
  const isOurs = ownHosts(publicUrl);
  const app = new Hono();
  app.get('/dev/mail', async (context) => {
    if (!isOurs(context.req.url)) return context.text('not found', 404);
    const mails = await db
      .selectFrom('system_mail')
      .select(['id', 'kind', 'recipient', 'subject', 'text', 'html', 'state', 'reason', 'last_failure', 'attempt', 'created_at'])
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(SHOWN)
      .execute();
    return context.html(page(mails), 200, HEADERS);
  });
  return app;
}

interface Shown {
  readonly id: string;
  readonly kind: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string | null;
  readonly state: string;
  readonly reason: string | null;
  readonly last_failure: string | null;
  readonly attempt: number;
  readonly created_at: Date;
}

/** The frames inherit it: no picture of a mail is fetched either. */
const HEADERS = {
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

function page(mails: readonly Shown[]): string {
  const list =
    mails.length === 0 ? '<p>Nothing yet. A notification, for example of a new ticket that nobody has, is a mail too.</p>' : mails.map(article).join('\n');
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>The account's own mail</title><style>${STYLE}</style></head>
<body><main><h1>The account’s own mail</h1><p>What was sent, or would have been, newest first: the last ${SHOWN}. This page is there in development only.</p>
${list}
</main></body></html>
`;
}

function article(mail: Shown): string {
  const why = mail.reason ?? mail.last_failure;
  const state = `${mail.state}${mail.attempt > 1 ? ` after ${mail.attempt} tries` : ''}${why === null ? '' : `: ${why}`}`;
  const html =
    mail.html === null
      ? ''
      : `<iframe sandbox="" srcdoc="${escaped(mail.html)}" title="The mail as HTML" referrerpolicy="no-referrer" loading="lazy"></iframe>`;
  return `<article id="mail-${escaped(mail.id)}"><h2>${escaped(mail.subject)}</h2>
<p class="about">to <b>${escaped(mail.recipient)}</b> · ${escaped(mail.kind)} · <time>${mail.created_at.toISOString()}</time> · <strong>${escaped(state)}</strong></p>
<pre>${escaped(mail.text)}</pre>${html}</article>`;
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#f6f6f4}main{max-width:48rem;margin:auto}
article{background:#fff;border:1px solid #ddd;border-radius:6px;padding:1rem 1.5rem;margin:1rem 0}h2{font-size:1.1rem;margin:0}
.about{color:#555;margin:.25rem 0 1rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}iframe{width:100%;height:24rem;border:1px solid #ddd;margin-top:1rem}`;

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (one) => ENTITIES[one] ?? '');
}
