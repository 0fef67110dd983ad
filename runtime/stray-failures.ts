type Log = (message: string, fields: Readonly<Record<string, string>>) => void;

/**
 * A promise that a plugin began and did not wait for must not end the process, and with it every other channel (PLUG-11). Only promises: after an
 * exception that nobody caught nothing is certain, and the process ends. Ends with what is returned.
 */
export function outliveStrayRejections(log: Log): () => void {
  const heard = (reason: unknown): void => log('a promise failed that nobody waited for', { error: reason instanceof Error ? reason.name : typeof reason });
  process.on('unhandledRejection', heard);
  return () => void process.off('unhandledRejection', heard);
}
