import { randomUUID } from 'node:crypto';
import type { InboundMessage, Plugin } from '@trunkline/channel-sdk';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setContactOwner } from '#commands/contact-owner.ts';
import { NotAssignable, NotFound } from '#commands/refusals.ts';
import { decide } from '#commands/routing.ts';
import { previewRouting } from '#commands/routing-preview.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeUser, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { decisions, ruled, type TestRule } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(() => database.drop());

/** Of the plain plugin, with another way in. */
const comingBy = (...way: Plugin['capabilities']['inbound']): readonly Plugin[] => [
  { ...plainPlugin, capabilities: { ...plainPlugin.capabilities, inbound: [...way] } },
];
const BY_MAIL = comingBy('listener');
const BY_PAGE = comingBy('page');
/** A page that keeps a token of each visitor. */
const BY_LIVE_PAGE: readonly Plugin[] = BY_PAGE.map((one) => ({ ...one, capabilities: { ...one.capabilities, identities: ['visitor'], live: true } }));

let owner: string;
let value: string;
let contactId: string;
let channel: MadeChannel;
const ownerIs = (ownerId: string | null, id = contactId) =>
  transact(db, { actor: 'USER', userId: owner }, (unit) => setContactOwner(unit, { contactId: id, ownerId }));
const byOwner = (rule: TestRule = {}) => ruled(db, { kind: 'CONTACT_OWNER', ...rule });

/** The contact writes anew, and what begins is decided. */
async function wrote(plugins: readonly Plugin[], message: Partial<Omit<InboundMessage, 'type'>> = {}, on = channel) {
  const event = inbound(value, message);
  await take(db, on, [event]);
  const { conversation_id: conversationId } = await db
    .selectFrom('message')
    .select('conversation_id')
    .where('provider_message_id', '=', event.providerMessageId)
    .executeTakeFirstOrThrow();
  const { wakes } = await decide(db, { conversationId }, Math.random, plugins);
  const [decision] = await decisions(db, [conversationId]);
  if (decision === undefined) throw new Error('nothing was decided');
  return { ...decision, conversationId, wakes };
}

beforeEach(async () => {
  owner = await makeUser(db);
  value = `${randomUUID()}@out.example`;
  channel = await byOwner();
  await take(db, channel, [inbound(value)]);
  ({ contact_id: contactId } = await db.selectFrom('contact_identity').select('contact_id').where('value', '=', value).executeTakeFirstOrThrow());
  await ownerIs(owner);
});

const mailsTo = (userId: string) => db.selectFrom('system_mail').selectAll().where('user_id', '=', userId).where('kind', '=', 'OFFLINE_OWNER').execute();

describe("the rule contact's owner", () => {
  it('gives a contact who is known by their identity to their owner [ROUTE-10]', async () => {
    const { chosen, explanation } = await wrote(BY_MAIL);
    expect(chosen).toBe(owner);
    expect(explanation).toMatchObject({ rule: 'CONTACT_OWNER', decidedBy: 'OWNER', candidates: [{ userId: owner, as: 'OWNER', outcome: 'CHOSEN' }] });
    expect(await mailsTo(owner)).toEqual([]);
  });

  it('recognises nobody by an address that was typed into a page, and nobody whose domain denies the sender [ROUTE-10]', async () => {
    const forged = { authentication: { verdict: 'fail' as const, by: 'x', checks: {} } };
    for (const made of [await wrote(BY_PAGE), await wrote(BY_MAIL, forged)]) {
      expect(made.chosen).toBeNull();
      expect(made.explanation).toMatchObject({ outcome: 'NOBODY_ELIGIBLE', leftOut: { NOT_RECOGNISED: 1 } });
    }
    // Nobody said, or they said it is so: known by their identity.
    expect((await wrote(BY_MAIL, { authentication: { verdict: 'unknown', by: 'x', checks: {} } })).chosen).toBe(owner);
    expect((await wrote(BY_MAIL, { authentication: { verdict: 'pass', by: 'x', checks: {} } })).chosen).toBe(owner);
  });

  it('recognises a visitor by their token, on a page too [ROUTE-10]', async () => {
    const visitor = { kind: 'visitor' as const, value: randomUUID() };
    await take(db, channel, [inbound(value, { contact: visitor })]);
    const { contact_id: id } = await db.selectFrom('contact_identity').select('contact_id').where('value', '=', visitor.value).executeTakeFirstOrThrow();
    await ownerIs(owner, id);
    expect((await wrote(BY_PAGE, { contact: visitor })).chosen).toBe(owner);
    // Another visitor is somebody else, whatever they say of themselves.
    expect((await wrote(BY_PAGE, { contact: { kind: 'visitor', value: randomUUID() } })).explanation.outcome).toBe('NO_OWNER');
  });

  it('asks who wrote last: where that was somebody else, the contact whose conversation it is counts as not recognised [ROUTE-10]', async () => {
    const first = inbound(value);
    await take(db, channel, [first]);
    await take(db, channel, [inbound('colleague@out.example', { joins: [first.providerMessageId] })]);
    const { conversation_id: conversationId } = await db
      .selectFrom('message')
      .select('conversation_id')
      .where('provider_message_id', '=', first.providerMessageId)
      .executeTakeFirstOrThrow();
    await decide(db, { conversationId }, Math.random, BY_MAIL);
    const [decision] = await decisions(db, [conversationId]);
    expect(decision?.explanation.leftOut).toEqual({ NOT_RECOGNISED: 1 });
  });

  it.each([
    ['without a seat', 'NO_SEAT', (id: string) => db.updateTable('app_user').set({ seat: 'NONE' }).where('id', '=', id).execute()],
    ['deactivated', 'DEACTIVATED', (id: string) => db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', id).execute()],
  ] as const)('counts an owner %s as none: the default user, where there is one [ROUTE-10]', async (_what, reason, spoil) => {
    const standIn = await makeUser(db, { availability: 'AWAY' });
    await spoil(owner);
    const without = await wrote(BY_MAIL);
    expect([without.chosen, without.explanation.leftOut]).toEqual([null, { [reason]: 1 }]);
    const live = await byOwner({ defaultUser: standIn });
    const { chosen, explanation } = await wrote(BY_MAIL, {}, live);
    expect([chosen, explanation.decidedBy]).toEqual([standIn, 'DEFAULT_USER']);
    // Told why it is theirs: nobody says the contact were.
    const [mail] = await mailsTo(standIn);
    expect(mail?.text).toContain("you are the channel's default user");
    expect(`${mail?.subject} ${mail?.text}`).not.toMatch(/contact of yours|the contact's owner\./);
  });

  it('counts an owner without access to the place as none [ROUTE-10, ROUTE-4]', async () => {
    const { id: inbox } = await db.insertInto('place').values({ kind: 'INBOX', name: randomUUID() }).returning('id').executeTakeFirstOrThrow();
    await db
      .insertInto('access_entry')
      .values({ place_id: inbox, user_id: await makeUser(db) })
      .execute();
    const closed = await ruled(db, { kind: 'CONTACT_OWNER' }, { place: 'INBOX' });
    await db.updateTable('channel').set({ place_id: inbox }).where('id', '=', closed.id).execute();
    expect((await wrote(BY_MAIL, {}, closed)).explanation).toMatchObject({ ownerId: null, leftOut: { NO_ACCESS: 1 } });
  });

  it('leaves what has no owner unassigned, or gives it to the default user [ROUTE-10]', async () => {
    await ownerIs(null);
    expect((await wrote(BY_MAIL)).explanation.outcome).toBe('NO_OWNER');
    const standIn = await makeUser(db);
    expect((await wrote(BY_MAIL, {}, await byOwner({ defaultUser: standIn }))).chosen).toBe(standIn);
  });

  it('gives it to an owner who is away all the same, and mails them what the contact wrote, in the same transaction [ROUTE-10, ROUTE-5]', async () => {
    await db
      .updateTable('app_user')
      .set({ availability: 'AWAY', email: `${owner}@users.example` })
      .where('id', '=', owner)
      .execute();
    const marked = 'quokka in distress';
    const { chosen, conversationId, explanation } = await wrote(BY_MAIL, { text: marked });
    expect(chosen).toBe(owner);
    const [mail, ...more] = await mailsTo(owner);
    expect(more).toEqual([]);
    expect(mail).toMatchObject({ recipient: `${owner}@users.example`, conversation_id: conversationId });
    expect(mail?.text).toContain(marked);
    expect(mail?.subject).toMatch(/^Ticket \d+ of a contact of yours/);
    // Of what was said nothing stands in the decision or in the events.
    const events = await db.selectFrom('event').selectAll().where('conversation_id', '=', conversationId).execute();
    expect(JSON.stringify([explanation, events])).not.toContain('quokka');
  });

  it('mails once, however many decide at once [ROUTE-10, ROUTE-15]', async () => {
    await db.updateTable('app_user').set({ availability: 'AWAY' }).where('id', '=', owner).execute();
    const event = inbound(value);
    await take(db, channel, [event]);
    const { conversation_id: conversationId } = await db
      .selectFrom('message')
      .select('conversation_id')
      .where('provider_message_id', '=', event.providerMessageId)
      .executeTakeFirstOrThrow();
    await Promise.all(Array.from({ length: 8 }, () => decide(db, { conversationId }, Math.random, BY_MAIL)));
    expect(await mailsTo(owner)).toHaveLength(1);
  });

  it('is previewed for a contact, and for somebody unknown [ROUTE-14, ROUTE-10]', async () => {
    const standIn = await makeUser(db);
    const live = await byOwner({ defaultUser: standIn });
    const preview = (plugins: readonly Plugin[], on: MadeChannel, of: string | null) => previewRouting(db, plugins, { channelId: on.id, contactId: of });
    expect((await preview(BY_LIVE_PAGE, live, contactId)).ownerId).toBe(owner);
    expect((await preview(BY_LIVE_PAGE, live, null)).ownerId).toBe(standIn);
    expect((await preview(BY_MAIL, channel, contactId)).ownerId).toBe(owner);
    expect((await preview(BY_MAIL, channel, null)).explanation.outcome).toBe('NO_OWNER');
  });

  it('is previewed as the decision then is where the plugin can recognise nobody, and where nobody knows the plugin [ROUTE-14, ROUTE-10]', async () => {
    for (const plugins of [BY_PAGE, []]) {
      const { ownerId, explanation } = await previewRouting(db, plugins, { channelId: channel.id, contactId });
      expect([ownerId, explanation.outcome, explanation.leftOut]).toEqual([null, 'NOBODY_ELIGIBLE', { NOT_RECOGNISED: 1 }]);
      const decision = await wrote(plugins);
      expect(decision.explanation).toEqual({ ...explanation, decidedAt: decision.explanation.decidedAt });
    }
  });
});

describe('setting the owner of a contact', () => {
  it('keeps who did it; what is so already is no change', async () => {
    const other = await makeUser(db);
    await ownerIs(other);
    await ownerIs(other);
    const events = await db.selectFrom('event').selectAll().where('kind', '=', 'CONTACT_CHANGED').where('user_id', '=', other).execute();
    expect(events.map(({ why, actor_user_id: by, data }) => ({ why, by, data }))).toEqual([
      { why: 'OWNER', by: owner, data: { contactId, from: owner, to: other } },
    ]);
  });

  it('refuses whom there is not, or not any more, and a contact that is not there', async () => {
    const gone = await makeUser(db);
    await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', gone).execute();
    for (const nobody of [gone, randomUUID(), 'x']) await expect(ownerIs(nobody)).rejects.toBeInstanceOf(NotAssignable);
    await expect(ownerIs(owner, randomUUID())).rejects.toBeInstanceOf(NotFound);
    await db.updateTable('contact').set({ erased_at: new Date() }).where('id', '=', contactId).execute();
    await expect(ownerIs(null)).rejects.toBeInstanceOf(NotFound);
    await db.updateTable('contact').set({ erased_at: null }).where('id', '=', contactId).execute();
  });
});
