/** What one request may ask for (API-7); the documentation's table is held against this by a test. */
export const LIMITS = {
  /** Fields, each counted as often as its lists may hold it. */
  complexity: 20_000,
  /** Levels of nesting. */
  depth: 16,
  /** Fields of the whole document, aliases included. */
  breadth: 400,
  /** Fields that the document gives another name. */
  aliases: 50,
  /** Fields of the operation itself: queries, or mutations one after the other. */
  rootFields: 20,
  /** Characters of the document. */
  documentCharacters: 20_000,
  /** Words, numbers and signs of the document. */
  documentTokens: 3_000,
  /** Variables given. */
  variables: 100,
  /** Levels of nesting of what is given, as a variable or in the document. */
  inputDepth: 20,
  /** Values of one list that is given. */
  listInput: 1_000,
  /** Characters of an id or a cursor. */
  idCharacters: 500,
  /** Edges of one page. */
  pageSize: 100,
  /** Edges where the client names no number. */
  defaultPageSize: 20,
  /** SLA goals shown of one ticket: those that run, and the newest of the others. */
  ticketGoals: 50,
  /** Bytes of a request's body. */
  bodyBytes: 2_000_000,
  /** Bytes of one file that is sent up. */
  uploadBytes: 52_428_800,
  /** Bytes of all bodies that public pages and webhooks of one process hold: on their way in, or not answered yet. */
  heldBytes: 268_435_456,
  /** Bytes of those that came from one address. */
  heldBytesPerAddress: 134_217_728,
  /** Bodies of one address that have not come to their end. */
  openBodiesPerAddress: 100,
  /** Seconds in which such a body comes to its end. */
  bodySeconds: 120,
  /** Bytes of what is sent to a public page and over `pageWritesPerMinute`, read only so that it can be shown again. */
  refusedBodyBytes: 1_000_000,
  /** Seconds a link to an attachment counts at the most. */
  attachmentLinkSeconds: 900,
  /** Events a stream reads from the database at once. */
  feedPage: 500,
  /** Open streams of one user at one process. */
  streamsPerUser: 50,
  /** Open streams of visitors' pages at one process: all, of one address, of one visitor. */
  liveStreams: 20_000,
  liveStreamsPerAddress: 200,
  liveStreamsPerVisitor: 20,
  /** What such a stream has not taken yet; above it the stream ends, and the page goes on where it was. */
  liveBuffer: 100,
  /** Seconds a JWT counts after it was issued, whatever it says itself. */
  tokenAgeSeconds: 86_400,
  /** Seconds by which a provider's clock may differ from ours. */
  clockSkewSeconds: 60,
} as const;

/** How often, for each key and minute, counted for all processes together. */
export const RATES = {
  /** A user's requests, whichever of their tokens they come with. */
  callerPerMinute: 1_200,
  /** Requests without a valid token, for each address. */
  unauthenticatedPerMinute: 30,
  /** Requests to public pages, for each address. */
  pagePerMinute: 120,
  /** What is sent to one channel's public page, for each address. */
  pageWritesPerMinute: 30,
  /** The same two of plugins whose pages hold a conversation. */
  livePerMinute: 600,
  liveWritesPerMinute: 120,
} as const;

export type RateLimitName = keyof typeof RATES;
