import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import chat from '@trunkline/plugin-chat';
import form from '@trunkline/plugin-form';
import { globalId } from '#api/builder.ts';
import { apiClient } from '../demo/graphql.ts';
import type { Stack } from '../servers/stack.ts';
import { sendUntilTaken } from './customer-mail.ts';
import type { Moving, Thread } from './kept-rows.ts';
import { pick } from './random.ts';

/** What the world outside and the agents were told is taken: a mark in the text of each. */
export interface Acknowledged {
  readonly mails: Set<string>;
  readonly forms: Set<string>;
  readonly chats: Set<string>;
  readonly replies: Set<string>;
}

export interface LiveLoad {
  readonly acknowledged: Acknowledged;
  /** Lets everybody bring what they are at to its end: what is not acknowledged is tried again until it is. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly channels: Readonly<Partial<Record<Moving['kind'], Moving>>>;
  /** Old mail threads that are answered meanwhile, and old open conversations that agents reply in. */
  readonly threads: readonly Thread[];
  readonly open: readonly string[];
  readonly random: () => number;
}

/** Few, and each at a person's pace: the machine has the move, its servers and what kills them to carry besides. */
const MAILERS = 2;
const FORM_FILLERS = 1;
const VISITORS = 1;
const TRIES = 600;
const AGAIN_MS = 250;

/** Customers who mail, fill in forms and chat, and an agent who replies, each as in life: what was not acknowledged is sent again, the same. */
export function startLiveLoad(stack: Stack, { channels, threads, open, random }: LoadOptions): LiveLoad {
  const acknowledged: Acknowledged = { mails: new Set(), forms: new Set(), chats: new Set(), replies: new Set() };
  const agent = apiClient(stack.addresses.graphql, stack.token ?? '');
  let stopped = false;
  const markOf = (): string => `mark-${randomUUID()}`;
  const formPage = `${stack.addresses.web}/pages/${form.key}/${channels.forms?.channelKey}`;
  const chatPage = `${stack.addresses.web}/pages/${chat.key}/${channels.chats?.channelKey}`;
  const during = async (pause: readonly [number, number], work: () => Promise<void>): Promise<void> => {
    while (!stopped) {
      await work();
      await sleep(pause[0] + random() * pause[1]);
    }
  };

  async function mail(): Promise<void> {
    const mark = markOf();
    const thread = random() < 0.6 && threads.length > 0 ? pick(random, threads) : undefined;
    const address = thread?.address ?? `newcomer-${mark}@home.example`;
    const to = channels.mails?.address ?? '';
    const written = { from: { name: 'A customer', address }, to, subject: `About ${mark}`, text: `This is ${mark}`, messageId: `<${mark}@home.example>` };
    await sendUntilTaken(stack.addresses.smtp, { ...written, answers: thread?.key });
    acknowledged.mails.add(mark);
  }

  async function fillIn(): Promise<void> {
    const mark = markOf();
    const body = { email: `filler-${mark}@home.example`, name: `About ${mark}`, description: `This is ${mark}` };
    await post(`${formPage}/submissions`, body, { 'idempotency-key': mark }, address(random));
    acknowledged.forms.add(mark);
  }

  /** A visitor of one to three messages. */
  async function visit(): Promise<void> {
    const from = address(random);
    const { token } = (await post(`${chatPage}/visitor`, {}, {}, from)) as { readonly token: string };
    for (let more = 1 + Math.floor(random() * 3); more > 0 && !stopped; more -= 1) {
      const mark = markOf();
      await post(`${chatPage}/messages`, { id: mark.slice('mark-'.length), text: `This is ${mark}` }, { authorization: `Bearer ${token}` }, from);
      acknowledged.chats.add(mark);
      await sleep(200 + random() * 800);
    }
  }

  async function reply(): Promise<void> {
    if (open.length === 0) return;
    const mark = markOf();
    const input = { conversationId: globalId('Conversation', pick(random, open)), text: `This is ${mark}`, idempotencyKey: mark };
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      try {
        await agent.do('reply', '... on Message { id }', input);
        acknowledged.replies.add(mark);
        return;
      } catch (error) {
        // One that can not be answered just now is no loss: nothing was promised.
        if (error instanceof Error && error.message.includes('refused')) return;
        await sleep(AGAIN_MS);
      }
    }
  }

  const times = (count: number, work: () => Promise<void>): readonly Promise<void>[] => Array.from({ length: count }, work);
  const everybody = [
    ...times(MAILERS, () => during([800, 800], mail)),
    ...times(FORM_FILLERS, () => during([1_200, 1_200], fillIn)),
    ...times(VISITORS, () => during([500, 1_500], visit)),
    during([1_500, 1_500], reply),
  ];
  // Where somebody gives up it is told by `stop`, and not as a rejection that nobody handles.
  for (const one of everybody) one.catch(() => undefined);
  return {
    acknowledged,
    async stop() {
      stopped = true;
      await Promise.all(everybody);
    },
  };
}

/** Posts until it is taken; throws where it is refused as wrong. Each comes from an address of its own, as customers do, so that no limit of one address is met. */
async function post(url: string, body: object, headers: Readonly<Record<string, string>>, from: string): Promise<unknown> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': from, ...headers },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text);
      if (response.status < 500 && response.status !== 429) throw new TypeError(`refused with ${response.status}: ${text.slice(0, 200)}`);
    } catch (error) {
      if (error instanceof TypeError && error.message.startsWith('refused')) throw error;
    }
    await sleep(AGAIN_MS);
  }
  throw new Error(`what was posted was not taken in ${TRIES} tries`);
}

function address(random: () => number): string {
  const byte = (): number => 1 + Math.floor(random() * 250);
  return `10.${byte()}.${byte()}.${byte()}`;
}
