import type { Chat } from '../chat.ts';
import { MAX_TEXT } from '../protocol.ts';
import { TEXTS } from '../texts.ts';
import { element, icon, ICONS, set, setText } from './element.ts';
import type { EmailField } from './email.ts';
import type { Part } from './launcher.ts';

export interface Composer extends Part {
  focus(): void;
  /** Puts a text back to be changed, unless something else is being written. */
  edit(text: string): void;
  /** As if the button were pressed. */
  submit(): void;
}

/** From here on it is said how much is left. */
const NEARLY_FULL = 200;
const HIGHEST_PX = 140;

/** Where the visitor writes: Enter sends, with Shift it is a new line. */
export function composer(chat: Chat, email: EmailField): Composer {
  const box = element('textarea', {
    id: 'message',
    rows: '1',
    dir: 'auto',
    placeholder: TEXTS.placeholder,
    'aria-label': TEXTS.message,
    'aria-describedby': 'room',
    enterkeyhint: 'send',
  });
  const room = element('p', { id: 'room', class: 'room', 'aria-live': 'polite' });
  const button = element('button', { class: 'send', type: 'submit', 'aria-label': TEXTS.send, title: TEXTS.send }, icon(ICONS.send));
  const form = element('form', { class: 'composer', novalidate: true }, element('div', { class: 'write' }, box, button), room);
  box.value = chat.draft();

  function fit(): void {
    box.style.height = 'auto';
    if (box.scrollHeight > 0) box.style.height = `${Math.min(HIGHEST_PX, box.scrollHeight)}px`;
  }

  function render(): void {
    const length = box.value.trim().length;
    const left = MAX_TEXT - length;
    set(button, { 'aria-disabled': length === 0 || left < 0 ? 'true' : null });
    set(box, { 'aria-invalid': left < 0 ? 'true' : null });
    setText(room, left < 0 ? TEXTS.tooLong(-left) : left < NEARLY_FULL ? TEXTS.left(left) : '');
  }

  function write(text: string): void {
    box.value = text;
    chat.draft(text);
    fit();
    render();
  }

  function submit(): void {
    const text = box.value.trim();
    if (text === '' || text.length > MAX_TEXT) return box.focus();
    const answer = email.answer();
    if (answer === 'stop') return;
    chat.say({ text, ...answer });
    write('');
    box.focus();
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  box.addEventListener('input', () => {
    chat.draft(box.value);
    if (box.value.trim() !== '') chat.writes();
    fit();
    render();
  });
  box.addEventListener('keydown', (event) => {
    // While a character is composed (Japanese, Chinese) Enter belongs to that.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  // It has no height while the panel is shut.
  new ResizeObserver(fit).observe(form);

  return {
    element: form,
    render,
    focus: () => box.focus(),
    edit(text) {
      if (box.value.trim() === '') write(text);
      box.focus();
    },
    submit,
  };
}
