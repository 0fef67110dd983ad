import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { Role } from '#db/schema.ts';
import { mailboxAddress } from './mailboxes.ts';
import { NotFound } from './refusals.ts';
import type { Unit } from './unit.ts';

/** Who somebody is to an OpenID Connect provider. */
export interface SignInIdentity {
  readonly issuer: string;
  readonly subject: string;
}

/** The active user an identity is bound to; undefined: none. */
export function userOfIdentity(db: Db | Tx, { issuer, subject }: SignInIdentity): Promise<{ readonly userId: string; readonly role: Role } | undefined> {
  return db
    .selectFrom('sign_in_identity')
    .innerJoin('app_user', 'app_user.id', 'sign_in_identity.user_id')
    .select(['app_user.id as userId', 'app_user.role'])
    .where('sign_in_identity.issuer', '=', issuer)
    .where('sign_in_identity.subject', '=', subject)
    .where('app_user.deactivated_at', 'is', null)
    .executeTakeFirst();
}

/**
 * Binds an identity to the active user with this address, which the provider says it has verified. A user has one identity of a provider: another one
 * with their address, as where an address was given to somebody new, binds nothing until a super admin removes the first. However many
 * sign in at once, the constraints decide. Answers as `userOfIdentity`.
 */
export async function bindIdentity(unit: Unit, identity: SignInIdentity, email: string): Promise<{ readonly userId: string; readonly role: Role } | undefined> {
  const address = mailboxAddress(email);
  if (address === undefined) return undefined;
  const bound = await unit.tx
    .insertInto('sign_in_identity')
    .columns(['issuer', 'subject', 'user_id'])
    .expression((eb) =>
      eb
        .selectFrom('app_user')
        .select([sql.val(identity.issuer).as('issuer'), sql.val(identity.subject).as('subject'), 'app_user.id'])
        .where('app_user.email', '=', address)
        .where('app_user.deactivated_at', 'is', null),
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning('user_id')
    .executeTakeFirst();
  if (bound !== undefined) unit.record({ kind: 'PEOPLE_CHANGED', userId: bound.user_id, why: 'SIGN_IN_BOUND' });
  return userOfIdentity(unit.tx, identity);
}

/** The user's next sign-in at this provider binds anew; streams of the old one end within seconds. Throws `NotFound`. */
export async function removeIdentity(unit: Unit, { userId, issuer }: { readonly userId: string; readonly issuer: string }): Promise<void> {
  const removed = await unit.tx
    .deleteFrom('sign_in_identity')
    .where('issuer', '=', issuer)
    .where(sql<string>`user_id::text`, '=', userId)
    .returning('user_id')
    .executeTakeFirst();
  if (removed === undefined) throw new NotFound('sign-in', userId);
  unit.record({ kind: 'PEOPLE_CHANGED', userId, why: 'SIGN_IN_REMOVED' });
}
