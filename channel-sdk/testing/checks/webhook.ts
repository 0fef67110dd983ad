import type { ChannelInfo, RawDelivery } from '../../index.ts';
import { channelOf } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { doorContext } from '../connected.ts';
import { outcomeOf, valueOf } from '../outcome.ts';

/** The door: what is authentic, over the bytes as they came. */
export function webhookChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { verify } = plugin;
  const { webhook } = samples;
  if (verify === undefined || webhook === undefined) return [];
  const each = async (run: (raw: RawDelivery, channel: ChannelInfo<unknown>, name: string) => Promise<void>) => {
    const channel = await channelOf(subject);
    for (const { name, raw } of samples.deliveries) await run(await raw(0, channel), channel, name);
  };
  const refused = async (raw: RawDelivery, channel: ChannelInfo<unknown>, what: string) => {
    const outcome = await outcomeOf(`verify of ${what}`, async () => verify(raw, await doorContext(subject, channel)));
    if (outcome.failure === undefined) fail(`${what} is taken`, 'compare the signature over raw.body with timingSafeEqual, and throw Unauthentic');
    const { code } = outcome.failure;
    must(code === 'Unauthentic' || code === 'Malformed', `${what} is refused as ${code}`, 'throw Unauthentic');
  };
  const taken = async (raw: RawDelivery, channel: ChannelInfo<unknown>, what: string) => {
    const context = await doorContext(subject, channel);
    const verdict = await valueOf(`verify of ${what}`, () => verify(raw, context));
    must(verdict.store, `${what} is not stored`, 'answer with store: true');
    must(
      verdict.answer.ok || verdict.call !== undefined,
      `${what} is answered with ${verdict.answer.status}`,
      'answer what tells the provider that it is taken',
    );
    must(context.calls() === 0, `verify of ${what} calls the provider`, 'keep what it needs in context.state');
  };
  return [
    {
      name: 'takes what the provider signed',
      rule: 'PLUG-4',
      run: () => each((raw, channel, name) => taken(webhook.sign(raw, channel), channel, `the sample "${name}"`)),
    },
    {
      name: 'refuses a delivery without its signature',
      rule: 'PLUG-6',
      run: () => each((raw, channel, name) => refused(raw, channel, `the sample "${name}" without a signature`)),
    },
    {
      name: 'refuses a delivery that is not what was signed',
      rule: 'PLUG-6',
      async run() {
        const second = await channelOf(subject, 'second');
        await each(async (raw, channel, name) => {
          const signed = webhook.sign(raw, channel);
          await refused({ ...signed, body: changed(raw.body) }, channel, `the sample "${name}" with another body`);
          await refused(webhook.sign(raw, second), channel, `the sample "${name}" signed with another channel's secret`);
          const added = Object.keys(signed.headers).filter((header) => signed.headers[header] !== raw.headers[header]);
          for (const header of added) {
            for (const value of ['', 'x', 'ß'.repeat(40), signed.headers[header]?.slice(0, -1) ?? '']) {
              await refused({ ...signed, headers: { ...signed.headers, [header]: value } }, channel, `the sample "${name}" with a broken ${header}`);
            }
          }
        });
      },
    },
    {
      name: 'checks the signature over the bytes as they came',
      rule: 'PLUG-4',
      run: () =>
        each(async (raw, channel, name) => {
          const spaced = respaced(raw.body);
          if (spaced === undefined) return;
          await taken(webhook.sign({ ...raw, body: spaced }, channel), channel, `the sample "${name}", written with other spaces and signed so`);
          await refused({ ...webhook.sign(raw, channel), body: spaced }, channel, `the sample "${name}", written anew after it was signed`);
        }),
    },
    {
      name: 'answers handshakes without a signature and stores none',
      rule: 'PLUG-4',
      async run() {
        const channel = await channelOf(subject);
        for (const { name, raw, answer } of webhook.handshakes) {
          const verdict = await valueOf(`verify of the handshake "${name}"`, async () => verify(raw(channel), await doorContext(subject, channel)));
          must(!verdict.store, `the handshake "${name}" is stored`, 'answer with store: false');
          const body = await verdict.answer.text();
          const right = verdict.answer.status === answer.status && body === answer.body;
          must(right, `the handshake "${name}" is answered ${verdict.answer.status} "${body.slice(0, 80)}"`, `answer ${answer.status} "${answer.body}"`);
        }
      },
    },
  ];
}

/** The last letter or digit is another one. */
function changed(body: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(body);
  const last = copy.findLastIndex((byte) => /[a-z0-9]/i.test(String.fromCharCode(byte)));
  if (last < 0) return Uint8Array.from([...body, 0x78]);
  copy[last] = copy[last] === 0x31 ? 0x32 : 0x31;
  return copy;
}

/** The same JSON in other bytes; undefined: it is none. */
function respaced(body: Uint8Array): Uint8Array | undefined {
  try {
    return new TextEncoder().encode(`${JSON.stringify(JSON.parse(new TextDecoder().decode(body)), null, 3)}\n`);
  } catch {
    return undefined;
  }
}
