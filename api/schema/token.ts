import { builder } from '../builder.ts';
import { promised } from '../promised.ts';
import { TOKEN_COLUMNS } from '../rows.ts';
import { ORDERS } from './orders.ts';
import { ApiTokenConnection, ApiTokenRef, UserRef } from './refs.ts';

export const TokenScopeEnum = builder.enumType('ApiTokenScope', {
  description: 'What a token may do. Every token reads what its user sees; none does more than its user’s role.',
  values: {
    ALL: { value: '*', description: 'Whatever its user may.' },
    READ: { value: 'read', description: 'Reads, and nothing else.' },
    WORK: { value: 'work', description: 'What an agent does: replies, comments, tickets.' },
    CONFIGURE: { value: 'configure', description: 'What an admin does: channels, rules, places, pipelines, imports.' },
    PEOPLE: { value: 'people', description: 'What a super admin does: users and teams; and tokens.' },
  } as const,
});

builder.node(ApiTokenRef, {
  description: 'A bearer token, without its secret. Seen by whose it is and by super admins.',
  id: { resolve: (token) => token.id },
  loadOne: (id, { load }) => load.apiToken.load(id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What it is for.' }),
    user: t.field({ type: UserRef, description: 'Whose it is.', resolve: async (token, _args, { load }) => promised(await load.user.load(token.user_id)) }),
    scopes: t.field({ type: [TokenScopeEnum], description: 'What it may do.', resolve: (token) => token.scopes }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: (token) => token.created_at }),
    createdBy: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who made it; null: a command of the operator.',
      resolve: (token, _args, { load }) => (token.created_by === null ? null : load.user.load(token.created_by)),
    }),
    expiresAt: t.field({ type: 'DateTime', nullable: true, description: 'When it ends by itself; null: never.', resolve: (token) => token.expires_at }),
    lastUsedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was last used, to within a minute; null: never.',
      resolve: (token) => token.last_used_at,
    }),
    revokedAt: t.field({ type: 'DateTime', nullable: true, description: 'Since when it is revoked; null: it is not.', resolve: (token) => token.revoked_at }),
    revokedBy: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who revoked it; null: nobody.',
      resolve: (token, _args, { load }) => (token.revoked_by === null ? null : load.user.load(token.revoked_by)),
    }),
  }),
});

builder.queryField('apiTokens', (t) =>
  t.connection(
    {
      type: ApiTokenRef,
      description: 'One’s own tokens, for a super admin everybody’s, the newest first.',
      args: {
        userId: t.arg.globalID({ for: [UserRef], description: 'Only this user’s.' }),
        includeRevoked: t.arg.boolean({ defaultValue: false, description: 'Also those that were revoked.' }),
      },
      resolve: async (_root, args, { load, db, see }) => {
        let query = db
          .selectFrom('api_token')
          .select(TOKEN_COLUMNS)
          .where((await see()).api_token);
        if (args.userId != null) query = query.where('user_id', '=', args.userId.id);
        if (args.includeRevoked !== true) query = query.where('revoked_at', 'is', null);
        return load.page(args, ORDERS.apiToken, query);
      },
    },
    ApiTokenConnection,
  ),
);
