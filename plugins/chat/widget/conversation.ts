import type { VisibleMessage } from '@trunkline/channel-sdk';
import type { Outgoing } from './outbox.ts';
import type { News } from './protocol.ts';
import { TEXTS } from './texts.ts';

export type QuickReply = VisibleMessage['quickReplies'][number];

/** One line of what is shown, in order. `key` stays the same from writing to the server's own copy. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: string }
  | { readonly kind: 'notice'; readonly key: string; readonly text: string }
  | MessageRow;

export interface MessageRow {
  readonly kind: 'message';
  readonly key: string;
  readonly mine: boolean;
  readonly author: string | null;
  readonly text: string;
  /** ISO 8601; null: the greeting, which nobody sent. */
  readonly at: string | null;
  /** Null: it has arrived. */
  readonly state: Outgoing['state'] | null;
  readonly problem: string | null;
  /** Of what one side said in a row. */
  readonly first: boolean;
  readonly last: boolean;
}

export interface Conversation {
  /** False: it was known already, or changes nothing that is shown. */
  take(news: News): boolean;
  /** What has arrived from us, oldest first. */
  ours(): readonly VisibleMessage[];
  rows(greeting: string | null, outgoing: readonly Outgoing[]): readonly Row[];
  /** What may be answered by a press: none once something was said after them. */
  replies(outgoing: readonly Outgoing[]): readonly QuickReply[];
}

type Entry = { readonly message: VisibleMessage } | { readonly notice: string };

/** What was said. A message is known by its id, however often the stream brings it. */
export function createConversation(): Conversation {
  const entries: Entry[] = [];
  const ids = new Set<string>();
  const mine = new Set<string>();
  let joined: string | null = null;

  const unconfirmed = (outgoing: readonly Outgoing[]): readonly Outgoing[] => outgoing.filter(({ id }) => !mine.has(id));

  return {
    take(news) {
      switch (news.type) {
        case 'message': {
          const { id, from, providerMessageId } = news.message;
          if (ids.has(id)) return false;
          ids.add(id);
          if (from === 'visitor' && providerMessageId !== null) mine.add(providerMessageId);
          entries.push({ message: news.message });
          return true;
        }
        case 'joined':
          // Told again to a page that connects again.
          if (joined === news.author) return false;
          joined = news.author;
          entries.push({ notice: TEXTS.joined(news.author) });
          return true;
        case 'closed':
          joined = null;
          if (lastNotice(entries) === TEXTS.closed) return false;
          entries.push({ notice: TEXTS.closed });
          return true;
        default:
          return false;
      }
    },
    ours: () => entries.flatMap((entry) => ('message' in entry && entry.message.from === 'us' ? [entry.message] : [])),
    rows(greeting, outgoing) {
      const rows: Row[] = greeting === null ? [] : [said({ key: 'greeting', text: greeting })];
      for (const [at, entry] of entries.entries()) {
        if ('notice' in entry) rows.push({ kind: 'notice', key: `notice-${at}`, text: entry.notice });
        else pushDated(rows, arrived(entry.message));
      }
      for (const item of unconfirmed(outgoing)) {
        const { id, text, at, state, problem } = item;
        pushDated(rows, said({ key: id, mine: true, text, at, state, problem: problem ?? null }));
      }
      return grouped(rows);
    },
    replies(outgoing) {
      if (unconfirmed(outgoing).some(({ state }) => state !== 'refused')) return [];
      const last = entries.findLast((entry) => 'message' in entry);
      return last !== undefined && 'message' in last && last.message.from === 'us' ? last.message.quickReplies : [];
    },
  };
}

function lastNotice(entries: readonly Entry[]): string | null {
  const last = entries.at(-1);
  return last !== undefined && 'notice' in last ? last.notice : null;
}

function arrived({ id, from, providerMessageId, author, text, at }: VisibleMessage): MessageRow {
  const mine = from === 'visitor';
  return said({ key: mine ? (providerMessageId ?? id) : id, mine, author, text, at });
}

function said(row: Partial<MessageRow> & Pick<MessageRow, 'key' | 'text'>): MessageRow {
  return { kind: 'message', mine: false, author: null, at: null, state: null, problem: null, first: true, last: true, ...row };
}

/** A day is said before its first message. */
function pushDated(rows: Row[], row: MessageRow): void {
  const before = rows.findLast((one) => one.kind === 'message' && one.at !== null);
  const day = dayOf(row.at);
  if (row.at !== null && (before?.kind !== 'message' || dayOf(before.at) !== day)) rows.push({ kind: 'day', key: `day-${day}-${row.key}`, at: row.at });
  rows.push(row);
}

function dayOf(at: string | null): string {
  return at === null ? '' : new Date(at).toDateString();
}

function grouped(rows: readonly Row[]): readonly Row[] {
  const together = (one: Row | undefined, other: Row | undefined): boolean =>
    one?.kind === 'message' && other?.kind === 'message' && one.mine === other.mine && one.author === other.author;
  return rows.map((row, at) => (row.kind === 'message' ? { ...row, first: !together(rows[at - 1], row), last: !together(row, rows[at + 1]) } : row));
}
