import type { Db } from '#db/database.ts';
import { hashToken } from './secrets.ts';
import { makeToken } from './tokens.ts';

/**
 * The development account's super admin and a fresh token for them; tokens of earlier starts end. For `npm start` and tests only:
 * outside development there is no default credential (API-5).
 */
export async function ensureDevelopmentAccount(db: Db): Promise<{ readonly token: string; readonly userId: string }> {
  const token = makeToken();
  return db.transaction().execute(async (tx) => {
    const email = 'dev@trunkline.localhost';
    await tx
      .insertInto('app_user')
      .values({ email, name: 'Dev Admin', role: 'SUPER_ADMIN', seat: 'PAID' })
      .onConflict((conflict) => conflict.column('email').doNothing())
      .execute();
    const user = await tx.selectFrom('app_user').select('id').where('email', '=', email).forNoKeyUpdate().executeTakeFirstOrThrow();
    await tx
      .insertInto('mailbox')
      .values({ address: email, user_id: user.id })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    await tx
      .updateTable('api_token')
      .set({ revoked_at: new Date() })
      .where('user_id', '=', user.id)
      .where('name', '=', 'development')
      .where('revoked_at', 'is', null)
      .execute();
    await tx
      .insertInto('api_token')
      .values({ user_id: user.id, name: 'development', token_hash: hashToken(token) })
      .execute();
    return { token, userId: user.id };
  });
}
