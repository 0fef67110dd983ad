import type { RawDelivery } from './raw-delivery.ts';

/** One connected address, as its plugin sees it. */
export interface ChannelInfo<Settings> {
  /** Short, readable, never changes; in webhook URLs. */
  readonly key: string;
  /** The connected address in its canonical form. */
  readonly address: string;
  /** The channel's name, as people see it. */
  readonly name: string;
  /** Off (CH-9): what arrives is taken in all the same; pages say they are closed. */
  readonly enabled: boolean;
  /** Parsed by the plugin's own schema, secrets included. */
  readonly settings: Settings;
}

/** A small piece of JSON (64 kB at most) the engine keeps for a channel, encrypted like its secrets: refreshed tokens, subscription ids, a provider's public keys. */
export interface ChannelState {
  read(): Promise<unknown>;
  /** Replaces it; `change` may be called again when somebody else wrote in between. */
  update(change: (current: unknown) => unknown): Promise<void>;
}

/** What every function of a plugin gets. Time and network come from here, so that a test can stand in for both (PLUG-5). */
export interface PluginContext<Settings> {
  readonly channel: ChannelInfo<Settings>;
  /** Milliseconds since 1970. */
  now(): number;
  /** `fetch` with a time limit and a size limit. Throws `Unavailable` where no connection was made: nothing was sent, so let it through. Any other rejection leaves open what happened. */
  readonly fetch: typeof fetch;
  /** A keyed hash of a text, the same in every process and for ever, different for every channel: 52 lower-case letters and digits (base32). For tokens that come back to us: in an address, in a page. The key never leaves the engine. */
  sign(text: string): string;
  /** Ids and codes only: never an address, a name, a text or a secret. */
  log(message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
  /** The channel's public webhook address, as the provider is told it. Absent in `parse` and `reserve`. */
  readonly webhookUrl?: string;
  /** In `verify` only to be read. Absent in `parse` and `reserve`, which depend on their arguments alone. */
  readonly state?: ChannelState;
  /** Aborted when the engine no longer waits for the outcome. */
  readonly signal: AbortSignal;
}

/** What a plugin with a server of its own gets, once for all of its channels. */
export interface ListenContext<Settings> {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** A connected channel by its key, or by its connected address; undefined where there is none. */
  findChannel(by: { readonly key: string } | { readonly address: string }): Promise<ChannelInfo<Settings> | undefined>;
  /** Stores it durably for that channel; only once this has resolved may the server tell the sender that it is taken. Rejects with `Unavailable`. */
  deliver(channelKey: string, raw: RawDelivery): Promise<void>;
  /** Asks DNS, with a time limit and a cache; rejects like `dns.promises.resolve` (`ENOTFOUND`, `ENODATA`, `ETIMEOUT`). A test stands in for it. */
  resolveDns(name: string, type: string): Promise<readonly unknown[]>;
  now(): number;
  log(message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
}

/** A running server. */
export interface Listener {
  /** The port it listens on. */
  readonly port: number;
  /** Takes no new deliveries, ends those under way, resolves when all are answered. */
  close(): Promise<void>;
}
