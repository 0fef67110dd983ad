import type { Chat } from '../chat.ts';
import { TEXTS } from '../texts.ts';
import { composer } from './composer.ts';
import { element, set, setText } from './element.ts';
import { emailField } from './email.ts';
import { header } from './header.ts';
import { launcher, type Part } from './launcher.ts';
import { messages } from './messages.ts';
import { note } from './note.ts';
import { replies } from './replies.ts';

/** The whole widget inside its shadow root: the button and the panel, which is a dialog beside the page and not over it. */
export function widget(chat: Chat): { readonly elements: readonly HTMLElement[]; render(): void } {
  const notes = note(chat);
  const email = emailField(chat, () => write.submit());
  const write = composer(chat, email);
  const head = header(chat, close, notes.say);
  const said = messages(chat, write.edit, focusInside);
  const offered = replies(chat, focusInside);
  const typing = element('p', { class: 'unseen', role: 'status' });
  const foot = element('div', { class: 'below' }, notes.element, offered.element, email.element, write.element);
  const panel = element(
    'section',
    { class: 'panel', id: 'panel', role: 'dialog', 'aria-modal': 'false', 'aria-labelledby': 'title', tabindex: '-1', hidden: true },
    head.element,
    said.element,
    typing,
    foot,
  );
  const button = launcher(chat, () => (chat.isOpen() ? close() : open()));
  const aloud = element('p', { class: 'unseen', role: 'status' });
  // The list last: where it is scrolled to depends on the room the others leave.
  const parts: readonly Part[] = [notes, head, offered, email, write, said, button];
  let unread = 0;

  function open(): void {
    chat.open();
    render();
    focusInside();
  }

  function close(): void {
    chat.close();
    render();
    button.element.focus();
  }

  /** On a touch screen the text field's focus would bring up the keyboard over what is there to read. */
  function focusInside(): void {
    if (matchMedia('(pointer: coarse)').matches) panel.focus();
    else write.focus();
  }

  for (const place of [panel, button.element]) {
    place.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || event.isComposing || !chat.isOpen()) return;
      event.preventDefault();
      close();
    });
  }
  fitAboveKeyboard(panel);

  function render(): void {
    const shown = chat.isOpen();
    set(panel, { hidden: !shown });
    for (const part of parts) part.render();
    setText(typing, chat.typing() === null ? '' : TEXTS.typing(chat.typing() ?? ''));
    const now = chat.unread();
    setText(aloud, shown || !chat.settled() || now === 0 ? '' : now > unread ? TEXTS.news(chat.lastAuthor()) : (aloud.textContent ?? ''));
    unread = now;
  }

  return { elements: [panel, button.element, aloud], render };
}

/** A telephone's keyboard lies over the page without making it smaller. */
function fitAboveKeyboard(panel: HTMLElement): void {
  const view = window.visualViewport;
  if (view === null) return;
  const fit = (): void => {
    panel.style.setProperty('--seen', `${Math.round(view.height)}px`);
    panel.style.setProperty('--above', `${Math.round(view.offsetTop)}px`);
  };
  view.addEventListener('resize', fit);
  view.addEventListener('scroll', fit);
  fit();
}
