import PostalMime from 'postal-mime';
import { randomBytes } from 'node:crypto';
import email from '@trunkline/plugin-email';
import config from '#config';
import { createActivities } from '#activities/index.ts';
import type { Engine } from '#activities/dependencies.ts';
import { drain } from '#activities/intake.ts';
import { connectChannel } from '#commands/channels.ts';
import { keysFrom } from '#commands/secrets.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { median } from './statistics.ts';

const MAILS = 1_500;
/** Mails a second that the parser alone does at least on any machine worth measuring on. */
const ABSURD_PER_SECOND = 50;

export interface ParseRates {
  /** Mails a second, medians of the rounds. */
  readonly ours: number;
  readonly bare: number;
  readonly ratio: number;
  readonly absurd: boolean;
}

/** The same mails, parsed by postal-mime and thrown away, and taken in by ours: parsed in its thread, sanitised, stored as messages of conversations. In turns. */
export async function parseRates(db: Db, rounds: number): Promise<ParseRates> {
  const keys = keysFrom('0b'.repeat(32));
  const silent = {
    info: () => undefined,
    warn: (_fields: object, message: string) => console.error(message),
    error: (_fields: object, message: string) => console.error(message),
  };
  const set = createActivities({
    db,
    keys,
    plugins: config.plugins,
    configUrl: import.meta.resolve('#config'),
    waker: { signalWithStart: async () => undefined, terminate: async () => false },
    log: silent,
    now: () => Date.now(),
  });
  const ours: number[] = [];
  const bare: number[] = [];
  try {
    const place = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
    const address = `bench-${randomBytes(4).toString('hex')}@acme.example`;
    const settings = { kind: 'other', address, companyName: 'Acme', smtp: { host: '127.0.0.1', port: 9, secure: 'none' } };
    const { value: channel } = await transact(db, { actor: 'SYSTEM' }, (unit) =>
      connectChannel(unit, { plugins: config.plugins, keys }, { plugin: email.key, name: 'Bench', placeId: place.id, settings }),
    );
    // The first round warms thread, connections and compiler, and does not count.
    for (let round = 0; round <= rounds; round += 1) {
      const mails = sampleMails(address);
      const bareRate = await parseAlone(mails);
      await db
        .insertInto('raw_delivery')
        .values(mails.map((body) => ({ channel_id: channel.channelId, method: 'SMTP', url: '', headers: '{}', body })))
        .execute();
      const started = performance.now();
      const [takenIn] = await Promise.all([untilTakenIn(db, channel.channelId), drainAll(set.engine, channel.key)]);
      if (round === 0) continue;
      ours.push(MAILS / ((takenIn - started) / 1000));
      bare.push(bareRate);
    }
  } finally {
    await set.close();
  }
  return {
    ours: median(ours),
    bare: median(bare),
    ratio: median(ours.map((rate, index) => rate / (bare[index] ?? Number.NaN))),
    absurd: median(bare) < ABSURD_PER_SECOND,
  };
}

async function drainAll(engine: Engine, channelKey: string): Promise<void> {
  for (let left = MAILS; left > 0;) {
    const { processed } = await drain(engine, channelKey, { beat: () => undefined, stopped: () => false });
    if (processed === 0) throw new Error('bench: mails were not taken in');
    left -= processed;
  }
}

/** The moment at which nothing waits any more: the drain itself goes on for a second, for it waits for more. */
async function untilTakenIn(db: Db, channelId: string): Promise<number> {
  for (;;) {
    const waiting = await db
      .selectFrom('raw_delivery')
      .select('id')
      .where('channel_id', '=', channelId)
      .where('state', '=', 'WAITING')
      .limit(1)
      .executeTakeFirst();
    if (waiting === undefined) return performance.now();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function parseAlone(mails: readonly Buffer[]): Promise<number> {
  const started = performance.now();
  for (const mail of mails) await PostalMime.parse(mail);
  return mails.length / ((performance.now() - started) / 1000);
}

/** As a help desk gets them: half of them HTML with a text beside it, some with a quoted history, one in ten with an attachment. */
function sampleMails(to: string): Buffer[] {
  const run = randomBytes(4).toString('hex');
  return Array.from({ length: MAILS }, (_, index) => {
    const from = `writer${index % 200}@out.example`;
    const quoted =
      index % 3 === 0
        ? '\r\n\r\nOn Fri, 20 Nov 2026 at 09:12, Support <support@acme.example> wrote:\r\n> We have looked into it.\r\n> Please tell us the number of the order.\r\n'
        : '';
    const text = `Hello,\r\n\r\n${'the parcel has not come yet, and nobody could tell me where it is. '.repeat(6)}\r\n\r\nRegards,\r\nA Writer${quoted}`;
    const html = `<html><head><style>p { margin: 0 }</style></head><body><p>Hello,</p><p>${'the parcel <b>has not come</b> yet, and nobody could tell me <a href="https://out.example/t?x=1">where it is</a>. '.repeat(6)}</p><table><tr><td style="color:#333">Order</td><td>10${index}</td></tr></table></body></html>`;
    const head = `From: A Writer <${from}>\r\nTo: ${to}\r\nSubject: About the order ${index}\r\nMessage-ID: <${run}.${index}@out.example>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n`;
    if (index % 2 === 0) return Buffer.from(`${head}Content-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n`);
    const alternative = `Content-Type: multipart/alternative; boundary="alt"\r\n\r\n--alt\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n--alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n${html}\r\n--alt--\r\n`;
    if (index % 10 !== 1) return Buffer.from(head + alternative);
    const file = randomBytes(20_000).toString('base64').replace(/.{76}/g, '$&\r\n');
    return Buffer.from(
      `${head}Content-Type: multipart/mixed; boundary="mix"\r\n\r\n--mix\r\n${alternative}\r\n--mix\r\nContent-Type: image/png; name="parcel.png"\r\nContent-Disposition: attachment; filename="parcel.png"\r\nContent-Transfer-Encoding: base64\r\n\r\n${file}\r\n--mix--\r\n`,
    );
  });
}
