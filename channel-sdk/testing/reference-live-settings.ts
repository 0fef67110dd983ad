import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isRecord } from './samples.ts';

export interface LiveSettings {
  /** The connected address. */
  readonly site: string;
  readonly greeting: string;
  readonly mailsTranscripts: boolean;
  /** The key of the channel that answers who has left. */
  readonly answersBy?: string;
}

export const liveSettingsSchema: StandardSchemaV1<unknown, LiveSettings> = {
  '~standard': {
    version: 1,
    vendor: 'trunkline',
    validate(typed) {
      if (!isRecord(typed)) return { issues: [{ message: 'must be an object' }] };
      const { site, greeting, mailsTranscripts = false, answersBy } = typed;
      const wrong: string[] = [];
      if (typeof site !== 'string' || site === '') wrong.push('site');
      if (typeof greeting !== 'string') wrong.push('greeting');
      if (typeof mailsTranscripts !== 'boolean') wrong.push('mailsTranscripts');
      if (answersBy !== undefined && (typeof answersBy !== 'string' || answersBy === '')) wrong.push('answersBy');
      if (wrong.length > 0 || typeof site !== 'string' || typeof greeting !== 'string') {
        return { issues: wrong.map((name) => ({ message: 'is missing or wrong', path: [name] })) };
      }
      return { value: { site, greeting, mailsTranscripts: mailsTranscripts === true, ...(typeof answersBy === 'string' ? { answersBy } : {}) } };
    },
  },
};
