import { sql } from 'kysely';
import type { ChannelInfo, Plugin, PluginContext } from '@trunkline/channel-sdk';
import type { Keys } from '#commands/secrets.ts';
import { hashToken } from '#commands/secrets.ts';
import type { Db, Tx } from '#db/database.ts';
import type { Wake } from '#domain/wake.ts';
import { visibilityOf, type Viewer, type Visibility } from './access.ts';
import type { Feed } from './feed.ts';
import { createLoaders, type Loaders } from './loaders.ts';

/** What a server needs, for all of its requests. */
export interface ApiDeps {
  readonly db: Db;
  readonly keys: Keys;
  readonly plugins: readonly Plugin[];
  readonly feed: Feed;
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
  /** Ends with the request. */
  readonly signal: AbortSignal;
  /** What the viewer sees, read once a request. */
  see(): Promise<Visibility>;
  /** As `see`, as the transaction reads it. */
  seeIn(tx: Tx): Promise<Visibility>;
  /** Forgets what was read: after a mutation has changed it, and between two events of a stream. */
  refresh(viewer?: Viewer): void;
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
    see,
    seeIn: (tx) => visibilityOf(tx, viewer),
    refresh(now) {
      Object.assign(viewer, now);
      visible = undefined;
      load.clear();
    },
  };
}

/** How often `last_active_at` is written for one user, at most. */
const TOUCH_MS = 60_000;

/** Turns bearer tokens into viewers. Revoked tokens and deactivated users get null, like unknown ones. */
export function createAuthenticator(db: Db): (request: Request) => Promise<Viewer | null> {
  const touched = new Map<string, number>();
  return async (request) => {
    const token = /^Bearer ([\x21-\x7e]{8,512})$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    if (token === undefined) return null;
    const row = await db
      .selectFrom('api_token')
      .innerJoin('app_user', 'app_user.id', 'api_token.user_id')
      .select(['api_token.id as tokenId', 'app_user.id as userId', 'app_user.role'])
      .where('api_token.token_hash', '=', hashToken(token))
      .where('api_token.revoked_at', 'is', null)
      .where('app_user.deactivated_at', 'is', null)
      .executeTakeFirst();
    if (row === undefined) return null;
    const now = Date.now();
    if (now - (touched.get(row.userId) ?? 0) >= TOUCH_MS) {
      touched.set(row.userId, now);
      // Several processes may each think it is time: the row decides.
      await db
        .updateTable('app_user')
        .set({ last_active_at: sql<Date>`now()` })
        .where('id', '=', row.userId)
        .where(sql<boolean>`(last_active_at is null or last_active_at < now() - interval '1 minute')`)
        .execute();
    }
    return row;
  };
}
