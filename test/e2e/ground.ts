import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import email from '@trunkline/plugin-email';
import { SMTPServer } from 'smtp-server';
import { checkInvariants } from '#db/invariants.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { apiClient, nodes, type Api, type Edges } from '#scripts/demo/graphql.ts';
import { openOutside, type Outside } from '#scripts/demo/mailbox.ts';
import { startStack, type Stack, type StackOptions } from '#scripts/servers/stack.ts';

/** What a channel is connected with. */
export interface Connect {
  readonly name: string;
  readonly address: string;
  /** Of the people who get its tickets; nobody unless given. */
  readonly userIds?: readonly string[];
  /** Where replies are handed in; the world outside unless given. */
  readonly smtpPort?: number;
}

/** A whole stack, the world outside, an administrator, and a look at the rows. */
export interface Ground {
  readonly stack: Stack;
  readonly admin: Api;
  readonly outside: Outside;
  readonly db: Db;
  /** Connects a help-desk channel; its id and key. */
  connect(channel: Connect): Promise<{ readonly id: string; readonly key: string }>;
  /** The `temporal` command line against this stack; throws where it does not end with 0. */
  temporal(...words: readonly string[]): Promise<string>;
  /** Every invariant that does not hold. */
  broken(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Starts all of it in a folder of its own, which is removed at the end. */
export async function openGround(options: StackOptions = {}): Promise<Ground> {
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-e2e-'));
  let stack: Stack | undefined;
  let outside: Outside | undefined;
  try {
    stack = await startStack({ dataDirectory: directory, throwaway: true, quiet: true, ...options });
    outside = await openOutside(stack.addresses.smtp);
    return lay(stack, outside, directory);
  } catch (error) {
    await outside?.close();
    await stack?.stop();
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

function lay(stack: Stack, outside: Outside, directory: string): Ground {
  const admin = apiClient(stack.addresses.graphql, stack.token ?? '');
  const db = openDatabase(stack.databaseUrl, { max: 4, name: 'trunkline-e2e' });
  return {
    stack,
    admin,
    outside,
    db,
    async connect({ name, address, userIds, smtpPort }) {
      const { places } = await admin.run<{ places: Edges<{ id: string; kind: string }> }>(
        '{ places(first: 10) { edges { node { kind ... on Node { id } } } } }',
      );
      await admin.do('connectChannel', '... on Channel { id }', {
        plugin: email.key,
        name,
        placeId: nodes(places).find((one) => one.kind === 'HELP_DESK')?.id,
        settings: { kind: 'other', address, companyName: 'Acme', smtp: { host: '127.0.0.1', port: smtpPort ?? outside.smtpPort, secure: 'none' } },
        ...(userIds === undefined ? {} : { routing: { kind: 'SPECIFIC', userIds } }),
      });
      return db.selectFrom('channel').select(['id', 'key']).where('name', '=', name).executeTakeFirstOrThrow();
    },
    temporal: (...words) => run(stack.temporalProgram ?? 'temporal', [...words, '--address', stack.addresses.temporal]),
    broken: async () => (await checkInvariants(db)).filter((one) => one.violations !== 0).map((one) => `${one.invariant.rule}: ${one.violations}`),
    async close() {
      await db.destroy().catch(() => undefined);
      await outside.close();
      await stack.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Runs a program to its end and gives what it printed; throws with all of it where it does not end with 0. */
export function run(program: string, words: readonly string[], environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, words, { timeout: 30_000, env: environment }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${program} ${words.join(' ')} failed:\n${stdout}${stderr}`, { cause: error }));
    });
  });
}

/** A person who can get tickets, by the API's id and the row's. */
export async function hire(
  { admin, db }: Pick<Ground, 'admin' | 'db'>,
  name: string,
): Promise<{ readonly id: string; readonly rowId: string; readonly token: string }> {
  const address = `${name.toLowerCase()}@staff.example`;
  const { id } = await admin.do<{ id: string }>('createUser', '... on User { id }', { name, email: address, role: 'AGENT', seat: 'PAID' });
  const { token } = await admin.do<{ token: string }>('createApiToken', '... on NewApiToken { token }', { userId: id, name: 'e2e' });
  const row = await db.selectFrom('app_user').select('id').where('email', '=', address).executeTakeFirstOrThrow();
  return { id, rowId: row.id, token };
}

/** A provider that lets us connect and refuses every recipient with this code, quoting who it was and what else it is told to say. */
export async function openRefusing(responseCode: number, says = ''): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    onRcptTo: ({ address }, _session, done) => done(Object.assign(new Error(`not ${address} ${says}`), { responseCode })),
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const bound = server.server.address();
  return { port: typeof bound === 'object' && bound !== null ? bound.port : 0, close: () => new Promise((resolve) => server.close(resolve)) };
}
