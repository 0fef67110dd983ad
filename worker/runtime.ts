import { DefaultLogger, makeTelemetryFilterString, Runtime, type LogEntry, type Logger as TemporalLogger } from '@temporalio/worker';
import type { Logger } from '#runtime/log.ts';

/** Temporal's native part, once a process and before anything else of it: its lines go through our log, its signal handlers stay off, for the lifecycle has them. */
export function installRuntime(log: Logger): void {
  Runtime.install({
    logger: temporalLogger(log),
    shutdownSignals: [],
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) } },
  });
}

/** Passes on what Temporal's SDK says, with ids only: its metadata can hold whole payloads and errors. */
export function temporalLogger(log: Logger): TemporalLogger {
  return new DefaultLogger('WARN', ({ level, message, meta }: LogEntry) => {
    const fields = { workflowId: meta?.['workflowId'], activityType: meta?.['activityType'], taskQueue: meta?.['taskQueue'] };
    // Every poller says so every few seconds while Temporal is away; readiness and the schedule's keeper say it once.
    if (message.startsWith('gRPC call poll_')) log.debug(fields, message);
    else if (level === 'ERROR') log.error(fields, message);
    else if (level === 'WARN') log.warn(fields, message);
    else log.debug(fields, message);
  });
}
