import type { FormSettings } from './settings.ts';

/** Whether a site may embed the form or post to it from a browser. */
export function isAllowed(origin: string, settings: Pick<FormSettings, 'allowedOrigins'>, pageUrl: string): boolean {
  const { allowedOrigins } = settings;
  return origin === new URL(pageUrl).origin || allowedOrigins.includes('*') || allowedOrigins.includes(origin);
}

/** Headers of every page a visitor sees: nothing from elsewhere, nothing inline, embedded only where the settings allow it. */
export function pageHeaders({ allowedOrigins }: Pick<FormSettings, 'allowedOrigins'>): Record<string, string> {
  const ancestors = allowedOrigins.includes('*') ? '*' : ["'self'", ...allowedOrigins].join(' ');
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': [
      "default-src 'none'",
      "style-src 'self'",
      "script-src 'self'",
      "form-action 'self'",
      "base-uri 'none'",
      `frame-ancestors ${ancestors}`,
    ].join('; '),
    // Going back finds the form as it was left; no cache between keeps what was made for one visitor.
    'cache-control': 'private, no-cache',
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  };
}

/** What a browser needs to let a script of that site read the answer. */
export function corsHeaders(origin: string | null): Record<string, string> {
  return origin === null ? { vary: 'origin' } : { vary: 'origin', 'access-control-allow-origin': origin };
}

export const PREFLIGHT: Readonly<Record<string, string>> = {
  'access-control-allow-methods': 'POST',
  'access-control-allow-headers': 'content-type, idempotency-key',
  'access-control-max-age': '600',
};
