import type { StandIn, TakenMessage } from '@trunkline/channel-sdk/testing';

/** The provider's API in memory: what it does well, and every way in which it fails. `read`: what it understands of a request's body. */
export function createProvider(settings: unknown, read: (body: string) => TakenMessage = JSON.parse): StandIn {
  const listeners: (() => Promise<void>)[] = [];
  let taken = 0;
  let last: TakenMessage | undefined;
  let how: Parameters<StandIn['behave']>[0] = 'well';

  async function answer(request: Request): Promise<Response> {
    if (how === 'rate-limit') return new Response('slow down', { status: 429, headers: { 'retry-after': '7' } });
    if (how === 'unavailable') return new Response('away', { status: 503 });
    if (how === 'reject') return new Response('no', { status: 422 });
    if (how === 'disconnect') return new Response('who are you?', { status: 401 });
    last = read(await request.text());
    taken += 1;
    const id = `out-${taken}`;
    for (const listener of listeners) await listener();
    if (how === 'garbage') return new Response('<html>fine</html>');
    if (how === 'huge') return new Response('a'.repeat(10 * 1024 * 1024));
    // As fetch does: no answer until nobody waits for it any more.
    if (how === 'silence') return new Promise((_, reject) => request.signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError'))));
    return Response.json({ id });
  }

  return {
    settings,
    fetch: (input, init) => answer(new Request(input, init)),
    behave: (fault) => void (how = fault),
    taken: () => taken,
    last: () => last,
    onTaken: (listener) => void listeners.push(listener),
  };
}
