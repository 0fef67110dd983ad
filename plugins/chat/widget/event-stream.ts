export interface ServerEvent {
  readonly type: string;
  /** Null: the event has none of its own. */
  readonly id: string | null;
  readonly data: string;
}

/**
 * Reads server-sent events out of text that comes in any pieces. The browser's own `EventSource` can send no `authorization` header, so the
 * widget reads the stream itself.
 */
export function eventReader(take: (event: ServerEvent) => void): (chunk: string) => void {
  let rest = '';
  let type = '';
  let id: string | null = null;
  let data: string[] = [];
  // A CR at the end of a piece may be half of a line's end.
  let halfEnd = false;

  function line(text: string): void {
    if (text === '') {
      if (type !== '' || data.length > 0) take({ type: type === '' ? 'message' : type, id, data: data.join('\n') });
      type = '';
      id = null;
      data = [];
      return;
    }
    const colon = text.indexOf(':');
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') type = value;
    else if (field === 'data') data.push(value);
    else if (field === 'id' && !value.includes('\0')) id = value;
  }

  return (chunk) => {
    if (chunk === '') return;
    rest += halfEnd && chunk.startsWith('\n') ? chunk.slice(1) : chunk;
    halfEnd = chunk.endsWith('\r');
    const lines = rest.split(/\r\n|\r|\n/);
    rest = lines.pop() ?? '';
    for (const one of lines) line(one);
  };
}
