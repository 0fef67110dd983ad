import type { serve } from '@hono/node-server';

/** What every answer says, whoever makes it; an answer that says otherwise, as a page made to be framed, has its way (API-7). */
const HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};
/** A year: where the API is reached by https, browsers never try it without. */
const HSTS = 'max-age=31536000';

type FetchCallback = Parameters<typeof serve>[0]['fetch'];
type Bindings = Parameters<FetchCallback>[1];
type Answer = (request: Request, env: Bindings) => Response | Promise<Response>;

/** The same answers, with the headers set on Node's own response before any handler runs: that costs no copy of the answer. */
export function secured(answer: Answer, publicUrl: string): FetchCallback {
  const headers = Object.entries({ ...HEADERS, ...(publicUrl.startsWith('https:') ? { 'strict-transport-security': HSTS } : {}) });
  return (request, env) => {
    if ('outgoing' in env) for (const [name, value] of headers) env.outgoing.setHeader(name, value);
    return answer(request, env);
  };
}
