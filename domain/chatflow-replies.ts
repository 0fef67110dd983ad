import { PERSON_CHOICE, PERSON_LABEL, type BotDefinition, type Step } from './chatflow.ts';

/** A choice under a message. */
export interface QuickReply {
  readonly label: string;
  /** What comes back where it is chosen. */
  readonly choice: string;
}

/** What a visitor wrote, or chose. */
export interface Said {
  readonly text: string;
  readonly choice: string | null;
}

/** What can be chosen under a step's message: its own choices, then a person (CHAT-5). After a hand-off, or once it is closed, there is no choice left. */
export function offered(definition: BotDefinition, step: Step): readonly QuickReply[] {
  if (step.type === 'hand-off' || (step.type === 'end' && step.close === true)) return [];
  return [...ownReplies(step), { label: definition.personLabel ?? PERSON_LABEL, choice: PERSON_CHOICE }];
}

/** The choice is named by step and place, so that an old message's is not taken for this one's. */
function ownReplies(step: Step): readonly QuickReply[] {
  const list = step.type === 'say' ? (step.quickReplies ?? []) : step.type === 'ask' ? (step.answer.choices ?? []) : [];
  return list.map(({ label }, index) => ({ label, choice: `${step.id}/${index}` }));
}

/** Which of a step's own choices was meant, by choice, by its label or by its number in the list; undefined: none. */
export function chosen(step: Step, said: Said): number | undefined {
  const replies = ownReplies(step);
  if (said.choice !== null) {
    const index = replies.findIndex(({ choice }) => choice === said.choice);
    if (index >= 0) return index;
  }
  const key = labelKey(said.text);
  const named = replies.findIndex(({ label }) => labelKey(label) === key);
  if (named >= 0) return named;
  const number = /^\d{1,3}$/.test(key) ? Number(key) : 0;
  return number >= 1 && number <= replies.length ? number - 1 : undefined;
}

/** Whether a choice of another message was pressed: it says nothing to what is asked now. */
export function isOfAnotherMessage(step: Step, { choice }: Said): boolean {
  return choice !== null && choice !== PERSON_CHOICE && !ownReplies(step).some((reply) => reply.choice === choice);
}

/** Whether they want a person: by choice, by the label, or by its number where the step offers a numbered list. */
export function wantsPerson(definition: BotDefinition, step: Step | undefined, said: Said): boolean {
  if (said.choice === PERSON_CHOICE || labelKey(said.text) === labelKey(definition.personLabel ?? PERSON_LABEL)) return true;
  const own = step === undefined ? 0 : ownReplies(step).length;
  return own > 0 && labelKey(said.text) === String(own + 1);
}

/** How labels are compared: nobody sees the difference in case or space. */
export function labelKey(label: string): string {
  return label.trim().replaceAll(/\s+/g, ' ').toLowerCase();
}

/** A text with its choices as a list, for channels that can not show them: numbered where there is more than one. */
export function writtenOut(text: string, replies: readonly QuickReply[]): string {
  if (replies.length === 0) return text;
  const lines = replies.map(({ label }, index) => (replies.length === 1 ? `– ${label}` : `${index + 1}. ${label}`));
  return `${text}\n\n${lines.join('\n')}`;
}
