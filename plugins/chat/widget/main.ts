import { backoffMs } from './backoff.ts';
import { createChat, type Chat } from './chat.ts';
import { readableOn } from './contrast.ts';
import styles from './styles.css';
import { widget } from './view/panel.ts';

const TAG = 'trunkline-chat';
const TRIES = 6;
/** Keys meant for the chat are not the page's own shortcuts. */
const KEYS = ['keydown', 'keypress', 'keyup'] as const;

const script = document.currentScript;
if (script instanceof HTMLScriptElement) {
  const base = new URL('./', script.src).href;
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', () => begin(base));
  else begin(base);
}

/** Once a page, however often the tag stands in it. */
function begin(base: string): void {
  if ([...document.querySelectorAll(TAG)].some((one) => one.getAttribute('data-channel') === base)) return;
  const host = document.createElement(TAG);
  host.setAttribute('data-channel', base);
  // Not in the body: some sites exchange it as a whole when another page is opened.
  document.documentElement.append(host);
  void show(host, base, 0);
}

async function show(host: HTMLElement, base: string, attempt: number): Promise<void> {
  let paint = (): void => undefined;
  let chat: Chat | null;
  try {
    chat = await createChat(base, () => paint());
  } catch {
    if (attempt < TRIES) setTimeout(() => void show(host, base, attempt + 1), backoffMs(attempt + 2, Math.random()));
    return;
  }
  if (chat === null) return;
  paint = build(host, chat);
  paint();
  chat.start();
}

/** Everything lies in a shadow root, with style sheets made by script: a page's own styles do not reach in, and its content security policy need not allow any. */
function build(host: HTMLElement, chat: Chat): () => void {
  const root = host.attachShadow({ mode: 'open' });
  const sheet = new CSSStyleSheet();
  const { accent, position } = chat.config();
  sheet.replaceSync(`${styles}:host{--accent:${accent};--on-accent:${readableOn(accent)}}`);
  root.adoptedStyleSheets = [sheet];
  host.setAttribute('data-position', position);
  for (const key of KEYS) root.addEventListener(key, (event) => event.stopPropagation());
  const { elements, render } = widget(chat);
  // The texts are English, whatever the page is.
  for (const one of elements) one.lang = 'en';
  root.append(...elements);
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      render();
    });
  };
}
