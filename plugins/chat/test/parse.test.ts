import { describe, expect, it } from 'vitest';
import { KEPT } from '../kept.ts';
import { chat, said, START, type Chat } from './support.ts';

async function written(it: Chat, more: Record<string, unknown> = {}) {
  const visitor = await it.come();
  const body = said(more);
  expect((await visitor.post('/messages', body)).status).toBe(202);
  return { visitor, id: String(body['id']), events: await it.parsed() };
}

describe('what a visitor wrote', () => {
  it('is a message of the visitor in the visitor’s one thread [CHAT-2]', async () => {
    const { visitor, id, events } = await written(chat(), { text: ' Hello\r\nthere ' });
    const thread = [`visitor:${visitor.identity.value}`];
    expect(events).toEqual([
      {
        type: 'message',
        direction: 'inbound',
        dedupeKey: `message:${visitor.identity.value}:${id}`,
        providerMessageId: id,
        contact: visitor.identity,
        participants: [],
        thread: { joins: thread, keys: thread },
        text: 'Hello\nthere',
        attachments: [],
      },
    ]);
  });

  it('stays text, whatever stands in it [CH-7]', async () => {
    const text = '<img src=x onerror=alert(1)> & <b>so</b>';
    const { events } = await written(chat(), { text, html: '<script>x</script>' });
    expect(events).toMatchObject([{ text }]);
    expect(events[0]).not.toHaveProperty('html');
  });

  it('carries what was chosen, the name, and the ref of the page it was written on [CHAT-5]', async () => {
    const page = { url: 'https://shop.acme.example/lamps?ref=spring%20sale&x=1', title: 'Lamps' };
    const { events } = await written(chat(), { choice: 'talk-to-a-person', name: ' Ada\n Lovelace ', page });
    expect(events).toMatchObject([{ choice: 'talk-to-a-person', entryPoint: 'spring sale', contact: { name: 'Ada Lovelace' } }]);
    // What else stands in the page's address is nobody's business.
    expect(JSON.stringify(events)).not.toContain('lamps');
    const { events: told } = await written(chat(), { page: { ref: ' spring\n sale ' } });
    expect(told).toMatchObject([{ entryPoint: 'spring sale' }]);
    const { events: wrong } = await written(chat(), { page: { ref: 7, url: 'https://shop.acme.example/?ref=sale' } });
    expect(wrong).toMatchObject([{ entryPoint: 'sale' }]);
  });

  it('with an address makes it known as theirs, in its canonical form [CHAT-3]', async () => {
    const { visitor, id, events } = await written(chat(), { email: ' Ada@Example.COM ' });
    expect(events.map(({ type }) => type)).toEqual(['message', 'identity-added']);
    expect(events[1]).toEqual({
      type: 'identity-added',
      dedupeKey: `address:${visitor.identity.value}:${id}`,
      contact: visitor.identity,
      added: { kind: 'email-address', value: 'ada@example.com' },
    });
  });

  it('has been read up to now at the latest, whatever clock the visitor has', async () => {
    const it = chat();
    const visitor = await it.come();
    await visitor.post('/read', { through: '2126-01-01T00:00:00Z' });
    expect(await it.parsed()).toMatchObject([{ through: new Date(START).toISOString() }]);
  });

  it('can not be parsed as anybody’s or anything else: only the page says whose it is', async () => {
    const it = chat();
    await written(it);
    const [raw] = it.delivered;
    if (raw === undefined) throw new Error('nothing was delivered');
    for (const headers of [
      {},
      { ...raw.headers, [KEPT.visitor]: 'x' },
      { ...raw.headers, [KEPT.visitor]: `${raw.headers[KEPT.visitor]}:1` },
      { ...raw.headers, [KEPT.what]: 'email' },
    ]) {
      it.delivered.push({ ...raw, headers });
      await expect(it.parsed()).rejects.toMatchObject({ failure: { code: 'Malformed' } });
    }
  });
});
