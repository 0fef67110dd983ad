import { domainToASCII } from 'node:url';
import type { Identity, InboundMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { SenderList } from '#db/schema.ts';
import { parseSenderPattern, patternsFor, spamReason, type SpamReason } from '#domain/sender-rules.ts';
import { AlreadyExists, InvalidInput, NotFound } from './refusals.ts';
import type { Unit } from './unit.ts';

/** Puts an address, or a domain with all below it, on one of the account's lists (EMAIL-6). Throws `InvalidInput`, `AlreadyExists`. */
export async function addSenderRule(unit: Unit, input: { readonly list: SenderList; readonly pattern: string }): Promise<{ ruleId: string }> {
  const pattern = parseSenderPattern(inAscii(input.pattern));
  if (pattern === undefined) throw new InvalidInput([{ path: 'pattern', message: 'an address (ben@acme.com) or a domain with a dot (acme.com)' }]);
  const row = await unit.tx
    .insertInto('sender_rule')
    .values({ list: input.list, pattern })
    .onConflict((conflict) => conflict.columns(['list', 'pattern']).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) throw new AlreadyExists('sender rule');
  unit.record({ kind: 'SENDER_RULES_CHANGED', placeId: null, why: 'ADDED', data: { ruleId: row.id, list: input.list } });
  return { ruleId: row.id };
}

/** Takes a rule off its list; what it kept out stays where it is. Throws `NotFound`. */
export async function removeSenderRule(unit: Unit, input: { readonly ruleId: string }): Promise<{ ruleId: string }> {
  const row = await unit.tx.deleteFrom('sender_rule').where('id', '=', input.ruleId).returning('list').executeTakeFirst();
  if (row === undefined) throw new NotFound('sender rule', input.ruleId);
  unit.record({ kind: 'SENDER_RULES_CHANGED', placeId: null, why: 'REMOVED', data: { ruleId: input.ruleId, list: row.list } });
  return input;
}

/** Which of these are spam, and why, in one statement; what a person let pass is not. `ownAddress`: the channel's, where it is a mail address. */
export async function findSpam<Message extends { readonly event: InboundMessage; readonly releasedAs: string | null }>(
  tx: Tx,
  ownAddress: string | null,
  messages: readonly Message[],
): Promise<ReadonlyMap<Message, SpamReason>> {
  const senders = messages.flatMap((message) => {
    const { contact, direction } = message.event;
    // An echo's contact is whom it was sent to.
    if (direction !== 'inbound' || message.releasedAs !== null) return [];
    const addressOf = (one: Identity | null): string => (one?.kind === 'email-address' ? one.value : '');
    const judged = { message, author: addressOf(message.event.author ?? contact), contact: addressOf(contact) };
    return judged.author === '' && judged.contact === '' ? [] : [judged];
  });
  const found = new Map<Message, SpamReason>();
  if (senders.length === 0) return found;
  const rules = await tx
    .selectFrom('sender_rule')
    .select(['list', 'pattern'])
    .where('list', 'in', ['ALLOW', 'DENY'])
    .where(sql<boolean>`pattern = any(${[...new Set(senders.flatMap(({ author, contact }) => [...patternsFor(author), ...patternsFor(contact)]))]}::text[])`)
    .execute();
  const lists = { ALLOW: new Set<string>(), DENY: new Set<string>() };
  for (const { list, pattern } of rules) lists[list].add(pattern);
  const judged = (address: string) => {
    const patterns = patternsFor(address);
    return { address, allowed: patterns.some((one) => lists.ALLOW.has(one)), denied: patterns.some((one) => lists.DENY.has(one)) };
  };
  for (const { message, author, contact } of senders) {
    const reason = spamReason(judged(author), judged(contact), ownAddress);
    if (reason !== null) found.set(message, reason);
  }
  return found;
}

/** Senders' domains are compared in ASCII; people may type them as they are read. */
function inAscii(typed: string): string {
  const text = typed.trim();
  const at = text.lastIndexOf('@');
  const domain = text.slice(at + 1);
  // The URL parser takes more for a domain than a domain is.
  if (/^[\w.-]*$/.test(domain) || /[\s/\\?#:[\]%<>]/.test(domain)) return text;
  return `${text.slice(0, at + 1)}${domainToASCII(domain)}`;
}
