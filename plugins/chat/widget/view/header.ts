import type { Chat } from '../chat.ts';
import { TEXTS } from '../texts.ts';
import { avatar } from './avatar.ts';
import { element, icon, ICONS, set, setText } from './element.ts';
import type { Part } from './launcher.ts';

/** Whom the visitor writes to, whether somebody is there, and what else can be done. `say` shows a line of answer. */
export function header(chat: Chat, close: () => void, say: (text: string) => void): Part {
  const { name, avatarUrl } = chat.config();
  const status = element('p', { class: 'status' });
  const mail = element('button', { class: 'tool', type: 'button', 'aria-label': TEXTS.transcript, title: TEXTS.transcript }, icon(ICONS.mail));
  const shut = element('button', { class: 'tool', type: 'button', 'aria-label': TEXTS.close, title: TEXTS.close }, icon(ICONS.close));
  shut.addEventListener('click', close);
  let asking = false;
  mail.addEventListener('click', () => {
    if (asking) return;
    asking = true;
    void chat.transcript().then((answer) => {
      asking = false;
      say(ANSWERS[answer]);
    });
  });
  const title = element('h2', { id: 'title' }, name);
  return {
    element: element('header', {}, avatar(name, avatarUrl), element('div', { class: 'who' }, title, status), mail, shut),
    render() {
      const config = chat.config();
      set(mail, { hidden: !config.transcript || !chat.rows().some(({ kind }) => kind === 'day') });
      const offline = chat.connection() === 'offline';
      const here = chat.available() && !offline;
      set(status, { 'data-here': here });
      setText(status, offline ? TEXTS.noNetwork : here ? TEXTS.online : config.enabled ? TEXTS.away : TEXTS.closedNow);
    },
  };
}

const ANSWERS = {
  queued: TEXTS.transcriptQueued,
  'no-address': TEXTS.emailFirst,
  'no-conversation': TEXTS.transcriptNothing,
  'too-many': TEXTS.transcriptTooMany,
  failed: TEXTS.transcriptFailed,
} as const;
