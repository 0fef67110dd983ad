import type { Author, Preview } from '@trunkline/channel-sdk';
import { domainOf } from './address.ts';
import { fromName, signatureOf } from './render.ts';
import type { EmailSettings } from './settings.ts';
import { replyMode } from './token.ts';

/** How a reply of this author would look outside (EMAIL-3). Nothing is shown that would not be sent. */
export function preview(settings: EmailSettings, author: Author): readonly Preview[] {
  const signature = signatureOf(settings, author);
  return [
    { label: 'From', text: `${fromName({ author }, settings)} <${settings.fromAddress ?? settings.address}>` },
    { label: 'Reply-To', text: replyTo(settings) },
    ...(signature === undefined ? [] : [{ label: 'Signature', text: signature.text, html: signature.html }]),
  ];
}

/** Key and token are another for each channel and each mail: said in words. */
function replyTo(settings: EmailSettings): string {
  const { address, inboundDomain = '' } = settings;
  switch (replyMode(settings)) {
    case 'forwarding':
      return `<channel key>+<token>@${inboundDomain}`;
    case 'subaddress':
      return `${address.slice(0, address.lastIndexOf('@'))}+<token>@${domainOf(address)}`;
    case 'plain':
      return address;
  }
}
