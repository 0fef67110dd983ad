import { z } from 'zod';

/** The header of a stored delivery that holds what was found at the door; the mail itself can not write it. */
export const CHECKED_HEADER = 'x-checked';

const word = z.string().regex(/^[a-z]{1,20}$/);
const domain = z.string().max(255);
const checkedSchema = z.object({
  /** The name of the client that handed it in, confirmed both ways in DNS; null: it has none. */
  client: domain.nullable(),
  /** It was handed in from this machine: by the operator's own relay. */
  local: z.boolean(),
  spf: z.object({ result: word, domain: domain.nullable() }),
  /** `whole`: all of the body is signed. */
  dkim: z.array(z.object({ result: word, domain, whole: z.boolean() })),
  /** `from`: the author's domain it speaks of. `signed`: it holds by a signature over all of the body. */
  dmarc: z.object({ result: word, from: domain.nullable(), signed: z.boolean() }),
  /** `says`: the last sealer's own `ARC-Authentication-Results`, where the chain holds. */
  arc: z.object({ result: word, sealer: domain.nullable(), says: z.string() }),
});

/** What the receiver found out about a mail while it came in. Results are the words of RFC 8601. */
export type Checked = z.output<typeof checkedSchema>;

/** Reads it; undefined: nothing was looked at. */
export function readChecked(header: string | undefined): Checked | undefined {
  if (header === undefined) return undefined;
  try {
    return checkedSchema.parse(JSON.parse(header));
  } catch {
    return undefined;
  }
}
