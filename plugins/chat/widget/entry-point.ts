/** Longer ones are cut by the server. */
const MAX_REF = 100;

/** What a page's address says of how its visitor came: its `ref`, and nothing else that stands there, for that may be a name, a search or a secret. */
export function entryPointOf(search: string): { readonly page?: { readonly ref: string } } {
  const ref = new URLSearchParams(search).get('ref')?.slice(0, MAX_REF) ?? '';
  return ref === '' ? {} : { page: { ref } };
}
