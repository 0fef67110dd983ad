import config from '#config';
import { createFeed } from '#api/feed.ts';
import { createGraphqlHandler } from '#api/server.ts';
import { ensureDevelopmentAccount } from '#commands/development.ts';
import { openDatabase } from '#db/database.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import type { Ground } from './ground.ts';

const LIST = `query ($first: Int!) { tickets(first: $first, filter: { hasThread: true }) { edges { node {
  number name createdAt priority status { name pipeline { name } } owner { name } team { name } contact { name identities { value } }
  channel { name place { name } } thread { lastMessage { text author { name } } } } } } }`;

/** SQL statements of the ticket list for 10 and for 100 rows, the viewer's authentication left out as it is the same for both. */
export async function listStatements({ databaseUrl, keys }: Ground): Promise<readonly [number, number]> {
  const statements: string[] = [];
  const db = openDatabase(databaseUrl, { max: 5, name: 'bench-api', onStatement: (text) => void statements.push(text) });
  const feed = createFeed({ db, directUrl: databaseUrl });
  try {
    const { token } = await ensureDevelopmentAccount(db);
    const answer = createGraphqlHandler({
      db,
      keys,
      plugins: config.plugins,
      feed,
      dispatch: () => undefined,
      pluginContext: (_plugin, channel) => createPluginContext(channel, { sign: (text) => text, log: () => undefined }),
      graphiql: false,
      onError: (errorId) => console.error(`bench: the API failed (${errorId})`),
    });
    const count = async (first: number): Promise<number> => {
      const request = (): Request =>
        new Request('http://127.0.0.1/graphql', {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
          body: JSON.stringify({ query: LIST, variables: { first } }),
        });
      // The first touches the user's last activity, which is written once a minute.
      await (await answer(request())).text();
      statements.length = 0;
      const body = (await (await answer(request())).json()) as { data?: { tickets: { edges: readonly unknown[] } } };
      if (body.data?.tickets.edges.length !== first) throw new Error(`bench: the list did not bring ${first} rows`);
      // The feed's own look, once a second, is not the list's.
      return statements.filter((text) => !text.includes('pg_snapshot_xmin')).length;
    };
    return [await count(10), await count(100)];
  } finally {
    await feed.close();
    await db.destroy();
  }
}
