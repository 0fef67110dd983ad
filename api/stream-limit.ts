import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { ApiContext } from './context.ts';
import { LIMITS } from './limits.ts';

/** Open streams of each user at this process: one more than the limit is refused before it begins (API-7). */
export function useStreamLimit(): Plugin<ApiContext> {
  const open = new Map<string, number>();
  return {
    onSubscribe({ args, setResultAndStopExecution }) {
      const { viewer, signal }: ApiContext = args.contextValue;
      const { userId } = viewer;
      const before = open.get(userId) ?? 0;
      if (before >= LIMITS.streamsPerUser) {
        setResultAndStopExecution({ errors: [tooMany()] });
        return undefined;
      }
      open.set(userId, before + 1);
      let over = false;
      const end = () => {
        if (over) return;
        over = true;
        const left = (open.get(userId) ?? 1) - 1;
        if (left === 0) open.delete(userId);
        else open.set(userId, left);
      };
      // It ends by itself, by the client who goes, or before its first item.
      signal.addEventListener('abort', end, { once: true });
      return {
        onSubscribeResult({ result }) {
          if (!(Symbol.asyncIterator in Object(result))) end();
          return { onEnd: end };
        },
        onSubscribeError: end,
      };
    },
  };
}

function tooMany(): GraphQLError {
  return new GraphQLError(`too many streams at once: the limit streamsPerUser is ${LIMITS.streamsPerUser}`, {
    extensions: { code: 'LIMIT_EXCEEDED', limit: 'streamsPerUser', max: LIMITS.streamsPerUser, http: { status: 429, headers: { 'retry-after': '5' } } },
  });
}
