import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'vitest';
import type { RawDelivery } from '@trunkline/channel-sdk';
import { parse } from '../parse.ts';

/** A delivery as it stands in `fixtures/`, and what it must give. */
interface Fixture extends Omit<RawDelivery, 'body'> {
  readonly body: string;
  readonly encoding: 'utf8' | 'base64';
  /** Part of each event, in order: what is named must be equal. */
  readonly gives: readonly Readonly<Record<string, unknown>>[];
}

const folder = new URL('../fixtures/', import.meta.url);

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
  test(`fixtures/${file} gives what stands in it`, async () => {
    const { gives, body, encoding, ...raw } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Fixture;
    const events = await parse({ ...raw, body: new Uint8Array(Buffer.from(body, encoding)) });
    assert.equal(events.length, gives.length);
    gives.forEach((expected, index) => assert.partialDeepStrictEqual(events[index], expected));
  });
}
