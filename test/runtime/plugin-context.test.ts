import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPluginContext, type ContextOptions } from '#runtime/plugin-context.ts';
import { serverPort, stopServer } from '../support/http.ts';

const channel = { key: 'hook-1', address: 'somewhere', name: 'Hook', enabled: true, settings: {} };
const SIZE = 2_000;
let origin: string;
let elsewhere: string;
const seen: string[] = [];

const server = createServer((request, response) => {
  seen.push(`${request.headers.host === new URL(origin).host ? '' : 'ELSEWHERE '}${request.url ?? ''}`);
  if (request.url === '/same') response.writeHead(302, { location: '/end' }).end();
  else if (request.url === '/other') response.writeHead(302, { location: `${elsewhere}/end` }).end();
  else if (request.url === '/told') response.end('x'.repeat(SIZE));
  else if (request.url === '/untold') response.writeHead(200).write('x'.repeat(SIZE / 2), () => response.end('x'.repeat(SIZE / 2)));
  else if (request.url === '/round') response.writeHead(302, { location: '/round' }).end();
  else if (request.url === '/cut') response.destroy();
  else if (request.url === '/slow') response.writeHead(200).write('begun');
  else response.end('end');
});
beforeAll(async () => {
  const port = await serverPort(server);
  origin = `http://127.0.0.1:${port}`;
  elsewhere = `http://localhost:${port}`;
});
afterAll(() => stopServer(server));

const context = (options: Partial<ContextOptions> = {}) => createPluginContext(channel, { sign: (text) => text, log: () => undefined, ...options });

describe("a plugin's network", () => {
  it('follows a redirect on its own host and hands back one to another, with its token unsent [PLUG-5]', async () => {
    expect(await (await context().fetch(`${origin}/same`)).text()).toBe('end');
    const response = await context().fetch(`${origin}/other`, { headers: { authorization: 'Bearer x' } });
    expect(response.status).toBe(302);
    expect(seen.filter((one) => one.startsWith('ELSEWHERE'))).toEqual([]);
    expect((await context().fetch(`${origin}/same`, { method: 'POST', body: 'x' })).status).toBe(302);
    expect((await context().fetch(`${origin}/round`)).status).toBe(302);
  });

  it('ends an answer that is too large, whether its size is told or not [PLUG-5]', async () => {
    const { fetch } = context({ maxResponseBytes: SIZE - 1 });
    for (const path of ['/told', '/untold']) {
      const read = async () => (await fetch(origin + path)).text();
      await expect(read()).rejects.toMatchObject({ failure: { code: 'Unavailable' } });
    }
    expect(await (await context({ maxResponseBytes: SIZE }).fetch(`${origin}/untold`)).text()).toHaveLength(SIZE);
  });

  it('says of a connection that was not made that nothing was sent [PLUG-5]', async () => {
    const gone = createServer();
    const port = await serverPort(gone);
    await stopServer(gone);
    const tls = origin.replace('http:', 'https:');
    for (const url of [`http://127.0.0.1:${port}/`, `http://localhost:${port}/`, 'http://nobody.invalid/', tls]) {
      const asked = context().fetch(url, { method: 'POST', body: 'x' });
      await expect(asked, url).rejects.toMatchObject({ failure: { code: 'Unavailable', reason: 'no connection to the provider' } });
    }
  });

  it('leaves open what became of a request that was on its way [PLUG-5, CH-5]', async () => {
    const refused = () =>
      Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error('no'), { code: 'ECONNREFUSED', syscall: 'connect' }) }));
    const cut = context().fetch(`${origin}/cut`, { method: 'POST', body: 'x' });
    await expect(cut).rejects.not.toHaveProperty('failure');
    // The second address of a redirect: the first has had the request.
    const behind = context({ fetch: (input) => (new Request(input).url.endsWith('/same') ? fetch(input) : refused()) });
    await expect(behind.fetch(`${origin}/same`)).rejects.not.toHaveProperty('failure');
    const { fetch: limited } = context({ maxResponseBytes: SIZE - 1 });
    for (const path of ['/told', '/untold']) {
      const read = async () => (await limited(origin + path, { method: 'POST', body: 'x' })).text();
      await expect(read()).rejects.toMatchObject({ failure: { code: 'MaybeSent' } });
    }
  });

  it('ends an answer that takes too long, also within its body, and when nobody waits any more [PLUG-5]', async () => {
    // Time enough for the answer to begin, however busy the machine is.
    const slow = await context({ timeoutMs: 3_000 }).fetch(`${origin}/slow`);
    await expect(slow.text()).rejects.toThrow();
    const ending = new AbortController();
    const waiting = await context({ signal: ending.signal }).fetch(`${origin}/slow`);
    ending.abort();
    await expect(waiting.text()).rejects.toThrow();
  });
});

it('names the channel in every line of a plugin’s log, and nothing else of it [PLUG-5]', () => {
  const lines: unknown[] = [];
  context({ log: (message, fields) => void lines.push([message, fields]) }).log('renewed', { days: 3 });
  expect(lines).toEqual([['renewed', { days: 3, channel: 'hook-1' }]]);
});
