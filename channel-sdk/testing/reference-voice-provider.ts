import { isRecord, type StandIn } from './samples.ts';

/** A telephone provider in memory: sessions, one subscription for each address, calls, recordings. */
export function createVoiceProvider(apiKey: string, signingKey: string, recordings: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): StandIn {
  const subscriptions = new Set<string>();
  const tokens = new Set<string>();
  const listeners: (() => Promise<void>)[] = [];
  let sessions = 0;
  let calls = 0;
  let how: Parameters<StandIn['behave']>[0] = 'well';

  async function answer(request: Request): Promise<Response> {
    if (how === 'rate-limit') return new Response('slow down', { status: 429, headers: { 'retry-after': '7' } });
    if (how === 'unavailable') return new Response('away', { status: 503 });
    if (how === 'disconnect') return new Response('who are you?', { status: 401 });
    if (how === 'reject') return new Response('no', { status: 400 });
    const good = await does(request);
    if (how === 'silence') return new Promise(() => undefined);
    if (how === 'garbage') return new Response('<html>fine</html>');
    return how === 'huge' ? new Response('a'.repeat(10 * 1024 * 1024)) : good;
  }

  async function does(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const body: unknown = await request.json().catch(() => ({}));
    const fields = isRecord(body) ? body : {};
    if (pathname === '/session') {
      if (fields['apiKey'] !== apiKey) return new Response('who are you?', { status: 401 });
      const token = `token ${(sessions += 1)}`;
      tokens.add(token);
      return Response.json({ token, signingKey });
    }
    if (!tokens.has((request.headers.get('authorization') ?? '').replace('Bearer ', ''))) return new Response('who are you?', { status: 401 });
    switch (`${request.method} ${pathname}`) {
      case 'PUT /subscription':
        subscriptions.add(String(fields['url']));
        return new Response(null, { status: 204 });
      case 'DELETE /subscription':
        subscriptions.clear();
        return new Response(null, { status: 204 });
      case 'POST /calls':
        calls += 1;
        for (const listener of listeners) await listener();
        return Response.json({ id: `placed-${calls}` });
      case 'PUT /greeting':
      case 'GET /account':
        return new Response(null, { status: 204 });
      default: {
        const recording = recordings.get(decodeURIComponent(pathname.replace('/recordings/', '')));
        return recording === undefined ? new Response(null, { status: 404 }) : new Response(recording);
      }
    }
  }

  return {
    fetch: (input, init) => answer(new Request(input, init)),
    behave: (fault) => void (how = fault),
    taken: () => calls,
    onTaken: (listener) => void listeners.push(listener),
    subscriptions: () => subscriptions.size,
    expire: () => tokens.clear(),
  };
}
