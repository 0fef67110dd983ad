const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** What a provider carries through as our own id, where it can be one: other apps write there what they like. */
export function ownId(outboundId: string | undefined): string[] {
  return outboundId !== undefined && UUID.test(outboundId) ? [outboundId] : [];
}
