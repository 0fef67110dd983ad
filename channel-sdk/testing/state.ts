import type { ChannelState } from '../index.ts';
import { fail } from './check.ts';

/** Begins with nothing; holds JSON, as a database does. Every second change finds that somebody else was faster, and is asked again. */
export function createState(): ChannelState {
  let kept = 'null';
  let writes = 0;
  return {
    read: async () => JSON.parse(kept) as unknown,
    async update(change) {
      if (writes % 2 === 1) change(JSON.parse(kept));
      kept = JSON.stringify(change(JSON.parse(kept)) ?? null);
      writes += 1;
    },
  };
}

/** As `verify` gets it. */
export function readOnly(state: ChannelState): ChannelState {
  return { read: () => state.read(), update: () => Promise.resolve(fail('verify writes to context.state', 'read it there; write in connect and renew')) };
}
