import { CHATFLOW_LIMITS, type AnswerType, type AskStep, type Case } from './chatflow.ts';
import { chosen, type Said } from './chatflow-replies.ts';

/** An answer as it is kept. */
export type AnswerValue = string | number;
export type Answers = Readonly<Record<string, AnswerValue>>;

/** The answer in its canonical form (an address in lower case, a number of a telephone in E.164); undefined: it is none. */
export function readAnswer(step: AskStep, said: Said): AnswerValue | undefined {
  if (step.answer.type !== 'choice') return READ[step.answer.type](said.text.trim());
  const choice = step.answer.choices?.[chosen(step, said) ?? -1];
  return choice === undefined ? undefined : (choice.value ?? choice.label);
}

const READ: Readonly<Record<Exclude<AnswerType, 'choice'>, (text: string) => AnswerValue | undefined>> = {
  text: (text) => (text === '' || text.length > CHATFLOW_LIMITS.answer ? undefined : text),
  email: (text) => {
    const address = text.replace(/^<(.*)>$/, '$1').toLowerCase();
    return address.length <= 254 && EMAIL.test(address) ? address : undefined;
  },
  phone: (text) => {
    const number = text.replaceAll(/[\s().\-/]/g, '').replace(/^00/, '+');
    return /^\+[1-9]\d{6,14}$/.test(number) ? number : undefined;
  },
  number: (text) => {
    const number = text.replace(',', '.');
    return /^[+-]?\d{1,15}(\.\d{1,10})?$/.test(number) ? Number(number) : undefined;
  },
};

const EMAIL = /^[^\s@<>,;:"()[\]\\]{1,64}@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/;

/** Whether a case of a branch holds; texts are compared without regard to case. */
export function holds({ step, operator, value }: Case, answers: Answers): boolean {
  const answer = Object.hasOwn(answers, step) ? answers[step] : undefined;
  if (operator === 'known') return answer !== undefined;
  if (operator === 'unknown') return answer === undefined;
  if (operator === 'is-not') return answer === undefined || !same(answer, value);
  if (answer === undefined) return false;
  switch (operator) {
    case 'is':
      return same(answer, value);
    case 'contains':
      return lower(answer).includes(lower(value ?? ''));
    case 'greater-than':
      return Number(answer) > Number(value);
    case 'less-than':
      return Number(answer) < Number(value);
  }
}

function same(answer: AnswerValue, value: AnswerValue | undefined): boolean {
  return typeof answer === 'number' ? answer === Number(value) : lower(answer) === lower(value ?? '');
}

function lower(value: AnswerValue): string {
  return String(value).trim().toLowerCase();
}
