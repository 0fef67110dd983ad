/**
 * Ends a command with one message on standard error and exit code 1. Of an error its message and its causes' are
 * shown, no stack; passwords in URLs are taken out, for drivers quote what they were given.
 */
export function fail(error: unknown): void {
  process.stderr.write(`\n${explain(error)}\n`);
  process.exitCode = 1;
}

/** The message of an error and of its causes, a line each, without passwords. */
export function explain(error: unknown): string {
  const lines: string[] = [];
  let current: unknown = error;
  for (let depth = 0; current !== undefined && depth < 5; depth += 1) {
    const message = describe(current);
    if (message !== '' && !lines.some((line) => line.includes(message))) lines.push(message);
    current = current instanceof Error ? current.cause : undefined;
  }
  return lines.join('\n  because: ').replace(/(\w+:\/\/[^\s:@/]*):[^\s@/]*@/g, '$1:[hidden]@');
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection to both addresses of a name is an AggregateError without a message.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join('; ');
  return error.message || error.name;
}
