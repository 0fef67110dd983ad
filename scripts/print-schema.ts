import { writeFileSync } from 'node:fs';
import { printedSchema } from '#api/schema/index.ts';

/** Writes the whole GraphQL schema into its file, which is kept in the repository and checked to be current (API-9). */
const file = new URL('../api/schema.graphql', import.meta.url);
writeFileSync(file, printedSchema());
console.log('api/schema.graphql is current.');
