import { globalId } from './builder.ts';

type Json = Readonly<Record<string, unknown>>;

/** A definition as clients give it: whom a hand-off's rule names is named by global ids there, as everywhere in the API, and by ids of rows below it. What is no global id stays, and is refused as unknown. */
export function definitionGiven(definition: Json): Json {
  return mapRules(definition, ownId);
}

/** A stored definition as it was given, without what is kept beside it. */
export function definitionShown(definition: object): Json {
  const { ruleIds: _ruleIds, ...given } = definition as Json;
  return mapRules(given, globalId);
}

type MapId = (type: 'User' | 'Team', id: string) => string;

/** Looks only where a rule may stand; what has another shape is left for the check to name. */
function mapRules(definition: Json, map: MapId): Json {
  const { steps } = definition;
  if (!Array.isArray(steps)) return definition;
  return {
    ...definition,
    steps: steps.map((step: unknown) => {
      if (!isJson(step) || !isJson(step['rule'])) return step;
      const rule = Object.fromEntries(
        Object.entries(step['rule']).map(([name, value]) => {
          const type = NAMES[name];
          if (type === undefined) return [name, value];
          return [name, Array.isArray(value) ? value.map((one: unknown) => mapOne(one, type, map)) : mapOne(value, type, map)];
        }),
      );
      return { ...step, rule };
    }),
  };
}

const NAMES: Readonly<Partial<Record<string, 'User' | 'Team'>>> = { userIds: 'User', teamIds: 'Team', defaultUserId: 'User' };

function mapOne(value: unknown, type: 'User' | 'Team', map: MapId): unknown {
  return typeof value === 'string' ? map(type, value) : value;
}

function ownId(type: string, id: string): string {
  const text = Buffer.from(id, 'base64').toString('utf8');
  return text.startsWith(`${type}:`) && globalId(type, text.slice(type.length + 1)) === id ? text.slice(type.length + 1) : id;
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
