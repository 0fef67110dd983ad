import { createApiToken, revokeApiToken } from '#commands/tokens.ts';
import { Forbidden } from '#commands/refusals.ts';
import { builder } from '../../builder.ts';
import type { Viewer } from '../../access.ts';
import { promised } from '../../promised.ts';
import { reaches } from '../../roles.ts';
import { mutation } from '../mutation.ts';
import { ApiTokenRef, UserRef } from '../refs.ts';
import { TokenScopeEnum } from '../token.ts';

interface Made {
  readonly userId: string;
  readonly tokenId: string;
  readonly token: string | null;
}

const NewTokenRef = builder.objectRef<Made>('NewApiToken').implement({
  description: 'A bearer token, shown this once.',
  fields: (t) => ({
    user: t.field({ type: UserRef, description: 'Whose it is.', resolve: async ({ userId }, _args, { load }) => promised(await load.user.load(userId)) }),
    apiToken: t.field({
      type: ApiTokenRef,
      description: 'What is kept of it.',
      resolve: async ({ tokenId }, _args, { load }) => promised(await load.apiToken.load(tokenId)),
    }),
    token: t.exposeString('token', {
      nullable: true,
      description: 'To be sent as “Authorization: Bearer …”. It is stored hashed; null where the same idempotency key was answered before.',
    }),
  }),
});

mutation('createApiToken', {
  description:
    'Makes a bearer token: for oneself, as a super admin for anybody. It is shown once. A token makes none that may more, or lives longer, than itself.',
  type: NewTokenRef,
  input: (t) => ({
    userId: t.globalID({ for: [UserRef], description: 'Whose token; none: one’s own.' }),
    name: t.string({ required: true, description: 'What it is for.' }),
    scopes: t.field({ type: [TokenScopeEnum], description: 'What it may do; none: as much as the token that asks.' }),
    expiresAt: t.field({ type: 'DateTime', description: 'When it ends by itself; none: when the token that asks does, or never.' }),
  }),
  // The answer kept under the key has ids only: the secret stays with this one call.
  prepare: async () => ({ shown: null as string | null }),
  work: async ({ userId, name, scopes, expiresAt }, { unit, context: { viewer } }, prepared) => {
    const owner = userId?.id ?? viewer.userId;
    if (owner !== viewer.userId && !isSuperAdmin(viewer)) throw new Forbidden('the role super admin, for somebody else');
    const bounds = { scopes: viewer.scopes, expiresAt: viewer.credential.kind === 'token' ? viewer.credential.expiresAt : null };
    const { token, tokenId } = await createApiToken(
      unit,
      { userId: owner, name, scopes: scopes ?? bounds.scopes, expiresAt: expiresAt ?? bounds.expiresAt },
      bounds,
    );
    if (prepared !== undefined) prepared.shown = token;
    return { userId: owner, tokenId };
  },
  read: async (made, _context, prepared) => ({ ...made, token: prepared?.shown ?? null }),
});

mutation('revokeApiToken', {
  description: 'Ends a token: one’s own, as a super admin anybody’s. Requests are refused at once, streams end within five seconds.',
  type: ApiTokenRef,
  input: (t) => ({ tokenId: t.globalID({ for: [ApiTokenRef], required: true, description: 'Which token.' }) }),
  work: async ({ tokenId }, { unit, context: { viewer } }) => {
    await revokeApiToken(unit, { tokenId: tokenId.id, ownerId: isSuperAdmin(viewer) ? null : viewer.userId });
    return { tokenId: tokenId.id };
  },
  read: ({ tokenId }, { load }) => load.apiToken.load(tokenId),
});

function isSuperAdmin({ role }: Viewer): boolean {
  return reaches(role, 'SUPER_ADMIN');
}
