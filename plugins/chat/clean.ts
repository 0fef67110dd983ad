/** Text a database and JSON can hold: no NUL, no half surrogate, no control characters but line ends and tabs; CRLF becomes LF. */
export function cleanText(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '')
    .toWellFormed()
    .trim();
}

/** One line of it, at most `longest` characters. */
export function cleanLine(text: string, longest: number): string {
  return cleanText(text.slice(0, longest * 4))
    .replace(/\s+/g, ' ')
    .slice(0, longest)
    .toWellFormed();
}
