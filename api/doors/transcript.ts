import { ChannelFailure, type Plugin } from '@trunkline/channel-sdk';
import { requestTranscript, type TranscriptAnswer } from '#commands/transcripts.ts';
import { transact } from '#commands/unit.ts';
import type { VisitorRef } from '#commands/visitor-messages.ts';
import type { Db } from '#db/database.ts';
import type { Wake } from '#domain/wake.ts';

/** Has a visitor's conversation mailed to them; rejects with `Unavailable`. */
export type MailTranscript = (visitor: VisitorRef) => Promise<TranscriptAnswer>;

export interface TranscriptDeps {
  readonly db: Db;
  readonly plugins: readonly Plugin[];
  readonly dispatch: (wakes: readonly Wake[]) => void;
}

/** What a page's visitor can have done about their transcript (CHAT-4). */
export function createMailTranscript({ db, plugins, dispatch }: TranscriptDeps): MailTranscript {
  return async (asked) => {
    try {
      const { value, wakes } = await transact(db, { actor: 'CONTACT' }, (unit) => requestTranscript(unit, plugins, asked));
      dispatch(wakes);
      return value;
    } catch (cause) {
      throw new ChannelFailure({ code: 'Unavailable', reason: 'the transcript could not be written' }, { cause });
    }
  };
}
