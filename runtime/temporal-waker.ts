import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowNotFoundError, type Client } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, type SearchAttributePair } from '@temporalio/common';
import { TASK_QUEUE, WAKE_SIGNAL, type StartRequest, type Waker } from '#workflows/contract.ts';

/** Milliseconds one call may take: who wakes has committed already, and a lost wake is a delay only. */
const CALL_MS = 5_000;

/** Wakes by one call that starts a workflow or finds it running, and ends one that a wake did not help. */
export interface TemporalWaker extends Waker {
  /** True where there was one to end. */
  terminate(workflowId: string, reason: string): Promise<boolean>;
}

/** The waker of api and worker alike, over a client that somebody else opens and closes. Its promises reject when Temporal is away. */
export function createWaker(client: Client): TemporalWaker {
  const limited = <Value>(call: () => Promise<Value>): Promise<Value> => client.withDeadline(Date.now() + CALL_MS, call);
  return {
    async signalWithStart(request) {
      await limited(() =>
        client.workflow.signalWithStart(request.workflowType, {
          workflowId: request.workflowId,
          taskQueue: request.taskQueue ?? TASK_QUEUE,
          args: [...request.args],
          signal: WAKE_SIGNAL,
          signalArgs: [],
          staticSummary: request.summary,
          typedSearchAttributes: searchAttributes(request),
          workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
          workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
        }),
      );
    },
    async terminate(workflowId, reason) {
      try {
        await limited(() => client.workflow.getHandle(workflowId).terminate(reason));
        return true;
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    },
  };
}

function searchAttributes(request: StartRequest): SearchAttributePair[] {
  return Object.entries(request.searchAttributes).map(([name, value]) =>
    typeof value === 'number'
      ? { key: defineSearchAttributeKey(name, SearchAttributeType.INT), value }
      : { key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value },
  );
}
