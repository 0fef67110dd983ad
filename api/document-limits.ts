import { GraphQLError, Kind, parse, type ASTVisitor, type DocumentNode, type SelectionSetNode, type ValidationContext } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { LIMITS } from './limits.ts';

/** What a request exceeds, by the name it has in the documentation (API-7). */
export function limitExceeded(limit: keyof typeof LIMITS, message: string): GraphQLError {
  return new GraphQLError(`${message}: the limit ${limit} is ${LIMITS[limit]}`, {
    extensions: { code: 'LIMIT_EXCEEDED', limit, max: LIMITS[limit], http: { status: 400 } },
  });
}

/** Refuses what is too large before it is parsed, while it is parsed and before it is run, each time naming the limit. */
export function useDocumentLimits(): Plugin {
  return {
    onParams({ params, setResult }) {
      const problem = problemOf(params.query, params.variables) ?? inputProblem(params.extensions);
      if (problem !== undefined) setResult({ errors: [problem] });
    },
    onParse({ setParseFn }) {
      setParseFn((source, options) => {
        try {
          return parse(source, { ...options, maxTokens: LIMITS.documentTokens });
        } catch (error) {
          if (error instanceof GraphQLError && /more than \d+ tokens/.test(error.message)) throw limitExceeded('documentTokens', 'the document is too long');
          throw error;
        }
      });
    },
    onValidate({ addValidationRule }) {
      addValidationRule(documentRule);
    },
  };
}

/** The variables may be null, though the server's types say that they are not. */
function problemOf(query: string | undefined, variables: object | null | undefined): GraphQLError | undefined {
  if (query !== undefined && query.length > LIMITS.documentCharacters) return limitExceeded('documentCharacters', 'the document is too long');
  if (variables == null) return undefined;
  if (Object.keys(variables).length > LIMITS.variables) return limitExceeded('variables', 'there are too many variables');
  return inputProblem(variables);
}

/** Looks at all of it without recursion: what is nested a million deep must not end the process. */
function inputProblem(input: unknown): GraphQLError | undefined {
  const open: { readonly value: unknown; readonly depth: number }[] = [{ value: input, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, depth } = next;
    if (typeof value === 'string' && value.includes('\0')) return noNul();
    if (typeof value !== 'object' || value === null) continue;
    if (depth > LIMITS.inputDepth) return limitExceeded('inputDepth', 'what is given is nested too deep');
    if (Array.isArray(value) && value.length > LIMITS.listInput) return limitExceeded('listInput', 'a list is too long');
    for (const [name, part] of Object.entries(value)) {
      if (name.includes('\0')) return noNul();
      open.push({ value: part, depth: depth + 1 });
    }
  }
  return undefined;
}

/** No text of the database can hold it. */
function noNul(): GraphQLError {
  return new GraphQLError('a text holds the character NUL, which no text here can', { extensions: { code: 'BAD_USER_INPUT', http: { status: 400 } } });
}

/** Counted in the document as it is written; what it costs to run is `complexity`. */
function documentRule(context: ValidationContext): ASTVisitor {
  let aliases = 0;
  let depth = 0;
  const enter = () => {
    depth += 1;
    if (depth === LIMITS.inputDepth + 1) context.reportError(limitExceeded('inputDepth', 'what is given is nested too deep'));
  };
  const leave = () => {
    depth -= 1;
  };
  return {
    OperationDefinition(operation) {
      const fields = rootFields(operation.selectionSet, context.getDocument());
      if (fields > LIMITS.rootFields) context.reportError(limitExceeded('rootFields', `${fields} fields are asked for at once`));
    },
    Field(field) {
      if (field.alias === undefined) return;
      aliases += 1;
      // Once, however many there are.
      if (aliases === LIMITS.aliases + 1) context.reportError(limitExceeded('aliases', 'too many fields are given another name'));
    },
    ListValue: {
      enter(list) {
        if (list.values.length > LIMITS.listInput) context.reportError(limitExceeded('listInput', 'a list is too long'));
        enter();
      },
      leave,
    },
    ObjectValue: { enter, leave },
    StringValue(text) {
      if (text.value.includes('\0')) context.reportError(noNul());
    },
  };
}

/** Of the operation and of the fragments it spreads there, each as often as it is spread; circles count once, another rule refuses them. */
function rootFields(start: SelectionSetNode, document: DocumentNode): number {
  const fragments = new Map(
    document.definitions.flatMap((one) => (one.kind === Kind.FRAGMENT_DEFINITION ? [[one.name.value, one.selectionSet] as const] : [])),
  );
  const counted = new Map<SelectionSetNode, number>();
  const count = (set: SelectionSetNode): number => {
    const known = counted.get(set);
    if (known !== undefined) return known;
    counted.set(set, 0);
    let sum = 0;
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) sum += 1;
      else {
        const inner = selection.kind === Kind.INLINE_FRAGMENT ? selection.selectionSet : fragments.get(selection.name.value);
        if (inner !== undefined) sum += count(inner);
      }
    }
    counted.set(set, sum);
    return sum;
  };
  return count(start);
}
