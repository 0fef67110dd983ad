import type { Chat } from '../chat.ts';
import { TEXTS } from '../texts.ts';
import { element, set, setText } from './element.ts';
import type { Part } from './launcher.ts';

export interface EmailField extends Part {
  /** What goes with a message; `stop`: the visitor is asked first. */
  answer(): { readonly email?: string } | 'stop';
}

const ADDRESS = /^[^\s@<>(),;:"]+@[^\s@<>(),;:"]+\.[^\s@<>(),;:"]{2,}$/;
const MAX_LENGTH = 254;

/** Asks for the address an answer can go to when nobody is there, or for another in its place. Nobody has to give one: asked once, a message goes out without. */
export function emailField(chat: Chat, send: () => void): EmailField {
  const message = element('p', { class: 'away', dir: 'auto' });
  const input = element('input', { id: 'email', type: 'email', autocomplete: 'email', 'aria-describedby': 'email-why', maxlength: String(MAX_LENGTH) });
  const why = element('p', { id: 'email-why', class: 'why' }, TEXTS.emailWhy);
  const wrong = element('p', { id: 'email-wrong', class: 'wrong', role: 'alert' });
  const without = element('button', { class: 'link', type: 'button', hidden: true }, TEXTS.withoutEmail);
  const field = element('div', { class: 'field' }, element('label', { for: 'email' }, TEXTS.email), input, why, wrong, without);
  const change = element('button', { class: 'link', type: 'button' }, TEXTS.emailChange);
  const given = element('p', { class: 'given' }, element('span', {}, TEXTS.emailGiven), change);
  const card = element('div', { class: 'card' }, message, field, given);
  let skipped = false;
  let missing = false;

  function complain(text: string): void {
    setText(wrong, text);
    set(input, { 'aria-invalid': text === '' ? null : 'true', 'aria-describedby': text === '' ? 'email-why' : 'email-wrong' });
    set(why, { hidden: text !== '' });
    missing = text === TEXTS.emailMissing;
    offerWithout();
    if (text !== '') input.focus();
  }

  function offerWithout(): void {
    const changes = chat.email() === 'changed';
    set(without, { hidden: !missing && !changes });
    setText(without, changes ? TEXTS.emailKeep : TEXTS.withoutEmail);
  }

  input.addEventListener('input', () => complain(''));
  change.addEventListener('click', () => {
    input.value = '';
    chat.changeEmail(true);
    render();
    input.focus();
  });
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing) return;
    // Sending moves the focus: the key would be a new line there.
    event.preventDefault();
    send();
  });
  without.addEventListener('click', () => {
    complain('');
    if (chat.email() === 'changed') {
      chat.changeEmail(false);
      render();
      change.focus();
    } else {
      skipped = true;
      send();
    }
  });

  function render(): void {
    const config = chat.config();
    const here = chat.available();
    const said = here ? null : config.enabled ? config.awayMessage : config.closedMessage;
    const email = chat.email();
    const asks = email === 'wanted' || email === 'changed';
    setText(message, said ?? '');
    set(message, { hidden: said === null });
    setText(why, email === 'changed' ? TEXTS.emailChanging : TEXTS.emailWhy);
    offerWithout();
    set(field, { hidden: !asks });
    set(given, { hidden: email !== 'given' });
    set(card, { hidden: said === null && email === 'not-asked', 'data-plain': said === null && email === 'given' });
  }

  return {
    element: card,
    render,
    answer() {
      const email = input.value.trim();
      const asked = chat.email();
      // Who changes it has given one, and is not kept from writing by an empty field.
      if (asked === 'changed' ? email === '' : asked !== 'wanted' || (email === '' && skipped)) return {};
      if (email !== '' && ADDRESS.test(email)) return { email };
      complain(email === '' ? TEXTS.emailMissing : TEXTS.emailWrong);
      return 'stop';
    },
  };
}
