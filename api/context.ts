import type { ChannelInfo, Plugin, PluginContext } from '@trunkline/channel-sdk';
import type { Keys } from '#commands/secrets.ts';
import type { Db, Tx } from '#db/database.ts';
import type { Wake } from '#domain/wake.ts';
import { visibilityOf, type Viewer, type Visibility } from './access.ts';
import type { Feed } from './feed.ts';
import type { Live } from './live/index.ts';
import { createLoaders, type Loaders } from './loaders.ts';
import { concernsNothing, type Concerned } from './place-activity.ts';

/** What a server needs, for all of its requests. */
export interface ApiDeps {
  readonly db: Db;
  readonly keys: Keys;
  readonly plugins: readonly Plugin[];
  /** Where the API is reached from outside, without a slash at the end; without it links to attachments are relative. */
  readonly publicUrl?: string;
  readonly feed: Feed;
  /** What visitors' open pages are told and what is heard of them; without it nobody is told who is writing. */
  readonly live?: Live;
  /** Hands wakes to Temporal; returns at once and never throws. */
  readonly dispatch: (wakes: readonly Wake[]) => void;
  /** What a plugin gets while its channel is being connected. */
  readonly pluginContext: (pluginKey: string, channel: ChannelInfo<unknown>) => PluginContext<unknown>;
}

/** What a resolver gets. */
export interface ApiContext {
  readonly deps: ApiDeps;
  readonly db: Db;
  readonly viewer: Viewer;
  readonly load: Loaders;
  /** The places and tickets it reads or changes, for whoever asks where the viewer is active (ROUTE-9). */
  readonly concerned: Concerned;
  /** Ends with the request. */
  readonly signal: AbortSignal;
  /** What the viewer sees, read once a request. */
  see(): Promise<Visibility>;
  /** As `see`, as the transaction reads it. */
  seeIn(tx: Tx): Promise<Visibility>;
  /** Forgets what was read: after a mutation has changed it, and in a stream. `seen`: what the viewer sees, where that was read just now. */
  refresh(viewer?: Viewer, seen?: Visibility): void;
}

export function createContext(deps: ApiDeps, caller: Viewer, signal: AbortSignal): ApiContext {
  // The server copies the context's properties into its own object, so what changes must change inside of them.
  const viewer = { ...caller };
  let visible: Promise<Visibility> | undefined;
  const see = () => (visible ??= visibilityOf(deps.db, viewer));
  const load = createLoaders(deps.db, see, { plugins: deps.plugins, userId: viewer.userId });
  return {
    deps,
    db: deps.db,
    signal,
    viewer,
    load,
    concerned: concernsNothing(),
    see,
    seeIn: (tx) => visibilityOf(tx, viewer),
    refresh(now, seen) {
      Object.assign(viewer, now);
      visible = seen === undefined ? undefined : Promise.resolve(seen);
      load.clear();
    },
  };
}
