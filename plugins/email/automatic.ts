/** What the detection looks at; header names in lower case. */
export interface Signs {
  header(name: string): string | undefined;
  /** The envelope's sender was empty: nobody wants an answer. */
  readonly nullSender: boolean;
}

/**
 * Whether a machine wrote it (EMAIL-6), by what the sender says of itself, never by its words.
 * `Precedence: list` is left aside on purpose: Google Groups puts it on every mail it forwards, a customer's too.
 */
export function automaticKind(signs: Signs): 'auto-reply' | 'bounce' | undefined {
  const type = signs.header('content-type')?.toLowerCase() ?? '';
  if (type.includes('multipart/report')) {
    // A read receipt is a report as well, and says that the mail did arrive.
    return type.includes('disposition-notification') ? 'auto-reply' : 'bounce';
  }
  const submitted = word(signs.header('auto-submitted'));
  if (submitted !== '' && submitted !== 'no') return 'auto-reply';
  if (['x-autoreply', 'x-autorespond', 'x-autoresponder'].some((name) => !['', 'no'].includes(word(signs.header(name))))) return 'auto-reply';
  if (['bulk', 'junk', 'auto_reply', 'auto-reply'].includes(word(signs.header('precedence')))) return 'auto-reply';
  const suppress = (signs.header('x-auto-response-suppress') ?? '').toLowerCase().split(',');
  if (suppress.some((part) => part.trim() === 'all')) return 'auto-reply';
  if (signs.nullSender || signs.header('return-path')?.trim() === '<>') return 'bounce';
  return undefined;
}

/** The value without its parameters and comments. */
function word(value: string | undefined): string {
  return (value ?? '').split(/[;(]/, 1).join('').trim().toLowerCase();
}
