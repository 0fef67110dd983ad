import type { TestProject } from 'vitest/node';

import { GIVEN, startTestServers, type TestServers } from './servers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly servers: TestServers;
  }
}

/** Starts PostgreSQL and Temporal once for all test files; they are removed at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { servers, close } = await startTestServers();
  project.provide('servers', servers);
  // Also for processes that tests start, which cannot ask vitest.
  process.env[GIVEN.databaseUrl] = servers.databaseUrl;
  process.env[GIVEN.temporalAddress] = servers.temporalAddress;
  return async () => {
    delete process.env[GIVEN.databaseUrl];
    delete process.env[GIVEN.temporalAddress];
    await close();
  };
}
