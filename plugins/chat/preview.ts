import type { Author, Preview } from '@trunkline/channel-sdk';
import type { ChatSettings } from './settings.ts';

/** What visitors are shown before anybody has written. */
export function preview({ greeting, awayMessage, closedMessage }: ChatSettings, author: Author): readonly Preview[] {
  return [
    ...(greeting === undefined ? [] : [{ label: 'Greeting', text: greeting }]),
    { label: 'Away message', text: awayMessage },
    { label: 'Closed message', text: closedMessage },
    { label: 'Name beside an answer', text: author.fullName },
  ];
}
