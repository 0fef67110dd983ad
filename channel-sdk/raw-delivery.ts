/** A delivery as it came, byte for byte, and as it is stored. */
export interface RawDelivery {
  /** The HTTP method, or a word of the plugin's own listener ('SMTP'). */
  readonly method: string;
  /** As the provider called it, from outside any proxy, with its query: signatures are over exactly this. */
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** ISO 8601, by our clock. */
  readonly receivedAt: string;
}
