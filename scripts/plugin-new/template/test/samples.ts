import type { ChannelInfo, RawDelivery } from '@trunkline/channel-sdk';
import type { Settings } from '../settings.ts';
import { SIGNATURE, signatureOf } from '../verify.ts';

/** What is known of the provider: for the tests, and for signing samples made of stored deliveries (`npm run plugin:sample`). */
export const samples = {
  settings: {
    valid: { account: 'acme', apiUrl: 'https://provider.example', signingSecret: 'a secret for samples', apiToken: 'a token for samples' },
    invalid: [
      {
        name: 'a short secret',
        settings: { account: 'acme', apiUrl: 'https://provider.example', signingSecret: 'short', apiToken: 'x' },
        path: 'signingSecret',
      },
      { name: 'no account', settings: { apiUrl: 'https://provider.example', signingSecret: 'a secret for samples', apiToken: 'x' }, path: 'account' },
      { name: 'nothing at all', settings: {}, path: 'apiUrl' },
    ],
  },
  webhook: {
    /** The same delivery with the signature the provider gives it for this channel. */
    sign(raw: RawDelivery, { settings }: ChannelInfo<Settings>): RawDelivery {
      return { ...raw, headers: { ...raw.headers, [SIGNATURE]: signatureOf(raw.body, settings.signingSecret) } };
    },
  },
};
