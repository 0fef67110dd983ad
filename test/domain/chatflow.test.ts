import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHATFLOW_LIMITS, nextOf, PERSON_CHOICE, waits, type BotDefinition, type Step } from '#domain/chatflow.ts';
import { holds, readAnswer } from '#domain/chatflow-answers.ts';
import { checkBot, checkLive } from '#domain/chatflow-definition.ts';
import { offered, writtenOut } from '#domain/chatflow-replies.ts';
import { advance, advanceLive, type RunState } from '#domain/chatflow-run.ts';
import type { Showing } from '#domain/chatflow-shape.ts';

const SHOWING: Showing = { maxTextLength: 500, quickReplies: { maxCount: 4, maxLength: 30 } };

const say = (id: string, next: string, text = 'words'): Step => ({ id, type: 'say', text, next });
const ask = (id: string, next: string, more: Partial<Extract<Step, { type: 'ask' }>> = {}): Step => ({
  id,
  type: 'ask',
  text: 'what?',
  of: 'ticket',
  property: 'properties.topic',
  answer: { type: 'text' },
  next,
  ...more,
});
const end: Step = { id: 'end', type: 'end' };
const people: Step = { id: 'people', type: 'hand-off', rule: { kind: 'NOBODY' } };
const bot = (steps: readonly Step[], start = steps[0]?.id ?? ''): BotDefinition => ({ start, steps });
const problems = (value: unknown, showing = SHOWING) => {
  const checked = checkBot(value, showing);
  return 'problems' in checked ? checked.problems.map(({ path, message }) => `${path}: ${message}`) : [];
};

describe('a definition', () => {
  it('is taken as it is, and comes back as it was given [CHAT-5]', () => {
    const given = {
      start: 'hello',
      personLabel: 'A human, please',
      giveUpMinutes: 60,
      steps: [
        { id: 'hello', type: 'say', text: 'Hello', quickReplies: [{ label: 'Order', next: 'email' }], next: 'email' },
        {
          id: 'email',
          type: 'ask',
          text: 'Your address?',
          of: 'contact',
          property: 'email',
          answer: { type: 'email' },
          invalidText: 'That is none.',
          next: 'size',
        },
        { id: 'size', type: 'ask', text: 'How many?', of: 'ticket', property: 'properties.size', answer: { type: 'number' }, next: 'way' },
        { id: 'way', type: 'branch', cases: [{ step: 'size', operator: 'greater-than', value: 10, next: 'ticket' }], otherwise: 'bye' },
        { id: 'ticket', type: 'create-ticket', next: 'people' },
        { id: 'people', type: 'hand-off', text: 'One moment', rule: { kind: 'SPECIFIC', method: 'LEAST_BUSY', userIds: ['a'], teamIds: [] } },
        { id: 'bye', type: 'end', text: 'Bye', close: true },
      ],
    };
    const copy: unknown = JSON.parse(JSON.stringify(given));
    const checked = checkBot(copy, SHOWING);
    expect(checked).toEqual({ definition: given });
    expect(JSON.stringify(checked)).toBe(JSON.stringify({ definition: given }));
  });

  it.each<[string, unknown, string]>([
    ['no object', 'a script', ': must be an object'],
    ['no steps', { start: 'a', steps: [] }, 'steps: needs at least 1'],
    ['an unknown field', { ...bot([end]), colour: 'red' }, 'colour: is no field of this'],
    ['an unknown field of a step', bot([{ ...end, colour: 'red' } as Step]), 'steps.0.colour: is no field of this'],
    ['an unknown type', { start: 'a', steps: [{ id: 'a', type: 'dance' }] }, 'steps.0.type: is one of say, ask'],
    ['an inherited name as a type', { start: 'a', steps: [{ id: 'a', type: 'constructor' }] }, 'steps.0.type: is one of say, ask'],
    ['a missing field', { start: 'a', steps: [{ id: 'a', type: 'say', text: 'x' }] }, 'steps.0.next: is missing'],
    ['an id that could not stand in a history', bot([{ ...end, id: 'Ada Lovelace' }]), 'steps.0.id: is an id'],
    ['an id twice', bot([say('a', 'end'), say('a', 'end'), end]), 'steps.1.id: a is the id of a step before it'],
    ['a missing start', { start: 'nowhere', steps: [end] }, 'start: there is no step nowhere'],
    ['a missing target', bot([say('a', 'nowhere'), end]), 'steps.0.next: there is no step nowhere'],
    [
      'a missing target of a branch',
      bot([ask('a', 'b'), { id: 'b', type: 'branch', cases: [{ step: 'a', operator: 'known', next: 'x' }], otherwise: 'end' }, end]),
      'steps.1.cases.0.next: there is no step x',
    ],
    ['a step nobody comes to', bot([say('a', 'end'), end, say('lost', 'end')]), 'steps.2: no step leads to lost'],
    ['a loop', bot([say('a', 'b'), say('b', 'c'), say('c', 'b'), end]), 'steps.1: goes round for ever without a question: b → c → b'],
    ['a step that leads to itself', bot([say('a', 'a')]), 'steps.0: goes round for ever without a question: a → a'],
    [
      'a branch on what asks nothing',
      bot([say('a', 'b'), { id: 'b', type: 'branch', cases: [{ step: 'a', operator: 'known', next: 'end' }], otherwise: 'end' }, end]),
      'steps.1.cases.0.step: a asks nothing',
    ],
    [
      'a branch before its question',
      bot([{ id: 'b', type: 'branch', cases: [{ step: 'a', operator: 'known', next: 'end' }], otherwise: 'a' }, ask('a', 'end'), end]),
      'steps.0.cases.0.step: a can not have been answered by then: no way leads from it to b',
    ],
    [
      'a comparison of what is no number',
      bot([ask('a', 'b'), { id: 'b', type: 'branch', cases: [{ step: 'a', operator: 'less-than', value: 3, next: 'end' }], otherwise: 'end' }, end]),
      'steps.1.cases.0.operator: a does not ask for a number',
    ],
    [
      'a comparison with nothing',
      bot([ask('a', 'b'), { id: 'b', type: 'branch', cases: [{ step: 'a', operator: 'is', next: 'end' }], otherwise: 'end' }, end]),
      'steps.1.cases.0.value: is missing',
    ],
    ['a text that is too long', bot([say('a', 'end', 'x'.repeat(501)), end]), 'steps.0.text: is 501 characters long, at most 500'],
    ['an empty text', bot([say('a', 'end', '  '), end]), 'steps.0.text: must not be empty'],
    [
      'more choices than the channel shows beside the person',
      bot([ask('a', 'end', { answer: { type: 'choice', choices: [1, 2, 3, 4].map((one) => ({ label: `${one}` })) } }), end]),
      'steps.0.answer.choices: has 4, at most 3',
    ],
    [
      'a label that is too long',
      bot([ask('a', 'end', { answer: { type: 'choice', choices: [{ label: 'x'.repeat(31) }] } }), end]),
      'steps.0.answer.choices.0.label: is 31 characters long, at most 30',
    ],
    [
      'a choice without choices',
      bot([ask('a', 'end', { answer: { type: 'choice' } }), end]),
      'steps.0.answer.choices: an answer of the type choice needs choices',
    ],
    [
      'choices that look alike',
      bot([ask('a', 'end', { answer: { type: 'choice', choices: [{ label: 'Yes' }, { label: ' yes' }] } }), end]),
      'steps.0.answer.choices.1.label: is offered already',
    ],
    [
      'a choice that looks like the person',
      bot([ask('a', 'end', { answer: { type: 'choice', choices: [{ label: 'talk to a person' }] } }), end]),
      'steps.0.answer.choices.0.label: is offered already',
    ],
    [
      'a property contacts do not have',
      bot([ask('a', 'end', { of: 'contact', property: 'shoe size' }), end]),
      'steps.0.property: of a contact: name, email or phone',
    ],
    ['an address asked for as a text', bot([ask('a', 'end', { of: 'contact', property: 'email' }), end]), 'steps.0.answer.type: email is asked for as email'],
    [
      'a priority that is none',
      bot([ask('a', 'end', { property: 'priority', answer: { type: 'choice', choices: [{ label: 'Now', value: 'NOW' }] } }), end]),
      'steps.0.answer: the priority is a choice of the values LOW, MEDIUM, HIGH, URGENT',
    ],
    [
      'a property of a ticket that is none',
      bot([ask('a', 'end', { property: 'status' }), end]),
      'steps.0.property: of a ticket: priority, or properties.<name>',
    ],
    ['more than a month of waiting', { ...bot([end]), giveUpMinutes: 43_201 }, 'giveUpMinutes: a whole number from 1 to 43200'],
    ['characters that can not be kept', bot([say('a', 'end', 'a\0b'), end]), 'steps.0.text: holds characters that can not be kept'],
  ])('refuses %s and says where [CHAT-5]', (_what, definition, expected) => {
    const found = problems(definition);
    expect(found.filter((one) => one.startsWith(expected))).toHaveLength(1);
  });

  it('names everything that is wrong with its shape in one answer', () => {
    expect(problems({ start: 5, steps: [{ id: 'a', type: 'say', text: '', next: 'b', x: 1 }, 7] })).toHaveLength(4);
  });

  it('refuses more steps than may be, and takes as many as may be', () => {
    const row = (count: number) => bot([...Array.from({ length: count - 1 }, (_, at) => say(`s${at}`, at === count - 2 ? 'end' : `s${at + 1}`)), end]);
    expect(problems(row(CHATFLOW_LIMITS.steps))).toEqual([]);
    expect(problems(row(CHATFLOW_LIMITS.steps + 1))).toEqual([`steps: has ${CHATFLOW_LIMITS.steps + 1}, at most ${CHATFLOW_LIMITS.steps}`]);
  });

  it('reaches the first hand-off by the wish for a person, and no second one', () => {
    expect(problems(bot([say('a', 'end'), end, people]))).toEqual([]);
    expect(problems(bot([say('a', 'end'), end, people, { ...people, id: 'others' }]))).toEqual(['steps.3: no step leads to others']);
  });

  it('lets a menu go round: it waits', () => {
    expect(problems(bot([{ id: 'menu', type: 'say', text: 'Well?', quickReplies: [{ label: 'Bye', next: 'end' }], next: 'menu' }, end]))).toEqual([]);
  });

  it('has room for its choices where the channel writes them out as a list', () => {
    const asked = bot([ask('a', 'end', { text: 'x'.repeat(90), answer: { type: 'choice', choices: [{ label: 'Yes' }] } }), end]);
    const needed = writtenOut('x'.repeat(90), offered(asked, asked.steps[0] as Step)).length;
    expect(problems(asked, { maxTextLength: needed })).toEqual([]);
    expect(problems(asked, { maxTextLength: needed - 1 })).toEqual([
      `steps.0.text: is ${needed} characters long with what can be chosen, this channel takes ${needed - 1}`,
    ]);
  });

  it('of a live chatflow is an instant reply or nothing [FB-2]', () => {
    expect(checkLive({}, SHOWING)).toEqual({ definition: {} });
    expect(checkLive({ instantReply: 'Hello' }, SHOWING)).toEqual({ definition: { instantReply: 'Hello' } });
    expect(checkLive({ instantReply: '' }, SHOWING)).toHaveProperty('problems');
    expect(checkLive({ steps: [] }, SHOWING)).toEqual({ problems: [{ path: 'steps', message: 'is no field of this' }] });
  });

  it('never throws, whatever it is given', () => {
    fc.assert(fc.property(fc.anything(), (value) => void checkBot(value, SHOWING)));
    const near = fc.record({
      start: fc.constantFrom('a', 'b', 3),
      steps: fc.array(
        fc.dictionary(
          fc.constantFrom('id', 'type', 'text', 'next', 'cases', 'answer', 'rule'),
          fc.oneof(fc.constantFrom('a', 'b', 'say', 'ask', 'branch', 'end'), fc.anything()),
        ),
      ),
    });
    fc.assert(fc.property(near, (value) => void checkBot(value, SHOWING)));
  });
});

/** Any script of well-shaped steps; where they lead is anybody's guess. */
const scripts: fc.Arbitrary<BotDefinition> = fc.integer({ min: 1, max: 9 }).chain((count) => {
  const id = fc.integer({ min: 0, max: count - 1 }).map((at) => `s${at}`);
  const step = (own: string): fc.Arbitrary<Step> =>
    fc.oneof(
      fc.record({ id: fc.constant(own), type: fc.constant('say' as const), text: fc.constant('words'), next: id }),
      fc.record({
        id: fc.constant(own),
        type: fc.constant('say' as const),
        text: fc.constant('menu'),
        quickReplies: fc.tuple(fc.record({ label: fc.constant('One'), next: id }), fc.record({ label: fc.constant('Two'), next: id })),
        next: id,
      }),
      id.map((next) => ask(own, next)),
      id.map((next) => ask(own, next, { answer: { type: 'number' } })),
      fc.record({
        id: fc.constant(own),
        type: fc.constant('branch' as const),
        cases: fc.array(fc.record({ step: id, operator: fc.constantFrom('known' as const, 'unknown' as const), next: id }), { minLength: 1, maxLength: 3 }),
        otherwise: id,
      }),
      id.map((next): Step => ({ id: own, type: 'create-ticket', next })),
      fc.constant<Step>({ id: own, type: 'hand-off', rule: { kind: 'NOBODY' } }),
      fc.constant<Step>({ id: own, type: 'end' }),
    );
  return fc.tuple(...Array.from({ length: count }, (_, at) => step(`s${at}`))).map((steps) => ({ start: 's0', steps }));
});

/** What the rules say, asked in another way: by the closure of "leads to". */
function isSound({ start, steps }: BotDefinition): boolean {
  const ids = steps.map(({ id }) => id);
  const closure = (from: (step: Step) => readonly string[]) => {
    const leads = new Map(steps.map((step) => [step.id, new Set(from(step))]));
    for (const via of ids) for (const a of ids) if (leads.get(a)?.has(via) === true) for (const b of leads.get(via) ?? []) leads.get(a)?.add(b);
    return leads;
  };
  const any = closure(nextOf);
  const talking = closure((step) => (waits(step) ? [] : nextOf(step)));
  const handOff = steps.find(({ type }) => type === 'hand-off')?.id;
  const reached = ids.every((id) => id === start || id === handOff || any.get(start)?.has(id) === true);
  const ends = ids.every((id) => talking.get(id)?.has(id) !== true);
  const askedBefore = steps.every(
    (step) =>
      step.type !== 'branch' ||
      step.cases.every((one) => steps.some(({ id, type }) => id === one.step && type === 'ask') && any.get(one.step)?.has(step.id) === true),
  );
  return reached && ends && askedBefore;
}

const begin = (definition: BotDefinition): RunState => ({ state: 'RUNNING', step: definition.start, answers: {}, tries: 0 });

describe('running', () => {
  it('a definition is taken if and only if every step is reached, none talks for ever, and no branch asks for what nobody can have answered [CHAT-5]', () => {
    let sound = 0;
    fc.assert(
      fc.property(scripts, (definition) => {
        if (isSound(definition)) sound += 1;
        expect(problems(definition).length === 0).toBe(isSound(definition));
      }),
      { numRuns: 3_000 },
    );
    expect(sound).toBeGreaterThan(100);
  });

  it('whatever is taken comes to a question or an end within as many steps as it has, whatever the visitor says [CHAT-5]', () => {
    const said = fc.record({
      text: fc.constantFrom('hello', '5', '1', '2', '3', 'One', 'Talk to a person'),
      choice: fc.constantFrom(null, PERSON_CHOICE, 's0/0', 's1/1'),
    });
    fc.assert(
      fc.property(scripts.filter(isSound), fc.array(said, { maxLength: 30 }), (definition, words) => {
        let at = begin(definition);
        const settle = (): void => {
          for (let steps = 0; at.state === 'RUNNING'; steps += 1) {
            expect(steps).toBeLessThanOrEqual(definition.steps.length);
            at = advance(definition, at, { kind: 'go' }).state;
          }
        };
        settle();
        for (const one of words) {
          at = advance(definition, at, { kind: 'said', said: one }).state;
          settle();
        }
        expect(advance(definition, at, { kind: 'give-up' }).state.state).toBe(at.state === 'WAITING' ? 'ABANDONED' : at.state);
        if (at.state === 'WAITING') expect(waits(definition.steps.find(({ id }) => id === at.step) ?? end)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('every message of a bot offers a person, but the last one before people or a close [CHAT-5]', () => {
    fc.assert(
      fc.property(scripts.filter(isSound), (definition) => {
        for (const step of definition.steps) {
          for (const effect of advance(definition, { ...begin(definition), step: step.id }, { kind: 'go' }).effects) {
            if (effect.kind === 'say') expect(effect.quickReplies.at(-1)).toEqual({ label: 'Talk to a person', choice: PERSON_CHOICE });
          }
        }
      }),
    );
    expect(offered(bot([people]), people)).toEqual([]);
    expect(offered(bot([end]), { ...end, close: true })).toEqual([]);
  });

  it('an answer that is none is asked for again three times, then the visitor is led to a person [CHAT-5]', () => {
    const definition = bot([ask('email', 'end', { of: 'contact', property: 'email', answer: { type: 'email' }, invalidText: 'That is none.' }), end, people]);
    let at = advance(definition, begin(definition), { kind: 'go' }).state;
    for (let again = 1; again <= 3; again += 1) {
      const { state, effects } = advance(definition, at, { kind: 'said', said: { text: 'no', choice: null } });
      expect(state).toMatchObject({ state: 'WAITING', step: 'email', tries: again });
      expect(effects).toMatchObject([{ kind: 'say', text: 'That is none.\n\nwhat?' }]);
      at = state;
    }
    expect(advance(definition, at, { kind: 'said', said: { text: 'no', choice: null } }).state).toMatchObject({ state: 'RUNNING', step: 'people', tries: 0 });
    const right = advance(definition, at, { kind: 'said', said: { text: ' Ada@Acme.example ', choice: null } });
    expect(right.effects).toEqual([{ kind: 'set', of: 'contact', property: 'email', value: 'ada@acme.example' }]);
    expect(right.state).toMatchObject({ state: 'RUNNING', step: 'end', answers: { email: 'ada@acme.example' }, tries: 0 });
  });

  it('the wish for a person leads to the first hand-off, and without one it is left unassigned [CHAT-5]', () => {
    const wish = { kind: 'said', said: { text: 'TALK TO  a person', choice: null } } as const;
    const without = bot([ask('a', 'end'), end]);
    const waiting = advance(without, begin(without), { kind: 'go' }).state;
    expect(advance(without, waiting, wish)).toEqual({ state: { ...waiting, state: 'HANDED_OFF' }, effects: [{ kind: 'leave' }] });
    const two = bot([ask('a', 'others'), { ...people, id: 'others' }, people]);
    expect(advance(two, { ...waiting }, wish).state).toMatchObject({ state: 'RUNNING', step: 'others' });
    expect(advance(two, { ...waiting, state: 'HANDED_OFF' }, wish).effects).toEqual([]);
  });

  it('what was asked for the ticket is set once there is one', () => {
    const definition = bot([ask('constructor', 'ticket'), { id: 'ticket', type: 'create-ticket', next: 'end' }, end]);
    const at: RunState = { state: 'RUNNING', step: 'ticket', answers: { constructor: 'a topic' }, tries: 0 };
    expect(advance(definition, at, { kind: 'go' }).effects).toEqual([
      { kind: 'create-ticket' },
      { kind: 'set', of: 'ticket', property: 'properties.topic', value: 'a topic' },
    ]);
    expect(advance(definition, { ...at, answers: {} }, { kind: 'go' }).effects).toEqual([{ kind: 'create-ticket' }]);
  });

  it('a menu leads by what is chosen, by its label or its number, and by anything else that is said to the next step; another message’s button leads nowhere', () => {
    const menu: Step = {
      id: 'menu',
      type: 'say',
      text: 'Well?',
      quickReplies: [
        { label: 'Orders', next: 'orders' },
        { label: 'Bills', next: 'bills' },
      ],
      next: 'end',
    };
    const definition = bot([menu, say('orders', 'end'), say('bills', 'end'), end]);
    const waiting: RunState = { ...begin(definition), state: 'WAITING' };
    const to = (text: string, choice: string | null = null) => advance(definition, waiting, { kind: 'said', said: { text, choice } }).state.step;
    expect([to('', 'menu/1'), to('orders'), to('2'), to('something else'), to('x', 'other/1')]).toEqual(['bills', 'orders', 'bills', 'end', 'menu']);
    expect(advance(definition, waiting, { kind: 'said', said: { text: '3', choice: null } }).effects).toEqual([{ kind: 'leave' }]);
  });

  it('a live chatflow says its instant reply and nothing else [FB-2]', () => {
    const at: RunState = { state: 'RUNNING', step: null, answers: {}, tries: 0 };
    expect(advanceLive({ instantReply: 'Hello' }, at)).toEqual({
      state: { ...at, state: 'ENDED' },
      effects: [{ kind: 'say', text: 'Hello', quickReplies: [] }],
    });
  });
});

describe('an answer', () => {
  const read = (type: 'email' | 'phone' | 'number' | 'text', text: string) => readAnswer(ask('a', 'b', { answer: { type } }) as never, { text, choice: null });

  it.each([
    ['email', ' Ada.L+x@Acme.Example ', 'ada.l+x@acme.example'],
    ['email', 'ada@acme', undefined],
    ['email', 'write to ada@acme.example', undefined],
    ['phone', '+49 (30) 1234-567', '+49301234567'],
    ['phone', '0049 30 1234567', '+49301234567'],
    ['phone', '030 1234567', undefined],
    ['number', '12,5', 12.5],
    ['number', '-3', -3],
    ['number', '1e5', undefined],
    ['number', 'three', undefined],
    ['text', '  ', undefined],
    ['text', ' words ', 'words'],
  ] as const)('of the type %s: %j is %j [CHAT-5]', (type, text, expected) => {
    expect(read(type, text)).toBe(expected);
  });

  it('is a text of at most so many characters', () => {
    expect(read('text', 'x'.repeat(CHATFLOW_LIMITS.answer))).toHaveLength(1_000);
    expect(read('text', 'x'.repeat(CHATFLOW_LIMITS.answer + 1))).toBeUndefined();
  });

  it('of a choice is its value, by choice, label or number', () => {
    const step = ask('a', 'b', { answer: { type: 'choice', choices: [{ label: 'Sales', value: 'sales' }, { label: 'Support' }] } }) as Extract<
      Step,
      { type: 'ask' }
    >;
    const of = (text: string, choice: string | null = null) => readAnswer(step, { text, choice });
    expect([of('', 'a/0'), of('SUPPORT'), of('2'), of('3'), of('0'), of('', 'b/0')]).toEqual(['sales', 'Support', 'Support', undefined, undefined, undefined]);
  });

  it('is compared without regard to case, numbers as numbers', () => {
    const one = { step: 'a', next: 'x' } as const;
    expect(holds({ ...one, operator: 'is', value: 'YES' }, { a: 'yes' })).toBe(true);
    expect(holds({ ...one, operator: 'contains', value: 'Order' }, { a: 'my order is late' })).toBe(true);
    expect(holds({ ...one, operator: 'greater-than', value: 9 }, { a: 10 })).toBe(true);
    expect(holds({ ...one, operator: 'less-than', value: 9 }, { a: 10 })).toBe(false);
    expect(holds({ ...one, operator: 'is', value: '10.0' }, { a: 10 })).toBe(true);
    expect(holds({ ...one, operator: 'is-not', value: 'x' }, {})).toBe(true);
    expect(holds({ ...one, step: 'constructor', operator: 'known' }, {})).toBe(false);
    expect(holds({ ...one, operator: 'unknown' }, {})).toBe(true);
  });
});

describe('the example of the guide', () => {
  it('is taken as it stands there [CHAT-5]', () => {
    const guide = readFileSync(new URL('../../docs/guides/chatflows.md', import.meta.url), 'utf8');
    const example: unknown = JSON.parse(/```json\n(\{\n {2}"start"[\s\S]*?\n\})\n```/.exec(guide)?.[1] ?? '');
    expect(problems(example, { maxTextLength: 4_000, quickReplies: { maxCount: 10, maxLength: 80 } })).toEqual([]);
  });
});
