import type { RawDelivery } from '../../index.ts';
import { channelOf, quietContext } from '../bench.ts';
import { doorContext } from '../connected.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { eventProblems } from '../event-problems.ts';
import { outcomeOf } from '../outcome.ts';

const FIVE_MB = 5 * 1024 * 1024;
/** As the engine gives it (PLUG-11). */
const PARSE_MILLIS = 5_000;

/** What nobody promised: no bytes, too many, any. */
export function anyBytesChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const limit = samples.parseMillis ?? PARSE_MILLIS;
  return [
    {
      name: 'answers any bytes with events or a typed failure, in time',
      rule: 'PLUG-10',
      async run() {
        const channel = await channelOf(subject);
        for (const sample of samples.deliveries) {
          const good = await sample.raw(0, channel);
          for (const [what, body] of bodies(good.body, plugin.capabilities.maxDeliveryBytes)) {
            const raw: RawDelivery = { ...good, body };
            const name = `"${sample.name}" with ${what}`;
            const outcome = await outcomeOf(`parse of ${name}`, () => plugin.parse(raw, quietContext(channel)), limit);
            const code = outcome.failure?.code;
            must(code === undefined || code === 'Malformed', `parse of ${name} fails as ${code ?? ''}`, 'what can not be read is Malformed');
            if (outcome.failure !== undefined) continue;
            const problems = eventProblems(outcome.value, plugin.capabilities);
            must(problems.length === 0, `${name}: ${problems.slice(0, 3).join('; ')}`, 'check what came before it becomes an event');
          }
        }
      },
    },
    {
      name: 'answers any bytes at the door with a verdict or a typed failure',
      rule: 'PLUG-10',
      async run() {
        const { verify } = plugin;
        const { webhook } = samples;
        if (verify === undefined || webhook === undefined) return;
        const channel = await channelOf(subject);
        const context = await doorContext(subject, channel);
        for (const sample of samples.deliveries) {
          const good = await sample.raw(0, channel);
          for (const [what, body] of bodies(good.body, plugin.capabilities.maxDeliveryBytes)) {
            for (const raw of [{ ...good, body }, webhook.sign({ ...good, body }, channel)]) {
              const name = `"${sample.name}" with ${what}${raw.headers === good.headers ? ', unsigned' : ''}`;
              const outcome = await outcomeOf(`verify of ${name}`, () => verify(raw, context), limit);
              const code = outcome.failure?.code;
              must(
                code === undefined || code === 'Malformed' || code === 'Unauthentic',
                `verify of ${name} fails as ${code ?? ''}`,
                'throw Unauthentic or Malformed',
              );
            }
          }
        }
      },
    },
  ];
}

/** Bytes no provider sends, and a word for each; the same at every run. */
function* bodies(good: Uint8Array, most: number): Generator<readonly [string, Uint8Array]> {
  const encoder = new TextEncoder();
  const large = Math.min(FIVE_MB, most);
  yield ['no bytes', new Uint8Array()];
  yield [`${large} letters`, new Uint8Array(large).fill(0x61)];
  yield [`${large} brackets`, new Uint8Array(large).fill(0x5b)];
  yield [`${large} line ends`, new Uint8Array(large).fill(0x0a)];
  for (const text of ['null', '0', '""', '[]', '{}', '[null]', '{"__proto__":null}', '\u0000', '{"events":{}}']) yield [text, encoder.encode(text)];
  const random = randomBytes();
  for (let index = 0; index < 40; index += 1) yield [`random bytes, ${index}`, Uint8Array.from({ length: 1 + index * 13 }, random)];
  for (let index = 0; index < 20; index += 1) yield [`its end cut off, ${index}`, good.slice(0, Math.floor((good.length * index) / 20))];
  for (let index = 0; index < 60; index += 1) {
    const copy = Uint8Array.from(good);
    for (let change = 0; change <= index % 4; change += 1) copy[(random() * 256 + random()) % Math.max(1, copy.length)] = random();
    yield [`changed bytes, ${index}`, copy];
  }
}

/** Numbers of 0 to 255 without a visible order, the same at every run. */
function randomBytes(): () => number {
  let state = 42;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  };
}
