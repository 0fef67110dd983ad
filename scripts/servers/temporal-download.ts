import { TestWorkflowEnvironment } from '@temporalio/testing';

// Run as a process of its own by temporal-program.ts. The SDK only downloads what it then starts, so the server is
// started and stopped at once; what stays is the program in the directory.
const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: node temporal-download.ts <directory>');
try {
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', version: 'v1.5.1', downloadDir: directory, ttl: '1000 days' } },
  });
  await environment.teardown();
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message.replaceAll('\n', ' ') : String(error)}\n`);
  process.exit(1);
}
