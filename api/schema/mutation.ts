import type { InputFieldMap, InputRef, InputShapeFromFields, ObjectRef } from '@pothos/core';
import { Forbidden, IdempotencyKeyReused, InvalidInput, NotFound, type Refusal } from '#commands/refusals.ts';
import { once } from '#commands/idempotency.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Visibility } from '../access.ts';
import { builder } from '../builder.ts';
import type { ApiContext } from '../context.ts';
import { lacks, ROLE_NAMES, ROLES, type Operation } from '../roles.ts';

type Types = typeof builder.$inferSchemaTypes;
type InputBuilder = PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>;
type RefusalClass = new (...args: never[]) => Refusal;

/** What a mutation's work gets besides its input. */
export interface MutationWork {
  readonly unit: Unit;
  readonly context: ApiContext;
  /** What the viewer sees, read in this transaction. */
  readonly visible: Visibility;
}

export interface MutationOptions<Fields extends InputFieldMap, Answer extends object, Row extends object, Prepared = undefined> {
  readonly description: string;
  readonly input: (t: InputBuilder) => Fields;
  /** What it answers with. */
  readonly type: ObjectRef<Types, Row>;
  readonly refusals?: readonly RefusalClass[];
  /** For whom the role or the scope is missing: throws what they are told in place of `Forbidden`, as that they may not see what it is about. */
  readonly lacking?: (input: InputShapeFromFields<Fields>, context: ApiContext) => Promise<void>;
  /** Before the transaction, for every call, also where a key is used again: what its work and its reading have in common. */
  readonly prepare?: (input: InputShapeFromFields<Fields>, context: ApiContext) => Promise<Prepared>;
  /**
   * In place of `prepare`, what asks a network, for locks are not held while it answers. Only once the work was tried and undone without a
   * refusal, and never where the key has an answer already.
   */
  readonly ask?: (input: InputShapeFromFields<Fields>, context: ApiContext, idempotencyKey: string | null) => Promise<Prepared>;
  /** Where the work failed after all: lets whoever was asked know how things stand. It fails only by itself. */
  readonly takeBack?: (input: InputShapeFromFields<Fields>, context: ApiContext, prepared: Prepared) => Promise<void>;
  /** One transaction; what it returns is kept under the idempotency key, so it is type and ids and nothing else. */
  readonly work: (input: InputShapeFromFields<Fields>, work: MutationWork, prepared: Prepared | undefined) => Promise<Answer>;
  /** After the commit of the call that did the work, never where a key has its answer already. It fails only by itself: the work stands. */
  readonly after?: (answer: Answer, context: ApiContext) => Promise<void>;
  /** Reads the result, after the commit, as the viewer sees it. */
  readonly read: (answer: Answer, context: ApiContext, prepared: Prepared | undefined) => Promise<Row | null>;
}

/**
 * A mutation: asks the role table, does the work once for a key in one transaction, hands the wakes on, reads the result.
 * Its result is a union of the thing and its refusals.
 */
export function mutation<Fields extends InputFieldMap, Answer extends object, Row extends object, Prepared = undefined>(
  name: Operation,
  options: MutationOptions<Fields, Answer, Row, Prepared>,
): void {
  const capital = name.charAt(0).toUpperCase() + name.slice(1);
  const refusals = [...new Set<RefusalClass>([NotFound, Forbidden, InvalidInput, IdempotencyKeyReused, ...(options.refusals ?? [])])];
  const inputRef = builder.inputType(`${capital}Input`, {
    description: `What ${name} takes.`,
    fields: (t): InputFieldMap => ({ ...options.input(t), idempotencyKey: idempotencyKeyField(t) }),
    // The builder can not follow a generic through the spread; this is what the fields above amount to.
  }) as unknown as InputRef<{ readonly idempotencyKey?: string | null }>;
  builder.mutationField(name, (t) =>
    t.field({
      type: options.type as unknown as ObjectRef<Types, object>,
      description: `${options.description} Needs the role ${ROLE_NAMES[ROLES[name]]}.`,
      errors: { types: refusals, union: { name: `${capital}Result`, description: `What ${name} answers: the thing, or why not.` } },
      args: { input: t.arg({ type: inputRef, required: true, description: 'Everything it needs.' }) },
      resolve: async (_root, { input }, context): Promise<object> => {
        const { idempotencyKey, ...fields } = input;
        return run(name, options, fields as InputShapeFromFields<Fields>, idempotencyKey ?? null, context);
      },
    }),
  );
}

async function run<Fields extends InputFieldMap, Answer extends object, Row extends object, Prepared = undefined>(
  name: Operation,
  options: MutationOptions<Fields, Answer, Row, Prepared>,
  input: InputShapeFromFields<Fields>,
  key: string | null,
  context: ApiContext,
): Promise<Row> {
  const { viewer, db, deps } = context;
  const lacking = lacks(viewer, name);
  if (lacking !== undefined) {
    await options.lacking?.(input, context);
    throw new Forbidden(lacking);
  }
  if (key !== null && !/^[\x21-\x7e]{1,200}$/.test(key)) {
    throw new InvalidInput([{ path: 'idempotencyKey', message: '1 to 200 visible ASCII characters' }]);
  }
  let done = false;
  const attempt = (prepared: Prepared | undefined, undo = false) =>
    transact(db, { actor: 'USER', userId: viewer.userId }, (plain) => {
      const unit = noting(plain, context);
      return once(unit, { caller: viewer.userId, key, operation: name, input, hash: deps.keys.hashArguments }, async () => {
        const answer = await options.work(input, { unit, context, visible: await context.seeIn(unit.tx) }, prepared);
        if (undo) throw new Undone();
        done = true;
        return answer;
      });
    });
  const rehearsed = options.ask === undefined ? null : await attempt(undefined, true).catch(nullIfUndone);
  const prepared = rehearsed === null ? await (options.ask?.(input, context, key) ?? options.prepare?.(input, context)) : undefined;
  const { value, wakes } =
    rehearsed ??
    (await attempt(prepared).catch(async (error: unknown) => {
      if (prepared !== undefined) await options.takeBack?.(input, context, prepared);
      throw error;
    }));
  deps.dispatch(wakes);
  if (done) await options.after?.(value, context);
  context.refresh();
  const row = await options.read(value, context, prepared);
  if (row === null) throw new NotFound('result', '');
  return row;
}

/** Whoever changes something in a place is active there (ROUTE-9). */
function noting(unit: Unit, { concerned }: ApiContext): Unit {
  return {
    ...unit,
    record: (event) => {
      if (event.placeId != null) concerned.places.add(event.placeId);
      unit.record(event);
    },
  };
}

/** Takes a rehearsal back. */
class Undone extends Error {}

function nullIfUndone(error: unknown): null {
  if (error instanceof Undone) return null;
  throw error;
}

function idempotencyKeyField(t: InputBuilder) {
  return t.string({
    description:
      'Made by the client, unique for each thing it wants done: the same key twice does it once and answers the same. Kept 7 days. Without it, a request sent again is done again.',
  });
}
