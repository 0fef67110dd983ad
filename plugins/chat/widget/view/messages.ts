import type { Chat } from '../chat.ts';
import type { MessageRow, Row } from '../conversation.ts';
import { pieces } from '../links.ts';
import { TEXTS } from '../texts.ts';
import { avatar } from './avatar.ts';
import { element, set, setText } from './element.ts';
import type { Part } from './launcher.ts';

/** How near to its end a list counts as read to the end. */
const NEAR_PX = 80;

/** The list of what was said. Rows keep their elements, so that nothing flickers or is read aloud twice. `edit`: the text goes back to where it is written; `done`: the focus must go somewhere else. */
export function messages(chat: Chat, edit: (text: string) => void, done: () => void): Part {
  const list = element('div', { class: 'list' });
  const writes = element('div', { class: 'dots', 'aria-hidden': 'true' }, element('i'), element('i'), element('i'));
  const log = element('div', { class: 'log', role: 'log', tabindex: '0', 'aria-label': TEXTS.messages }, list, writes);
  const newer = tool(TEXTS.newer, () => {
    log.scrollTop = log.scrollHeight;
    done();
  });
  newer.className = 'newer';
  const known = new Map<string, Shown>();
  newer.hidden = true;
  let atEnd = true;
  log.addEventListener('scroll', () => {
    atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
    if (atEnd) newer.hidden = true;
  });
  // The panel got smaller (a telephone's keyboard) or was opened.
  new ResizeObserver(() => {
    if (atEnd) log.scrollTop = log.scrollHeight;
  }).observe(log);

  return {
    element: element('div', { class: 'middle' }, log, newer),
    render() {
      // What was said before is not read aloud as if it came now.
      set(log, { 'aria-live': chat.settled() ? 'polite' : 'off' });
      const rows = chat.rows();
      const wanted = new Set(rows.map(({ key }) => key));
      for (const [key, { element: gone }] of known) {
        if (wanted.has(key)) continue;
        gone.remove();
        known.delete(key);
      }
      for (const [at, row] of rows.entries()) {
        let shown = known.get(row.key);
        if (shown === undefined) {
          shown = row.kind === 'message' ? message(chat, row, edit, done) : line(row);
          known.set(row.key, shown);
          if (row.kind === 'message' && row.mine) atEnd = true;
          else if (!atEnd) newer.hidden = false;
        }
        shown.update(row);
        const there = list.children[at] ?? null;
        if (there !== shown.element) list.insertBefore(shown.element, there);
      }
      set(writes, { hidden: chat.typing() === null });
      if (atEnd) log.scrollTop = log.scrollHeight;
    },
  };
}

interface Shown {
  readonly element: HTMLElement;
  update(row: Row): void;
}

function line(row: Exclude<Row, MessageRow>): Shown {
  const text = row.kind === 'day' ? day(row.at) : row.text;
  return { element: element('p', { class: row.kind }, text), update: () => undefined };
}

function message(chat: Chat, { key, mine, author, text, at }: MessageRow, edit: (text: string) => void, done: () => void): Shown {
  const name = mine ? TEXTS.you : TEXTS.us(author);
  const bubble = element('div', { class: 'bubble', dir: 'auto' }, element('span', { class: 'unseen' }, `${name} ${TEXTS.says} `), ...linked(text));
  const who = element('p', { class: 'author', 'aria-hidden': 'true' }, author ?? '');
  const time = element('time', at === null ? {} : { datetime: at }, at === null ? '' : clock(at));
  const state = element('span', { class: 'state' });
  const tools = element(
    'span',
    { class: 'tools' },
    tool(TEXTS.edit, () => (chat.drop(key), edit(text))),
    tool(TEXTS.remove, () => (chat.drop(key), done())),
  );
  const foot = element('p', { class: 'foot' }, time, state, tools);
  const config = chat.config();
  const picture = mine ? [] : [avatar(author ?? config.name, author === null ? config.avatarUrl : null)];
  const row = element('div', { class: `row ${mine ? 'mine' : 'theirs'}` }, ...picture, element('div', { class: 'said' }, who, bubble, foot));
  return {
    element: row,
    update(now) {
      if (now.kind !== 'message') return;
      const refused = now.state === 'refused';
      set(row, { 'data-first': now.first, 'data-last': now.last, 'data-state': now.state });
      set(who, { hidden: !now.first || author === null });
      set(time, { hidden: refused });
      set(tools, { hidden: !refused });
      set(foot, { hidden: !refused && (!now.last || at === null) });
      setText(state, refused ? `${TEXTS.notSent} ${now.problem ?? ''}` : now.state === 'waiting' ? TEXTS.sending : '');
      set(state, { role: refused ? 'alert' : null });
    },
  };
}

function tool(label: string, press: () => void): HTMLElement {
  const button = element('button', { class: 'link', type: 'button' }, label);
  button.addEventListener('click', press);
  return button;
}

function linked(text: string): readonly (Node | string)[] {
  return pieces(text).map((piece) =>
    piece.href === undefined ? piece.text : element('a', { href: piece.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, piece.text),
  );
}

function clock(at: string): string {
  return new Date(at).toLocaleTimeString([], { hour: 'numeric', minute: '2-digit' });
}

function day(at: string): string {
  const date = new Date(at);
  const days = [0, 1].map((before) => new Date(Date.now() - before * 86_400_000).toDateString());
  const named = [TEXTS.today, TEXTS.yesterday][days.indexOf(date.toDateString())];
  return named ?? date.toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long' });
}
