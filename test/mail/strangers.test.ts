import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { damaged, KINDS, type Damage } from '#plugins/email/test/corpus/mutations.ts';
import { readSamples } from '#plugins/email/test/corpus/samples.ts';
import { openMailWorld, vouched, type MailWorld } from './world.ts';

/** `MUTATION_SEED=… npm test` runs the same ones again. */
const SEED = Number(process.env['MUTATION_SEED'] ?? randomInt(2 ** 31));
const BATCHES = 16;
const PER_BATCH = 50;

let world: MailWorld;
beforeAll(async () => {
  world = await openMailWorld();
});
afterAll(async () => {
  expect(await world.close()).toEqual([]);
});

const damage = (mails: readonly string[]): fc.Arbitrary<Damage> =>
  fc.record({
    kind: fc.constantFrom(...KINDS),
    at: fc.nat(),
    length: fc.nat(200),
    filling: fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 12 }),
      fc.constantFrom('\r\n', '\r\n\r\n', '\0', '<', 'ben@customer.example', 'Cc: mallory@evil.example\r\n'),
    ),
    other: fc.constantFrom(...mails),
  });

/**
 * The sample as Mallory would send it: his own address and his own domain's word in place of everybody's, and besides the ids of the customers' mails or,
 * where he has got hold of them, of ours too.
 */
function asMallory(mail: string, index: number, knowsOurs: boolean): string {
  const theirs = ['<lamp-1@customer.example>', '<invoice-1@other.example>'];
  const ids = knowsOurs ? [world.lamp.mailId, ...theirs, world.invoice.mailId] : theirs;
  const [head = '', ...body] = mail.split('\r\n\r\n');
  const kept = head
    .replaceAll(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
    .filter((line) => !/^(from|in-reply-to|references|authentication-results|message-id|arc-[\w-]+):/i.test(line));
  const own = [
    vouched('evil.example'),
    `From: "Ben Carter" <mallory-${index}@evil.example>`,
    `Message-ID: <m-${index}-${knowsOurs}@evil.example>`,
    `In-Reply-To: ${ids[0] ?? ''}`,
    `References: ${ids.join(' ')}`,
  ];
  return [[...own, ...kept].join('\r\n'), ...body].join('\r\n\r\n');
}

/**
 * What must hold of the two conversations, whatever strangers send: the same people take part, and of all that came in nothing is in them but the first
 * message, automatic mail included; the one exception is a report that returns a mail of ours, which `returned` tells by its bytes. (No mail here is
 * vouched for by the domain of anybody who takes part, and none has a token of ours.)
 */
async function expectUntouched(returned: (mail: string) => boolean): Promise<number> {
  let reports = 0;
  const { db, lamp, invoice } = world;
  for (const [thread, people] of [
    [lamp, ['ben@customer.example', 'cleo@partner.example']],
    [invoice, ['mia@other.example']],
  ] as const) {
    const taking = await db.selectFrom('participant').select('value').where('conversation_id', '=', thread.conversationId).orderBy('value').execute();
    expect(
      taking.map(({ value }) => value),
      'nobody was brought in',
    ).toEqual([...people]);
    const inbound = await db
      .selectFrom('message')
      .innerJoin('raw_delivery', 'raw_delivery.id', 'message.raw_delivery_id')
      .select(['message.sender', 'message.automatic', 'raw_delivery.body'])
      .where('message.conversation_id', '=', thread.conversationId)
      .where('message.direction', '=', 'INBOUND')
      .execute();
    const others = inbound.filter(({ automatic, body }) => !automatic || !returned(body.toString('latin1')));
    expect(others.map(({ sender }) => sender?.value)).toEqual([people[0]]);
    reports += inbound.length - others.length;
  }
  return reports;
}

describe('strangers', () => {
  it.each([
    ['the ids of its customers’ mails: nothing, automatic or not', false],
    ['all of its ids: nothing but a report that returns a mail of ours', true],
  ])(
    `never get into somebody else's conversation, nor bring anybody in, by ${BATCHES * PER_BATCH} mails, damaged in any way, seed ${SEED}, that name %s [EMAIL-5, EMAIL-6, EMAIL-7, EMAIL-8]`,
    async (_what, knowsOurs) => {
      const token = 'abcdefghijkl2345';
      const samples = readSamples(knowsOurs ? { ...world.lamp, token } : { token });
      const mails = samples.map(({ mail }, index) => asMallory(Buffer.from(mail).toString('latin1'), index, knowsOurs));
      const returned = (mail: string): boolean =>
        knowsOurs &&
        /^(?:content-type:\s*multipart\/report|return-path:\s*<>)/im.test(mail) &&
        [world.lamp, world.invoice].some(({ mailId }) => mail.includes(mailId));
      const mutant = fc
        .tuple(fc.constantFrom(...mails), fc.array(damage(mails), { maxLength: 3 }))
        .map(([mail, damages]) => damages.reduce(damaged, mail))
        // What was cut out of a mail may leave another's address in From, with a domain that was vouched for: then it is not a stranger's.
        .map((mail) => mail.replaceAll('dmarc=pass header.from=customer.example', 'dmarc=pass header.from=evil.example'));
      const batches = fc.sample(mutant, { numRuns: BATCHES * PER_BATCH, seed: SEED });
      const deliveries: number[] = [];
      for (let at = 0; at < batches.length; at += PER_BATCH) {
        const batch = batches.slice(at, at + PER_BATCH).map((mail) => ({ mail: Buffer.from(mail, 'latin1') }));
        deliveries.push(...(await world.take(world.support, ...batch)));
        await expectUntouched(returned);
      }
      if (knowsOurs) expect(await expectUntouched(returned), 'of those reports there were some').toBeGreaterThan(0);
      const states = await world.db.selectFrom('raw_delivery').select('state').distinct().where('id', 'in', deliveries).execute();
      expect(states, 'each was taken in').toEqual([{ state: 'DONE' }]);
      const own = await world.db
        .selectFrom('message')
        .innerJoin('conversation', 'conversation.id', 'message.conversation_id')
        .innerJoin('contact_identity', 'contact_identity.contact_id', 'conversation.contact_id')
        .select(['message.sender', 'contact_identity.value'])
        .where('message.raw_delivery_id', 'in', deliveries)
        .where('message.automatic', '=', false)
        .execute();
      expect(own.length, 'most of them began conversations').toBeGreaterThan(100);
      for (const row of own) expect(row.sender?.value, 'in a conversation of its own sender').toBe(row.value);
    },
    600_000,
  );
});
