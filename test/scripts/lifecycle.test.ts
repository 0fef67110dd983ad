import { Writable } from 'node:stream';
import { expect, test } from 'vitest';

import { createLifecycle } from '#runtime/lifecycle.ts';
import { createLogger } from '#runtime/log.ts';

test('closes in reverse order, once, whoever asks [OPS-7]', async () => {
  const closed: string[] = [];
  const lifecycle = createLifecycle({ signals: [] });
  lifecycle.onShutdown('database', () => void closed.push('database'));
  lifecycle.onShutdown('server', async () => void closed.push('server'));
  expect(lifecycle.stopping()).toBe(false);
  const both = await Promise.all([lifecycle.shutdown('test'), lifecycle.shutdown('test')]);
  expect(both).toEqual([true, true]);
  expect(lifecycle.stopping()).toBe(true);
  expect(closed).toEqual(['server', 'database']);
});

test('goes on when one does not close or fails, and says which [OPS-7]', async () => {
  const said: string[] = [];
  let closed = false;
  const lifecycle = createLifecycle({ signals: [], timeoutMs: 50, onMessage: (message) => said.push(message) });
  lifecycle.onShutdown('last', () => void (closed = true));
  lifecycle.onShutdown('stuck', () => new Promise(() => {}));
  lifecycle.onShutdown('broken', () => Promise.reject(new TypeError('Anna Example wrote')));
  expect(await lifecycle.shutdown('test')).toBe(false);
  expect(closed).toBe(true);
  expect(said.join('\n')).toContain('stuck did not stop');
  expect(said.join('\n')).toContain('broken failed to stop (TypeError)');
  expect(said.join('\n')).not.toContain('Anna');
});

test('a logged error keeps its class, code and constraint, and loses its message and its causes’ messages [OPS-7]', () => {
  let text = '';
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  const log = createLogger({ service: 'api', destination });
  const cause = Object.assign(new Error('Key (email)=(anna@example.org) already exists'), { code: '23505', constraint: 'app_user_email_key' });
  log.error({ err: new RangeError('anna@example.org', { cause }), ticketId: 7, token: 'hunter2' }, 'the ticket could not be made');
  const line: unknown = JSON.parse(text);
  expect(line).toMatchObject({
    service: 'api',
    level: 'error',
    ticketId: 7,
    err: { type: 'RangeError', cause: { code: '23505', constraint: 'app_user_email_key' } },
  });
  expect(text).not.toContain('anna@example.org');
  expect(text).not.toContain('hunter2');
});
