import fc from 'fast-check';
import { GOOD, SITE } from './support.ts';

/** Half a submission and half noise: what changes it may cut, repeat, or put something into it. */
const mutation = fc.record({
  how: fc.constantFrom('cut', 'insert', 'replace', 'repeat', 'none'),
  at: fc.nat(10_000),
  length: fc.nat(200),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.string({ unit: 'binary', maxLength: 30 }).map((text) => new Uint8Array(Buffer.from(text))),
  ),
});
type Mutation = typeof mutation extends fc.Arbitrary<infer M> ? M : never;

function mutated(body: Buffer, { how, at, length, bytes }: Mutation): Buffer {
  const place = body.length === 0 ? 0 : at % (body.length + 1);
  const [before, after] = [body.subarray(0, place), body.subarray(place)];
  switch (how) {
    case 'cut':
      return Buffer.concat([before, after.subarray(length)]);
    case 'insert':
      return Buffer.concat([before, bytes, after]);
    case 'replace':
      return Buffer.concat([before, bytes, after.subarray(bytes.length)]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length), after]);
    default:
      return body;
  }
}

const value = fc.oneof(
  fc.constantFrom(...Object.values(GOOD)),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom('', '\0', '\ud800', 'x'.repeat(6_000)),
);
const fields = fc.dictionary(
  fc.oneof(
    fc.constantFrom(...Object.keys(GOOD), 'phone', 'count', 'bought', 'photos', 'utm', '_shown', '_homepage', '_embed', '__proto__', 'status'),
    fc.string({ maxLength: 8 }),
  ),
  value,
  {
    maxKeys: 10,
  },
);
/** A request as a visitor, a client, or whoever means harm might make it: what it is made of. */
export const anySubmission = fc.record({
  kind: fc.constantFrom('urlencoded', 'multipart', 'json', 'noise'),
  more: fields,
  good: fc.boolean(),
  mutations: fc.array(mutation, { maxLength: 3 }),
  path: fc.constantFrom('/', '/submissions', '/submissions', '/thanks', '//', '/?_embed=%00'),
  // What is taken is rarest of all that may come of it, most of all for a client: so there are more of these.
  accept: fc.constantFrom('text/html', 'application/json', 'application/json', 'application/json', '*/*'),
  origin: fc.constantFrom(null, SITE, 'https://evil.example', 'null', 'nonsense'),
  lie: fc.option(
    fc.constantFrom(
      'application/json',
      'multipart/form-data',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
      'text/plain',
      'a/b; boundary="',
    ),
    {
      freq: 5,
    },
  ),
});
export type AnySubmission = typeof anySubmission extends fc.Arbitrary<infer S> ? S : never;

/** The request itself; `hidden`: what an opened form carries unseen. */
export async function submissionOf(
  { kind, more, good, mutations, accept, origin, lie }: AnySubmission,
  hidden: Readonly<Record<string, string>>,
): Promise<{ readonly method: string; readonly body: Uint8Array<ArrayBuffer>; readonly headers: Record<string, string> }> {
  const { type, body } = await bodyOf(kind, { ...(good ? { ...hidden, ...GOOD } : {}), ...more });
  const headers = { 'content-type': lie ?? type, accept, ...(origin === null ? {} : { origin }) };
  return { method: 'POST', body: new Uint8Array(mutations.reduce(mutated, body)), headers };
}

async function bodyOf(kind: string, values: Readonly<Record<string, string>>): Promise<{ readonly type: string; readonly body: Buffer }> {
  if (kind === 'json') return { type: 'application/json', body: Buffer.from(JSON.stringify(values)) };
  if (kind === 'noise') return { type: 'application/octet-stream', body: Buffer.from(Object.values(values).join('')) };
  const data = kind === 'multipart' ? new FormData() : new URLSearchParams();
  for (const [name, text] of Object.entries(values)) {
    if (data instanceof FormData && name === 'photos') data.append(name, new File([text], text));
    else data.append(name, text);
  }
  const sent = new Response(data);
  return { type: sent.headers.get('content-type') ?? '', body: Buffer.from(await sent.arrayBuffer()) };
}
