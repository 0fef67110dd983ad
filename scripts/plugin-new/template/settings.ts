import type { PluginDefinition } from '@trunkline/channel-sdk';

/** What an admin types when they connect a channel. */
export interface Settings {
  /** The account's name at the provider: the connected address. */
  readonly account: string;
  /** Where the provider's API answers, without a slash at its end. */
  readonly apiUrl: string;
  /** What the provider signs its webhooks with. */
  readonly signingSecret: string;
  /** What we show the provider. */
  readonly apiToken: string;
}

/** By hand, so that there is nothing to install. Any library that speaks Standard Schema (zod, valibot, arktype) can stand here. */
export const settings: PluginDefinition<Settings>['settings'] = {
  '~standard': {
    version: 1,
    vendor: 'new-channel',
    validate(value) {
      const given: Readonly<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {};
      const read = (field: string) => (typeof given[field] === 'string' ? given[field].trim() : '');
      const apiUrl = read('apiUrl').replace(/\/+$/, '');
      const result: Settings = { account: read('account').toLowerCase(), apiUrl, signingSecret: read('signingSecret'), apiToken: read('apiToken') };
      const problems: readonly (readonly [keyof Settings, boolean, string])[] = [
        ['account', /^[a-z0-9._-]{2,60}$/.test(result.account), '2 to 60 letters, digits, dots and dashes'],
        ['apiUrl', /^https?:\/\//.test(apiUrl) && URL.canParse(apiUrl), 'an address that begins with https://'],
        ['signingSecret', result.signingSecret.length >= 16, 'at least 16 characters'],
        ['apiToken', result.apiToken !== '', 'missing'],
      ];
      const issues: { readonly path: readonly string[]; readonly message: string }[] = problems.flatMap(([field, fits, message]) =>
        fits ? [] : [{ path: [field], message }],
      );
      const unknown = Object.keys(given).filter((field) => !Object.hasOwn(result, field));
      issues.push(...unknown.map((field) => ({ path: [field], message: 'is no setting of this channel' })));
      return issues.length > 0 ? { issues } : { value: result };
    },
  },
};
