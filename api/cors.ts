/** Answers for browsers whose pages come from elsewhere (API-7). */
export interface Cors {
  /** The answer to a browser that asks first; undefined: it is no such question. */
  preflight(request: Request): Response | undefined;
  /** The answer, readable by the page that asked where its origin is one of those named. */
  open(request: Request, answer: Response): Response;
}

/** Closed unless origins are named. Cookies play no part, so credentials are never allowed. */
export function createCors(origins: readonly string[]): Cors {
  const allowed = new Set(origins);
  return {
    preflight(request) {
      if (request.method !== 'OPTIONS' || !request.headers.has('access-control-request-method')) return undefined;
      const origin = request.headers.get('origin') ?? '';
      if (!allowed.has(origin)) return new Response(null, { status: 403, headers: { vary: 'origin' } });
      return new Response(null, {
        status: 204,
        headers: {
          'access-control-allow-origin': origin,
          'access-control-allow-methods': 'GET, HEAD, POST',
          'access-control-allow-headers': 'authorization, content-type, x-file-name',
          'access-control-max-age': '600',
          vary: 'origin',
        },
      });
    },
    open(request, answer) {
      const origin = request.headers.get('origin');
      if (origin === null || !allowed.has(origin)) return answer;
      const headers = new Headers(answer.headers);
      headers.set('access-control-allow-origin', origin);
      headers.set('access-control-expose-headers', 'retry-after');
      headers.append('vary', 'origin');
      return new Response(answer.body, { status: answer.status, headers });
    },
  };
}
