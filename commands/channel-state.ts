import type { ChannelState } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { Keys } from './secrets.ts';

/** Bytes a channel's state may have as JSON: tokens and ids, never messages. */
export const STATE_BYTES = 65_536;

/** Whose state: a channel's, also one that is being connected just now. */
export interface StateOf {
  readonly id: string;
  readonly key: string;
}

/**
 * What a plugin keeps of its provider, sealed like secrets. Written by compare-and-set: of any number at once each change is applied once to what
 * the one before it left, so that a refreshed token is never lost. Rejects where there is no such channel, or where the change is larger than `STATE_BYTES`.
 */
export function channelState(db: Db, keys: Keys, channel: StateOf): ChannelState {
  const read = () => readState(db, keys, channel);
  return {
    read: async () => (await read()).value,
    async update(change) {
      for (;;) {
        const { value, version } = await read();
        const sealed = seal(keys, channel, change(value));
        const { rows } = await sql<{ id: string }>`
          with mine as (
            update channel set state = ${sealed}, state_version = state_version + 1 where id = ${channel.id}::uuid and state_version = ${version} returning id
          ), begun as (
            update channel_connecting set state = ${sealed}, state_version = state_version + 1 where id = ${channel.id}::uuid and state_version = ${version} returning id
          ) select id from mine union all select id from begun`.execute(db);
        if (rows.length > 0) return;
      }
    },
  };
}

/** The same for who may only look: a plugin that verifies. */
export function readOnlyState(state: ChannelState): ChannelState {
  return {
    read: () => state.read(),
    update: () => Promise.reject(new Error('the state of a channel can not be changed while a delivery is verified')),
  };
}

async function readState(db: Db, keys: Keys, channel: StateOf): Promise<{ readonly value: unknown; readonly version: number }> {
  const { rows } = await sql<{ state: Buffer | null; version: number }>`
    select state, state_version as version from channel where id = ${channel.id}::uuid
    union all select state, state_version from channel_connecting where id = ${channel.id}::uuid limit 1`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('there is no such channel to keep a state of');
  return { value: row.state === null ? undefined : keys.open(sealName(channel), row.state)['state'], version: row.version };
}

/** Null: nothing is kept any more. */
function seal(keys: Keys, channel: StateOf, state: unknown): Buffer | null {
  if (state === undefined) return null;
  if (Buffer.byteLength(JSON.stringify(state) ?? '') > STATE_BYTES) throw new Error(`the state of a channel may have ${STATE_BYTES} bytes`);
  return keys.seal(sealName(channel), { state });
}

/** Bound to the channel and to what it is: a row's secrets do not open as its state. */
function sealName({ key }: StateOf): string {
  return `${key}/state`;
}
