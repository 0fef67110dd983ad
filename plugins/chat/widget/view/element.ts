type Attributes = Readonly<Record<string, string | boolean | null>>;

/** Makes an element. Texts become text, never markup; an attribute that is false or null is left out, `true` is empty. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  set(made, attributes);
  made.append(...children);
  return made;
}

/** Sets or removes attributes; what is as it should be is not touched, so nothing is read aloud again. */
export function set(target: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) target.removeAttribute(name);
    else if (target.getAttribute(name) !== (value === true ? '' : value)) target.setAttribute(name, value === true ? '' : value);
  }
}

export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

const SVG = 'http://www.w3.org/2000/svg';

/** A drawing of 24 by 24 in the colour of the text around it; it says nothing to a screen reader. */
export function icon(path: string, filled = false): SVGElement {
  const drawing = document.createElementNS(SVG, 'svg');
  set(drawing, { viewBox: '0 0 24 24', 'aria-hidden': 'true', fill: filled ? 'currentColor' : 'none' });
  const line = document.createElementNS(SVG, 'path');
  set(line, { d: path });
  drawing.append(line);
  return drawing;
}

export const ICONS = {
  chat: 'M12 3.5c-5 0-9 3.4-9 7.7 0 2.5 1.4 4.7 3.5 6.1L6 21l4-2.3c.6.1 1.3.2 2 .2 5 0 9-3.4 9-7.7s-4-7.7-9-7.7Z',
  close: 'M6 6l12 12M18 6 6 18',
  down: 'M6 9.5l6 6 6-6',
  send: 'M12 19V5M5.5 11.5 12 5l6.5 6.5',
  mail: 'M4 6h16v12H4zM4 7l8 6 8-6',
} as const;
