/** A client of the API as anybody would write it: fetch, a token, and operations as text. */
export interface Api {
  /** Throws where the answer has errors; a refusal of ours is a result like any other, by its `__typename`. */
  run<Result>(operation: string, variables?: Readonly<Record<string, unknown>>): Promise<Result>;
  /** A mutation that is expected to succeed: throws with the refusal's type otherwise. Each call has an idempotency key of its own. */
  do<Result>(field: string, fragment: string, input: Readonly<Record<string, unknown>>): Promise<Result>;
}

export function apiClient(url: string, token: string): Api {
  async function run<Result>(operation: string, variables: Readonly<Record<string, unknown>> = {}): Promise<Result> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: operation, variables }),
      signal: AbortSignal.timeout(30_000),
    });
    const answer = (await response.json()) as { data?: Result; errors?: readonly { message: string }[] };
    if (answer.errors !== undefined || answer.data === undefined) {
      throw new Error(`the API answered ${response.status}: ${answer.errors?.map((one) => one.message).join('; ') ?? 'nothing'}`);
    }
    return answer.data;
  }
  return {
    run,
    async do<Result>(field: string, fragment: string, input: Readonly<Record<string, unknown>>) {
      const type = `${field[0]?.toUpperCase()}${field.slice(1)}Input!`;
      const data = await run<Record<string, { __typename: string }>>(
        `mutation ($input: ${type}) { ${field}(input: $input) { __typename ${fragment} ... on InvalidInput { problems { path message } } } }`,
        { input: { idempotencyKey: crypto.randomUUID(), ...input } },
      );
      const result = data[field];
      if (result === undefined || !fragment.includes(`... on ${result.__typename} `)) {
        throw new Error(`${field} was refused: ${JSON.stringify(result)}`);
      }
      return result as Result;
    },
  };
}

/** A page of a Relay connection. */
export interface Edges<Node> {
  readonly edges: readonly { readonly node: Node }[];
}

export function nodes<Node>(page: Edges<Node>): readonly Node[] {
  return page.edges.map((edge) => edge.node);
}

/** Waits until something is there; throws naming what it waited for. */
export async function eventually<Value>(what: string, look: () => Promise<Value | undefined>, timeoutMs = 60_000): Promise<Value> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
