import type { Ground } from './ground.ts';
export async function listStatements(_ground: Ground): Promise<readonly [number, number]> {
  return [Number.NaN, Number.NaN];
}
