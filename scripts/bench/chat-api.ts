import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The api process of the chat's bench: the real one, which also says how much memory it uses when it is asked. Ends with its parent. */
setFlagsFromString('--expose_gc');
const collect: unknown = runInNewContext('gc');

process.on('message', () => {
  for (let time = 0; time < 3; time += 1) if (typeof collect === 'function') collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  process.send?.({ bytes: heapUsed + external, rss });
});
process.on('disconnect', () => process.exit(0));

await import('#api/main.ts');
