import fc from 'fast-check';
import { expect, test } from 'vitest';
import { paceMessage } from '#domain/send-pace.ts';

interface Sent {
  readonly id: number;
  readonly at: number;
}

/** Everybody comes when told, and so much later as `late` says; what leaves, and how often each asked. */
function run(messages: number, perSecond: number, late: (turn: number) => number): { readonly sent: readonly Sent[]; readonly asked: number } {
  let [pacedAt, lineAt, asked] = [0, 0, 0];
  const sent: Sent[] = [];
  const due = Array.from({ length: messages }, (_, id) => ({ id, at: 1_000 + late(id), slotAt: null as number | null }));
  while (due.length > 0) {
    due.sort((a, b) => a.at - b.at);
    const next = due.shift();
    if (next === undefined) break;
    asked += 1;
    const decision = paceMessage({ accountPerSecond: perSecond }, { now: next.at, pacedAt, lineAt, slotAt: next.slotAt, recipientAt: null });
    lineAt = decision.lineAt;
    if (decision.kind === 'go') {
      pacedAt = decision.pacedAt;
      sent.push({ id: next.id, at: next.at });
    } else due.push({ id: next.id, at: Math.max(decision.until, next.at + 1) + late(asked), slotAt: decision.slotAt });
    if (asked > messages * 200) throw new Error('it never ends');
  }
  return { sent, asked };
}

test('no window of a second ever has more than the rate, whenever they come, and all of them leave [CH-5]', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 80 }),
      fc.integer({ min: 1, max: 120 }),
      fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1 }),
      (rate, count, lates) => {
        const { sent } = run(count, rate, (turn) => lates[turn % lates.length] ?? 0);
        expect(sent).toHaveLength(count);
        for (const [index, one] of sent.entries()) {
          const later = sent[index + rate];
          if (later !== undefined) expect(later.at - one.at).toBeGreaterThan(1_000);
        }
      },
    ),
  );
});

test('of many that wait each asks a few times, and not all of them all the time', () => {
  const { sent, asked } = run(500, 50, (turn) => turn % 7);
  expect(sent).toHaveLength(500);
  expect(asked).toBeLessThan(500 * 4);
});

test('what was held up is not made up for: a minute that nobody could send in is gone', () => {
  const { sent } = run(200, 10, (turn) => (turn >= 200 && turn < 400 ? 60_000 : 0));
  for (const [index, one] of sent.entries()) {
    const later = sent[index + 10];
    if (later !== undefined) expect(later.at - one.at).toBeGreaterThan(1_000);
  }
});

test('one recipient is written to no oftener than its provider allows, whatever the account may [CH-5]', () => {
  const rate = { accountPerSecond: 80, recipientSeconds: 6 };
  const at = { now: 100_000, pacedAt: 0, lineAt: 0, slotAt: null };
  expect(paceMessage(rate, { ...at, recipientAt: null }).kind).toBe('go');
  expect(paceMessage(rate, { ...at, recipientAt: 94_000 })).toMatchObject({ kind: 'wait', why: 'RECIPIENT_RATE', until: 100_250, lineAt: 0 });
  expect(paceMessage(rate, { ...at, recipientAt: 93_000 }).kind).toBe('go');
  expect(paceMessage({}, { ...at, recipientAt: 99_999 }).kind).toBe('go');
});

test('no rate holds a channel up for longer than about an hour, and a slower one that was mended counts no more [PLUG-3]', () => {
  const at = { now: 1_000, pacedAt: 0, lineAt: 0, slotAt: null, recipientAt: null };
  for (const accountPerSecond of [0, Number.MIN_VALUE, 1e-9]) {
    const { pacedAt, lineAt } = { pacedAt: 0, ...paceMessage({ accountPerSecond }, at) };
    expect([pacedAt, lineAt]).toEqual([1_000 + 4_000_000, 1_000 + 4_000_000]);
  }
  expect(paceMessage({ accountPerSecond: 10 }, { ...at, pacedAt: 4_001_000, slotAt: 900 })).toMatchObject({ kind: 'wait', until: 1_000 + 1_000 / 9 });
});
