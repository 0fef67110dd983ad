import { InvalidInput } from './refusals.ts';

/** A name without the blanks around it. Throws `InvalidInput` where nothing is left. */
export function requireName(name: string): string {
  const trimmed = name.trim();
  if (trimmed === '') throw new InvalidInput([{ path: 'name', message: 'must not be empty' }]);
  return trimmed;
}
