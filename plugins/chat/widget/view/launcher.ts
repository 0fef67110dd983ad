import type { Chat } from '../chat.ts';
import { TEXTS } from '../texts.ts';
import { element, icon, ICONS, set, setText } from './element.ts';

export interface Part {
  readonly element: HTMLElement;
  render(): void;
}

/** The round button in the corner, with how many messages are unread. */
export function launcher(chat: Chat, press: () => void): Part {
  const badge = element('span', { class: 'badge', 'aria-hidden': 'true', hidden: true });
  const button = element('button', { class: 'launcher', type: 'button', 'aria-controls': 'panel' }, icon(ICONS.chat), icon(ICONS.down), badge);
  button.addEventListener('click', press);
  return {
    element: button,
    render() {
      const [open, unread] = [chat.isOpen(), chat.unread()];
      const label = open ? TEXTS.close : unread > 0 ? `${TEXTS.open}, ${TEXTS.unread(unread)}` : TEXTS.open;
      set(button, { 'aria-expanded': String(open), 'aria-label': label });
      set(badge, { hidden: open || unread === 0 });
      setText(badge, unread > 99 ? '99+' : String(unread));
    },
  };
}
