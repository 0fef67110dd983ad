import { element } from './element.ts';

/** A picture in a circle; its initials where there is none, or where the page's rules let none be loaded. */
export function avatar(name: string, url: string | null): HTMLElement {
  const circle = element('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(name));
  if (url === null) return circle;
  const picture = element('img', { alt: '', referrerpolicy: 'no-referrer' });
  picture.addEventListener('load', () => circle.replaceChildren(picture));
  picture.src = url;
  return circle;
}

function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const [first, last] = [words[0] ?? name, words.length > 1 ? (words.at(-1) ?? '') : ''];
  return [first, last]
    .map((word) => String.fromCodePoint(word.codePointAt(0) ?? 32))
    .join('')
    .toUpperCase();
}
