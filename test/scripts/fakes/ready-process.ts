import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';

// Stands for api and worker in tests of the stack: ready at once, and it writes down when it was asked to stop.
const port = Number(process.argv[1]?.includes('api') ? process.env['PORT'] : process.env['WORKER_PORT']);
const server = createServer((_request, response) => response.end('ready'));
server.listen(port, '127.0.0.1');
process.on('SIGTERM', () => {
  const file = process.env['FAKE_LOG'];
  if (file !== undefined) appendFileSync(file, `${process.argv[1]}\n`);
  server.closeAllConnections();
  server.close(() => process.exit(0));
});
