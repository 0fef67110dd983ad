import { defineConfig } from 'vitest/config';

export default defineConfig({
  // As Node itself resolves packages: with vite's own condition `development`, graphql would be loaded twice, as two classes of everything.
  ssr: { resolve: { conditions: ['node', 'module-sync'] } },
  test: {
    include: ['test/**/*.test.ts', 'plugins/*/test/**/*.test.ts', 'channel-sdk/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.trunkline/**'],
    globalSetup: ['test/support/global-setup.ts'],
    // A process for each file: the Temporal SDK's native core is one per process.
    pool: 'forks',
    // PostgreSQL and Temporal share the machine with the tests.
    maxWorkers: 2,
    // No test asserts speed; these only end what hangs.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    teardownTimeout: 60_000,
  },
});
