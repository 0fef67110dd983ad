/** Text a database and JSON can hold: no NUL, no half surrogate, no control characters but line ends and tabs; CRLF becomes LF. */
export function cleanText(text: string): string {
  // Mail without any of these is the rule, and a test is cheaper than three copies.
  if (!/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text) && text.isWellFormed()) return text;
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '')
    .toWellFormed();
}

/** One line of it, at most `longest` characters. Also what keeps a name from adding a header to a mail of ours. */
export function cleanLine(text: string, longest: number): string {
  return cleanText(text.length > longest * 4 ? text.slice(0, longest * 4) : text)
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, longest)
    .toWellFormed();
}
