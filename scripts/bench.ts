/** `npm run bench -- <name>`: prints a table and, last, one line of JSON with the figures. Exit 2 where a baseline is absurdly slow. */
const BENCHES: Readonly<Record<string, () => Promise<{ run(): Promise<number> }>>> = {
  intake: () => import('./bench/intake.ts'),
  api: () => import('./bench/api.ts'),
  chat: () => import('./bench/chat.ts'),
  routing: () => import('./bench/routing.ts'),
  sla: () => import('./bench/sla.ts'),
  migration: () => import('./bench/migration.ts'),
};

const name = process.argv[2] ?? '';
const bench = BENCHES[name];
if (bench === undefined) {
  console.error(`bench: there is no bench "${name}"; there are: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
process.exit(await (await bench()).run());
