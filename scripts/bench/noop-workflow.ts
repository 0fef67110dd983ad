/** The baseline: a workflow that does nothing. */
export async function noop(): Promise<void> {
  await Promise.resolve();
}
