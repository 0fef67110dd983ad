import { z } from 'zod';
import { parseNetwork } from './network.ts';

/** How careful a process is: `development` seeds an account and shows GraphiQL, `production` does neither. */
export type Mode = 'development' | 'production';

/** The settings of one process, read once at its start. */
export type Environment = {
  /** PostgreSQL, through a transaction pooler or not. */
  readonly databaseUrl: string;
  /** PostgreSQL without a pooler, for LISTEN and session locks; the same as `databaseUrl` unless given. */
  readonly databaseDirectUrl: string;
  readonly temporal: TemporalSettings;
  readonly host: string;
  readonly port: number;
  /** Where the worker answers `/healthz` and `/readyz`. */
  readonly workerPort: number;
  readonly smtpHost: string;
  readonly smtpPort: number;
  /** Where the plugins' own servers listen, by plugin; 0: any free port. Undefined unless given. */
  readonly listenPorts: ReadonlyMap<string, number> | undefined;
  /** 32 bytes, as they were given (hex or base64). */
  readonly secret: string;
  /** The same 32 bytes, decoded: the key for channel secrets and key hashes. */
  readonly secretKey: Uint8Array;
  readonly mode: Mode;
  /** Where the outside world reaches the API, without a slash at the end. */
  readonly publicUrl: string;
  /** In place of the machine's own; empty: those. */
  readonly dnsServers: readonly string[];
  readonly logLevel: LogLevel;
  /** OpenID Connect providers whose tokens count; undefined: none. */
  readonly signIn: SignInSettings | undefined;
  /** Origins of web pages that may call the API from a browser; empty: none. */
  readonly corsOrigins: readonly string[];
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
};

/** Whose tokens count, and what in them names a user. */
export type SignInSettings = {
  /** As they stand in the tokens' `iss`. */
  readonly issuers: readonly string[];
  /** One of them must stand in the tokens' `aud`. */
  readonly audiences: readonly string[];
  /** The claim with the address by which somebody is known at their first sign-in. */
  readonly emailClaim: string;
  /** The claim that says, as true, that the provider has verified it. */
  readonly verifiedClaim: string;
};

/** Where the Temporal server is and how to reach it. */
export type TemporalSettings = {
  /** `host:port` */
  readonly address: string;
  readonly namespace: string;
  readonly tls: boolean;
  readonly apiKey: string | undefined;
};

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Names every variable that is missing or wrong, and never a value: a URL holds a password. */
export class EnvironmentError extends Error {
  /** The variables' names, in the order of the documentation. */
  readonly variables: readonly string[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ variable, text }) => `  ${variable}: ${text}`);
    super(`The environment is not usable:\n${lines.join('\n')}`);
    this.name = 'EnvironmentError';
    this.variables = problems.map(({ variable }) => variable);
  }
}

type Problem = { readonly variable: string; readonly text: string };

/** Reads the settings. Throws one {@link EnvironmentError} that names every wrong variable. */
export function readEnvironment(source: NodeJS.ProcessEnv = process.env): Environment {
  const values = parse(variables, source);
  // Without it, a token that any other service of the same provider was given would count here.
  if (values.OIDC_ISSUERS.length > 0 && values.OIDC_AUDIENCE.length === 0) {
    throw new EnvironmentError([{ variable: 'OIDC_AUDIENCE', text: 'is not set, beside OIDC_ISSUERS; what the tokens’ aud says, such as the client id' }]);
  }
  const url = `http://${values.HOST}:${values.PORT}`;
  return {
    databaseUrl: values.DATABASE_URL,
    databaseDirectUrl: values.DATABASE_DIRECT_URL ?? values.DATABASE_URL,
    temporal: temporalSettings(values),
    host: values.HOST,
    port: values.PORT,
    workerPort: values.WORKER_PORT,
    smtpHost: values.SMTP_HOST ?? values.HOST,
    smtpPort: values.SMTP_PORT,
    listenPorts: values.LISTEN_PORTS,
    secret: values.TRUNKLINE_SECRET,
    secretKey: decodeSecret(values.TRUNKLINE_SECRET) ?? new Uint8Array(),
    mode: values.TRUNKLINE_MODE,
    publicUrl: (values.PUBLIC_URL ?? url).replace(/\/+$/, ''),
    dnsServers: values.DNS_SERVERS,
    logLevel: values.LOG_LEVEL,
    signIn:
      values.OIDC_ISSUERS.length === 0
        ? undefined
        : {
            issuers: values.OIDC_ISSUERS,
            audiences: values.OIDC_AUDIENCE,
            emailClaim: values.OIDC_EMAIL_CLAIM,
            verifiedClaim: values.OIDC_VERIFIED_CLAIM,
          },
    corsOrigins: values.CORS_ORIGINS,
    trustedProxies: values.TRUSTED_PROXIES,
  };
}

/** As {@link readEnvironment}; a process whose settings are wrong says which and ends with 1. */
export function environmentOrExit(): Environment {
  try {
    return readEnvironment();
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/** Only what reaches PostgreSQL, for the commands that need nothing else. Throws {@link EnvironmentError}. */
export function readDatabaseUrl(source: NodeJS.ProcessEnv = process.env): string {
  return parse(variables.pick({ DATABASE_URL: true }), source).DATABASE_URL;
}

/** Only what reaches Temporal, for the commands that need nothing else. Throws {@link EnvironmentError}. */
export function readTemporalSettings(source: NodeJS.ProcessEnv = process.env): TemporalSettings {
  return temporalSettings(
    parse(
      variables.pick({
        TEMPORAL_ADDRESS: true,
        TEMPORAL_NAMESPACE: true,
        TEMPORAL_TLS: true,
        TEMPORAL_API_KEY: true,
      }),
      source,
    ),
  );
}

/** The 32 bytes of a secret given as 64 hex digits or as base64, or undefined when it is neither. */
export function decodeSecret(text: string): Uint8Array | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) {
    const bytes = Buffer.from(text, 'base64');
    return bytes.length === 32 ? bytes : undefined;
  }
  return undefined;
}

function isUrl(...protocols: readonly string[]) {
  return (text: string) => URL.canParse(text) && protocols.includes(new URL(text).protocol);
}

const databaseUrl = z
  .string('is not set; a URL such as postgres://user:password@host:5432/trunkline')
  .refine(isUrl('postgres:', 'postgresql:'), 'is not a postgres:// URL');

const port = z
  .string()
  .regex(/^\d{1,5}$/, 'is not a port (0 to 65535)')
  .transform(Number)
  .refine((number) => number <= 65_535, 'is not a port (0 to 65535)');

/** 'sms=2600,other=0', or undefined when a part of it is something else. */
function parseListenPorts(text: string): ReadonlyMap<string, number> | undefined {
  const ports = new Map<string, number>();
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const [, plugin, number] = /^([a-z][a-z0-9-]{1,30})=(\d{1,5})$/.exec(part) ?? [];
    if (plugin === undefined || Number(number) > 65_535) return undefined;
    ports.set(plugin, Number(number));
  }
  return ports;
}

/** Several, with commas between. */
function list(fits: (one: string) => boolean, problem: string) {
  return z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((one) => one.trim())
        .filter((one) => one !== ''),
    )
    .refine((all) => all.every(fits), problem)
    .default([]);
}

/** https, or http on this machine: whoever stands between could answer with keys of their own. */
function isIssuer(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, search, hash } = new URL(text);
  const local = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
  return (protocol === 'https:' || (protocol === 'http:' && local)) && search === '' && hash === '';
}

const variables = z.object({
  DATABASE_URL: databaseUrl,
  DATABASE_DIRECT_URL: databaseUrl.optional(),
  TEMPORAL_ADDRESS: z
    .string('is not set; host:port of the Temporal frontend, such as 127.0.0.1:7233')
    .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s/:@]+):\d{1,5}$/, 'is not host:port'),
  TEMPORAL_NAMESPACE: z.string().regex(/^\S+$/, 'holds a space').default('default'),
  TEMPORAL_TLS: z
    .enum(['true', 'false', '1', '0'], 'is neither true nor false')
    .default('false')
    .transform((text) => text === 'true' || text === '1'),
  TEMPORAL_API_KEY: z.string().optional(),
  HOST: z.string().regex(/^\S+$/, 'holds a space').default('127.0.0.1'),
  PORT: port.default(4000),
  WORKER_PORT: port.default(4001),
  SMTP_HOST: z.string().regex(/^\S+$/, 'holds a space').optional(),
  SMTP_PORT: port.default(2525),
  LISTEN_PORTS: z
    .string()
    .transform(parseListenPorts)
    .refine((ports) => ports !== undefined, 'is not <plugin>=<port>, with commas between several, such as sms=2600,other=0')
    .optional(),
  DNS_SERVERS: z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((one) => one.trim())
        .filter((one) => one !== ''),
    )
    .refine(
      (servers) => servers.every((one) => /^(\[[0-9a-fA-F:]+\]|[0-9a-fA-F:.]+)(:\d{1,5})?$/.test(one)),
      'is not addresses with commas between, such as 127.0.0.1:5353',
    )
    .default([]),
  TRUNKLINE_SECRET: z
    .string('is not set; 32 bytes as 64 hex digits or base64, for example from `openssl rand -hex 32`')
    .refine((text) => decodeSecret(text) !== undefined, 'is not 32 bytes as 64 hex digits or base64'),
  TRUNKLINE_MODE: z.enum(['development', 'production'], 'is neither development nor production').default('production'),
  PUBLIC_URL: z.string().refine(isUrl('http:', 'https:'), 'is not an http(s):// URL').optional(),
  OIDC_ISSUERS: list(isIssuer, 'is not https:// addresses with commas between, as the tokens’ iss has them (http:// on this machine only)'),
  OIDC_AUDIENCE: list(() => true, ''),
  OIDC_EMAIL_CLAIM: z.string().default('email'),
  OIDC_VERIFIED_CLAIM: z.string().default('email_verified'),
  CORS_ORIGINS: list(
    (one) => isUrl('http:', 'https:')(one) && new URL(one).origin === one && !one.includes('*'),
    'is not origins with commas between, such as https://desk.example.com, without a path',
  ),
  TRUSTED_PROXIES: list((one) => parseNetwork(one) !== undefined, 'is not addresses or networks with commas between, such as 10.0.0.0/8'),
  LOG_LEVEL: z.enum(LOG_LEVELS, `is none of ${LOG_LEVELS.join(', ')}`).default('info'),
});

function temporalSettings(
  values: Pick<z.infer<typeof variables>, 'TEMPORAL_ADDRESS' | 'TEMPORAL_NAMESPACE' | 'TEMPORAL_TLS' | 'TEMPORAL_API_KEY'>,
): TemporalSettings {
  return {
    address: values.TEMPORAL_ADDRESS,
    namespace: values.TEMPORAL_NAMESPACE,
    tls: values.TEMPORAL_TLS,
    apiKey: values.TEMPORAL_API_KEY,
  };
}

function parse<Schema extends z.ZodObject>(schema: Schema, source: NodeJS.ProcessEnv): z.infer<Schema> {
  // Compose files and shells pass an unset variable on as an empty one.
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  // One line a variable, though a text may break several of its rules.
  const problems = new Map<string, Problem>();
  for (const issue of result.error.issues) {
    const variable = String(issue.path[0]);
    if (!problems.has(variable)) problems.set(variable, { variable, text: issue.message });
  }
  throw new EnvironmentError([...problems.values()]);
}
