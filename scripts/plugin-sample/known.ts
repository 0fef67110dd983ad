import type { RawDelivery } from '@trunkline/channel-sdk';
import type { Db } from '#db/database.ts';
import type { Known } from './disguise.ts';

/** A delivery as it is stored, and whom it is about. */
export interface Stored {
  readonly raw: RawDelivery;
  readonly plugin: string;
  readonly channel: { readonly key: string; readonly address: string };
  readonly known: Omit<Known, 'own'>;
}

/** Undefined where there is none of this id, or it was removed already. */
export async function storedDelivery(db: Db, id: number): Promise<Stored | undefined> {
  const row = await db
    .selectFrom('raw_delivery')
    .innerJoin('channel', 'channel.id', 'raw_delivery.channel_id')
    .select(['method', 'url', 'headers', 'body', 'received_at', 'channel.plugin', 'channel.key', 'channel.address'])
    .where('raw_delivery.id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const messages = await db
    .selectFrom('message')
    .select(['sender', 'participants', 'subject', 'text', 'quoted_text', 'contact_id'])
    .where('raw_delivery_id', '=', id)
    .execute();
  const ids = messages.flatMap(({ contact_id }) => (contact_id === null ? [] : [contact_id]));
  const contacts = ids.length === 0 ? [] : await db.selectFrom('contact').select('name').where('id', 'in', ids).execute();
  const identities = ids.length === 0 ? [] : await db.selectFrom('contact_identity').select('value').where('contact_id', 'in', ids).execute();
  const people = messages.flatMap(({ sender, participants }) => [...(sender === null ? [] : [sender]), ...participants]);
  return {
    raw: { method: row.method, url: row.url, headers: row.headers, body: new Uint8Array(row.body), receivedAt: row.received_at.toISOString() },
    plugin: row.plugin,
    channel: { key: row.key, address: row.address },
    known: {
      names: some([...contacts.map(({ name }) => name), ...people.map(({ name }) => name)]),
      identities: some([...identities.map(({ value }) => value), ...people.map(({ value }) => value)]),
      texts: some(messages.flatMap(({ subject, text, quoted_text }) => [subject, text, quoted_text])),
    },
  };
}

function some(values: readonly (string | null | undefined)[]): readonly string[] {
  return [...new Set(values.filter((one): one is string => typeof one === 'string' && one.trim() !== ''))];
}
