import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isRecord } from './samples.ts';

export interface ReferenceSettings {
  /** The connected address. */
  readonly account: string;
  /** Where the provider answers. */
  readonly provider: string;
  /** Signs deliveries. */
  readonly appSecret: string;
  /** Lets us send. */
  readonly token: string;
}

/** A Standard Schema by hand: this package brings no library for it. */
export const settingsSchema: StandardSchemaV1<unknown, ReferenceSettings> = {
  '~standard': {
    version: 1,
    vendor: 'trunkline',
    validate(typed) {
      if (!isRecord(typed)) return { issues: [{ message: 'must be an object' }] };
      const text = (name: string, shortest: number) => {
        const value = typed[name];
        return typeof value === 'string' && value.trim().length >= shortest ? value.trim() : undefined;
      };
      const settings = { account: text('account', 1), provider: text('provider', 1), appSecret: text('appSecret', 8), token: text('token', 8) };
      const { account, provider, appSecret, token } = settings;
      if (account !== undefined && provider !== undefined && URL.canParse(provider) && appSecret !== undefined && token !== undefined) {
        return { value: { account, provider, appSecret, token } };
      }
      const wrong = Object.entries({ ...settings, provider: URL.canParse(provider ?? '') ? provider : undefined }).filter(([, value]) => value === undefined);
      return { issues: wrong.map(([name]) => ({ message: 'is missing or wrong', path: [name] })) };
    },
  },
};
