import EmailReplyParser from 'email-reply-parser';

const LONGEST = 400;

/** Whether a line announces a quote in any language: it ends with a colon and has a date and a name or an address, or a time. */
export function isAttribution(text: string): boolean {
  const line = text.replace(/\s+/g, ' ').trim();
  if (line.length > LONGEST || !endsLikeAttribution(line)) return false;
  return /\d/.test(line) && (/\S@\S/.test(line) || /\b\d{4}\b|\d{1,2}[:.]\d{2}/.test(line.slice(0, -1)));
}

/** It ends with a colon, or it stands between dashes. */
export function endsLikeAttribution(line: string): boolean {
  return line.length <= LONGEST && (/[:：]\s*$/.test(line.slice(-20)) || /^\s*-{2,5}\s.{10,}\s-{2,5}\s*$/.test(line));
}

/** Whether the library knows it as the line that mail programs write above a quote. Asked a line at a time: on a whole mail it joins and drops lines, and its time grows with the square of their number. */
export function isKnownAttribution(text: string): boolean {
  const line = text.replace(/\s+/g, ' ').trim();
  if (line === '' || line.length > LONGEST) return false;
  return new EmailReplyParser()
    .read(`new\n\n${line}\n\nold`)
    .getFragments()
    .some((fragment) => fragment.isQuoted());
}
