import proto from '@temporalio/proto';

const { History } = proto.temporal.api.history.v1;
type History = proto.temporal.api.history.v1.IHistory;

/**
 * A history as JSON, and back. Not the SDK's own helper: it fails where two copies of protobufjs are installed. A worker's identity is its process and
 * its machine, which are nobody's business.
 */
export function writeHistory(history: History): string {
  const plain: unknown = History.toObject(History.fromObject(history), { longs: String, enums: String, bytes: String });
  return `${JSON.stringify(plain, nameless, 2)}\n`;
}

/** A sticky task queue is named after its process and machine too. */
function nameless(key: string, value: unknown): unknown {
  return key === 'identity' || (key === 'name' && typeof value === 'string' && /^\d+@/.test(value)) ? 'recorded' : value;
}

export function readHistory(text: string): History {
  return History.fromObject(JSON.parse(text) as object);
}
