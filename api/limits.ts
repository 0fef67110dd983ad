/** What one request may ask for (API-7); the documentation's table is held against this by a test. */
export const LIMITS = {
  /** Fields, each counted as often as its lists may hold it. */
  complexity: 20_000,
  /** Levels of nesting. */
  depth: 16,
  /** Fields of the whole document, aliases included. */
  breadth: 400,
  /** Edges of one page. */
  pageSize: 100,
  /** Edges where the client names no number. */
  defaultPageSize: 20,
  /** Bytes of a request's body. */
  bodyBytes: 2_000_000,
  /** Events a stream reads from the database at once. */
  feedPage: 500,
} as const;
