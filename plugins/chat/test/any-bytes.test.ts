import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chat, json, said } from './support.ts';

const MADE = { text: 'It broke.', choice: 'returns', email: 'ada@example.com', name: 'Ada', page: { url: 'https://acme.example/?ref=x', title: 'Acme' } };

/** A message a widget could have sent, with something wrong in it somewhere. */
const mutated = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(fc.constantFrom('id', 'text', 'choice', 'email', 'name', 'page', '__proto__', 'constructor'), fc.jsonValue())
    .map(([field, value]) => Buffer.from(JSON.stringify({ ...said(MADE), [field]: value }))),
  fc
    .tuple(fc.constantFrom('text', 'email', 'name', 'choice'), fc.string({ unit: 'binary', maxLength: 50 }))
    .map(([field, value]) => Buffer.from(JSON.stringify(said({ ...MADE, [field]: value })))),
  fc.tuple(fc.nat(300), fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 4 })).map(([cut, changes]) => {
    const bytes = Buffer.from(JSON.stringify(said(MADE)));
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return cut < 40 ? bytes.subarray(0, cut) : bytes;
  }),
);

it('takes in whatever it is sent or says what is wrong with it; what it took in can be read, 10,000 times [CHAT-2]', async () => {
  const statuses = new Map<number, number>();
  const page = chat();
  const visitor = await page.come();
  const authorization = `Bearer ${visitor.token}`;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('/messages', '/messages', '/read', '/typing', '/transcript', '/visitor'), mutated, async (path, body) => {
      page.delivered.length = 0;
      const response = await page.ask(path, { ...json('', { authorization }), body });
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      expect(response.status).toBeLessThan(500);
      const answer = await response.text();
      if (response.status === 422) {
        const { code, errors } = JSON.parse(answer) as { readonly code: string; readonly errors: readonly { field: unknown; message: unknown }[] };
        expect(code).toBe('Invalid');
        expect(errors.length).toBeGreaterThan(0);
        for (const { message } of errors) expect(message).toMatch(/\w/);
      }
      if (page.delivered.length === 0) return;
      for (const event of await page.parsed()) {
        expect(event).toMatchObject({ contact: { kind: 'visitor', value: visitor.identity.value } });
        JSON.stringify(event, (_field, value: unknown) => {
          if (typeof value === 'string') expect(value.isWellFormed() && !value.includes('\0')).toBe(true);
          return value;
        });
      }
    }),
    { numRuns: 10_000 },
  );
  // It was not all refused for one reason, nor all taken.
  for (const status of [201, 202, 204, 422]) expect(statuses.get(status) ?? 0, `${status}`).toBeGreaterThan(50);
});
