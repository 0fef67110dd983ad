import { createHmac, timingSafeEqual } from 'node:crypto';
import { ChannelFailure, type PluginContext, type RawDelivery, type Verdict } from '@trunkline/channel-sdk';
import type { Settings } from './settings.ts';

/** The header with the signature. */
export const SIGNATURE = 'x-new-channel-signature';

/** Whether the provider sent it: before anything is stored, and over the bytes as they came, for parsing and printing JSON changes them. */
export async function verify(raw: RawDelivery, { channel }: PluginContext<Settings>): Promise<Verdict> {
  const given = Buffer.from(raw.headers[SIGNATURE] ?? '');
  const wanted = Buffer.from(signatureOf(raw.body, channel.settings.signingSecret));
  // In constant time: how long a comparison takes tells how much of a guess was right.
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new ChannelFailure({ code: 'Unauthentic' });
  return { answer: new Response(null, { status: 204 }), store: true };
}

/** As the provider makes it. */
export function signatureOf(body: Uint8Array, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}
