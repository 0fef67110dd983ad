import type { Chat } from '../chat.ts';
import { TEXTS } from '../texts.ts';
import { element, set } from './element.ts';
import type { Part } from './launcher.ts';

/** Answers that a press gives. They are gone once one was given; `done` takes the focus from the one that went. */
export function replies(chat: Chat, done: () => void): Part {
  const group = element('div', { class: 'replies', role: 'group', 'aria-label': TEXTS.answers });
  let shown = '';
  return {
    element: group,
    render() {
      const offered = chat.replies();
      set(group, { hidden: offered.length === 0 });
      const key = JSON.stringify(offered);
      if (key === shown) return;
      shown = key;
      group.replaceChildren(
        ...offered.map(({ label, choice }) => {
          const button = element('button', { class: 'reply', type: 'button', dir: 'auto' }, label);
          button.addEventListener('click', () => {
            chat.say({ text: label, choice });
            done();
          });
          return button;
        }),
      );
    },
  };
}
