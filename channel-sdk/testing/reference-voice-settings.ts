import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isRecord } from './samples.ts';

export interface VoiceSettings {
  /** E.164: the connected address. */
  readonly number: string;
  /** Where the provider answers. */
  readonly provider: string;
  readonly apiKey: string;
  readonly greeting: string;
  /** Ids of the users and teams that are rung. */
  readonly operators: readonly string[];
  readonly teams: readonly string[];
}

export const voiceSettingsSchema: StandardSchemaV1<unknown, VoiceSettings> = {
  '~standard': {
    version: 1,
    vendor: 'trunkline',
    validate(typed) {
      if (!isRecord(typed)) return { issues: [{ message: 'must be an object' }] };
      const { number, provider, apiKey, greeting = '', operators = [], teams = [] } = typed;
      const issues: { readonly message: string; readonly path: readonly string[] }[] = [];
      const wrong = (path: string) => issues.push({ message: 'is missing or wrong', path: [path] });
      if (typeof number !== 'string' || !/^\+\d{5,15}$/.test(number)) wrong('number');
      if (typeof provider !== 'string' || !URL.canParse(provider)) wrong('provider');
      if (typeof apiKey !== 'string' || apiKey.length < 8) wrong('apiKey');
      if (typeof greeting !== 'string') wrong('greeting');
      if (!areTexts(operators)) wrong('operators');
      if (!areTexts(teams)) wrong('teams');
      if (typeof number === 'string' && typeof provider === 'string' && typeof apiKey === 'string' && typeof greeting === 'string') {
        if (issues.length === 0 && areTexts(operators) && areTexts(teams)) return { value: { number, provider, apiKey, greeting, operators, teams } };
      }
      return { issues };
    },
  },
};

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
