import type { PageContext } from '@trunkline/channel-sdk';
import type { ChatSettings } from './settings.ts';

/** One request of a widget's. */
export interface Visit {
  readonly request: Request;
  readonly context: PageContext<ChatSettings>;
  /** Of the page around the widget, which is allowed; null: no other site's. */
  readonly origin: string | null;
}
