/** What a quick reply says back where a visitor wants a person: on every message of a bot (CHAT-5). */
export const PERSON_CHOICE = 'talk-to-a-person';
/** Its label unless the chatflow names another. */
export const PERSON_LABEL = 'Talk to a person';

/** A channel's script where people answer; the greeting is a setting of the channel's. */
export interface LiveDefinition {
  /** Said once, at once, after the visitor's first message (FB-2). */
  readonly instantReply?: string;
}

/** A channel's script of steps. Plain JSON, the same after any number of edits: an editor keeps it by the steps' ids. */
export interface BotDefinition {
  /** The id of the step it begins with. */
  readonly start: string;
  /** What the quick reply that leads to a person is called. */
  readonly personLabel?: string;
  /** Minutes after which an unanswered question is given up. */
  readonly giveUpMinutes?: number;
  readonly steps: readonly Step[];
}

export type Step = SayStep | AskStep | BranchStep | CreateTicketStep | HandOffStep | EndStep;
export type StepType = Step['type'];

/** Says something and goes on; with quick replies it waits for what comes: one that is chosen leads to its own step, all else to `next`. */
export interface SayStep {
  readonly id: string;
  readonly type: 'say';
  readonly text: string;
  readonly quickReplies?: readonly { readonly label: string; readonly next: string }[];
  readonly next: string;
}

/** Asks, waits, and keeps a valid answer as a property of the contact or of the ticket. */
export interface AskStep {
  readonly id: string;
  readonly type: 'ask';
  readonly text: string;
  readonly of: 'contact' | 'ticket';
  /** Of the contact: `name`, `email`, `phone`. Of the ticket: `priority`, or `properties.<name>`. */
  readonly property: string;
  readonly answer: Answer;
  /** Said before the question is asked again. */
  readonly invalidText?: string;
  readonly next: string;
}

export type AnswerType = 'text' | 'email' | 'phone' | 'number' | 'choice';
export interface Answer {
  readonly type: AnswerType;
  /** For `choice` alone. */
  readonly choices?: readonly Choice[];
}
export interface Choice {
  readonly label: string;
  /** What is kept; the label unless given. */
  readonly value?: string;
}

/** Goes where the first case leads that holds. */
export interface BranchStep {
  readonly id: string;
  readonly type: 'branch';
  readonly cases: readonly Case[];
  readonly otherwise: string;
}

export type Operator = 'is' | 'is-not' | 'contains' | 'greater-than' | 'less-than' | 'known' | 'unknown';
export interface Case {
  /** The ask step whose answer is looked at. */
  readonly step: string;
  readonly operator: Operator;
  /** Not for `known` and `unknown`. A number for `greater-than` and `less-than`. */
  readonly value?: string | number;
  readonly next: string;
}

/** Makes the conversation's ticket where it has none: in an inbox. */
export interface CreateTicketStep {
  readonly id: string;
  readonly type: 'create-ticket';
  readonly next: string;
}

/** Leaves the conversation to people, by a rule of its own. */
export interface HandOffStep {
  readonly id: string;
  readonly type: 'hand-off';
  readonly text?: string;
  readonly rule: HandOffRule;
}

/** As a channel's routing rule is saved; whom it names is checked then (ROUTE-4). */
export interface HandOffRule {
  readonly kind: 'NOBODY' | 'SPECIFIC' | 'CONTACT_OWNER';
  readonly method?: string;
  readonly availableOnly?: boolean;
  readonly userIds?: readonly string[];
  readonly teamIds?: readonly string[];
  readonly defaultUserId?: string;
}

/** The script is over; with `close` so is the conversation. */
export interface EndStep {
  readonly id: string;
  readonly type: 'end';
  readonly text?: string;
  readonly close?: boolean;
}

/** One thing that is wrong with a definition. */
export interface DefinitionProblem {
  /** Where: `steps.3.next`. */
  readonly path: string;
  readonly message: string;
}

/** Every limit of a definition; docs/limits.md is held against it. */
export const CHATFLOW_LIMITS = {
  steps: 200,
  cases: 20,
  /** Quick replies or choices of one step, where the plugin names no lower number. */
  choices: 20,
  /** Characters of a label or a kept value, where the plugin names no lower number. */
  label: 100,
  /** Characters of a text, where the plugin names no lower number. */
  text: 5_000,
  /** Characters of an answer that are kept. */
  answer: 1_000,
  /** 30 days. */
  giveUpMinutes: 43_200,
  /** How often a question is asked again before its visitor is led to a person. */
  askedAgain: 3,
  /** Messages of one run before its visitor is led to a person: two machines would talk to each other for ever. */
  spoken: 100,
} as const;

/** A day. */
export const GIVE_UP_MINUTES = 1_440;

/** Where every step may go next; that of a waiting step only after the visitor has written. */
export function nextOf(step: Step): readonly string[] {
  switch (step.type) {
    case 'say':
      return [...(step.quickReplies ?? []).map((one) => one.next), step.next];
    case 'ask':
    case 'create-ticket':
      return [step.next];
    case 'branch':
      return [...step.cases.map((one) => one.next), step.otherwise];
    case 'hand-off':
    case 'end':
      return [];
  }
}

/** Whether it waits for the visitor. */
export function waits(step: Step): boolean {
  return step.type === 'ask' || (step.type === 'say' && (step.quickReplies?.length ?? 0) > 0);
}

/** Where the wish for a person leads: the first hand-off in the order of the list; none: the conversation is left unassigned (CHAT-5). */
export function firstHandOff({ steps }: Pick<BotDefinition, 'steps'>): HandOffStep | undefined {
  return steps.find((step) => step.type === 'hand-off');
}
