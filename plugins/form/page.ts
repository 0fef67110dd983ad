import type { PageContext } from '@trunkline/channel-sdk';
import { closedPage, pageAnswer } from './answers.ts';
import { asset, isAsset } from './assets.ts';
import { embeddedIn } from './embedded.ts';
import { fromEndpoint } from './from-endpoint.ts';
import { fromPage } from './from-page.ts';
import { corsHeaders, isAllowed, PREFLIGHT } from './origins.ts';
import { issueProof } from './proof.ts';
import type { FormSettings } from './settings.ts';
import { formPage, thanksPage } from './view.ts';

/**
 * A form's public addresses: the page, what it is made of, and the endpoint that JSON clients and forms on other sites send to (FORM-2).
 * Whatever is sent, the answer is never of the five hundreds, but where what is sent can not be stored.
 */
export async function page(request: Request, context: PageContext<FormSettings>): Promise<Response> {
  const path = pathWithin(request.url, context.channel.key);
  switch (path) {
    case undefined:
      // What the page names is found beside it only with the slash.
      return new Response(null, { status: 308, headers: { location: `./${context.channel.key}/${new URL(request.url).search}` } });
    case '':
      if (isReading(request)) return show(request, context);
      return request.method === 'POST' ? fromPage(request, context) : wrongMethod('GET, HEAD, POST');
    case 'thanks':
      return isReading(request) ? thank(request, context) : wrongMethod('GET, HEAD');
    case 'submissions':
      if (request.method === 'OPTIONS') return preflight(request, context);
      return request.method === 'POST' ? fromEndpoint(request, context) : wrongMethod('POST, OPTIONS');
    default:
      if (!isAsset(path)) return new Response(null, { status: 404 });
      return isReading(request) ? asset(path, context.channel.settings.accent) : wrongMethod('GET, HEAD');
  }
}

/** The form, filled in with what the address names: `?topic=billing`. */
function show(request: Request, context: PageContext<FormSettings>): Response {
  const { settings, enabled } = context.channel;
  const { searchParams } = new URL(request.url);
  const embedded = embeddedIn(searchParams, context);
  if (!enabled) return closedPage(context, 200, embedded);
  const values = new Map(settings.fields.flatMap(({ name }) => prefilled(name, searchParams)));
  const proof = issueProof(context.now(), context.sign);
  return pageAnswer(context, 200, formPage(settings, { values, errors: [], hadFiles: false, notice: null, proof, embedded }));
}

function thank(request: Request, context: PageContext<FormSettings>): Response {
  return pageAnswer(context, 200, thanksPage(context.channel.settings, embeddedIn(new URL(request.url).searchParams, context)));
}

function preflight(request: Request, { channel, pageUrl }: PageContext<FormSettings>): Response {
  const origin = request.headers.get('origin');
  const allowed = origin !== null && isAllowed(origin, channel.settings, pageUrl);
  return new Response(null, { status: allowed ? 204 : 403, headers: { ...corsHeaders(allowed ? origin : null), ...(allowed ? PREFLIGHT : {}) } });
}

/** Attributes of a snippet are in lower case, so `utmSource` is also found as `utmsource`. */
function prefilled(name: string, searchParams: URLSearchParams): [string, string][] {
  const value = searchParams.get(name) ?? searchParams.get(name.toLowerCase());
  return value === null ? [] : [[name, value.slice(0, 1_000)]];
}

/** What stands behind the channel's key, without its slash; undefined: not even that. */
function pathWithin(url: string, key: string): string | undefined {
  const { pathname } = new URL(url);
  if (pathname.endsWith(`/${key}`)) return undefined;
  return pathname.split(`/${key}/`, 2)[1] ?? 'elsewhere';
}

function isReading({ method }: Request): boolean {
  return method === 'GET' || method === 'HEAD';
}

function wrongMethod(allow: string): Response {
  return new Response(null, { status: 405, headers: { allow } });
}
