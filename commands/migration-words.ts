import type { MigrationHistory } from '#db/schema.ts';

/** One thing that can not be taken back. */
export interface Irreversible {
  readonly code: 'NOT_STOPPED' | 'STAYS_IN_HELP_DESK' | 'HISTORY_ASKED_ONCE' | 'HELP_DESK_ACCESS' | 'TICKETS_MADE' | 'ADDRESS_BEGINS_ANEW';
  /** For people. */
  readonly text: string;
}

const NOT_STOPPED: Irreversible = { code: 'NOT_STOPPED', text: 'Once it has started it can not be stopped, paused or undone.' };
const HELP_DESK_ACCESS: Irreversible = {
  code: 'HELP_DESK_ACCESS',
  text: 'Who sees what is moved is decided by the help desk’s access list from then on, not by that of the inbox.',
};
const ADDRESS_BEGINS_ANEW: Irreversible = {
  code: 'ADDRESS_BEGINS_ANEW',
  text: 'Disconnected and connected to an inbox again, its address is a new channel and takes no conversation along.',
};

/** What nobody can take back once a move has started, by whether the conversations go along (MIG-4, MIG-9, MIG-14, MIG-15). */
export const WHAT_STAYS: Readonly<Record<MigrationHistory, readonly Irreversible[]>> = {
  ALL: [
    NOT_STOPPED,
    { code: 'STAYS_IN_HELP_DESK', text: 'The channel and its conversations never return to an inbox.' },
    { code: 'TICKETS_MADE', text: 'Every moved conversation has a ticket afterwards; those that are made stay.' },
    HELP_DESK_ACCESS,
    ADDRESS_BEGINS_ANEW,
  ],
  NONE: [
    NOT_STOPPED,
    { code: 'STAYS_IN_HELP_DESK', text: 'The channel never returns to an inbox.' },
    { code: 'HISTORY_ASKED_ONCE', text: 'The conversations that stay in the inbox can not be moved later.' },
    HELP_DESK_ACCESS,
    ADDRESS_BEGINS_ANEW,
  ],
};
