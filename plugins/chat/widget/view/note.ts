import type { Chat } from '../chat.ts';
import { TEXTS } from '../texts.ts';
import { element, set, setText } from './element.ts';
import type { Part } from './launcher.ts';

/** A connection that is made in that time is nobody's concern. */
const PATIENCE_MS = 3_000;
const SHOWN_MS = 8_000;

export interface Note extends Part {
  /** Shows an answer to something the visitor did, for a while. */
  say(text: string): void;
}

/** One line about what is in the way; nothing when nothing is. */
export function note(chat: Chat): Note {
  const text = element('span');
  const aloud = element('span', { class: 'unseen', role: 'status' });
  // The seconds change each second; aloud it is said once.
  const line = element('p', { class: 'note', 'aria-hidden': 'true', hidden: true }, text);
  const box = element('div', {}, line, aloud);
  let answer = '';
  let since: number | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function render(): void {
    clearTimeout(timer);
    const connection = chat.connection();
    since = connection === 'connecting' ? (since ?? Date.now()) : null;
    const hold = chat.hold();
    const seconds = hold === null ? 0 : Math.max(1, Math.ceil((hold.until - Date.now()) / 1000));
    const slow = since !== null && Date.now() - since >= PATIENCE_MS;
    const held = hold === null || hold.why === 'offline' ? '' : TEXTS[hold.why](seconds);
    const said = connection === 'offline' ? TEXTS.offline : held !== '' ? held : slow ? TEXTS.connecting : answer;
    set(line, { hidden: said === '' });
    setText(text, said);
    setText(aloud, said.replace(/ in \d+ s/, ''));
    if (hold !== null || since !== null) timer = setTimeout(render, 1_000);
  }

  return {
    element: box,
    render,
    say(what) {
      answer = what;
      render();
      setTimeout(() => {
        if (answer === what) answer = '';
        render();
      }, SHOWN_MS);
    },
  };
}
