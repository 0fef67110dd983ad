/** A stretch of time in which a zone's clocks differ from UTC by the same amount. */
export interface OffsetSpan {
  /** Milliseconds since 1970, from this instant on. */
  readonly from: number;
  /** Until just before this instant. */
  readonly to: number;
  /** Milliseconds to add to UTC for what the clock on the wall shows. */
  readonly offset: number;
}

const DAY_MS = 24 * 3_600_000;

/**
 * The spans of equal offset that cover `[from, to)`, in order. Where clocks are put forward or back one span ends and the next begins at that very instant. Throws
 * `RangeError` for a zone that does not exist.
 */
export function offsetSpans(timeZone: string, from: number, to: number): readonly OffsetSpan[] {
  const spans: OffsetSpan[] = [];
  for (let year = yearOf(from); year <= yearOf(to); year += 1) {
    for (const span of spansOfYear(timeZone, year)) {
      const cut = { from: Math.max(span.from, from), to: Math.min(span.to, to), offset: span.offset };
      if (cut.from < cut.to) spans.push(cut);
    }
  }
  return spans;
}

/** Whether there is an IANA time zone of this name. */
export function isTimeZone(name: string): boolean {
  // Intl takes '+02:00' too; what has no name has no summer time.
  if (!/^[a-z]/i.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function yearOf(at: number): number {
  return new Date(at).getUTCFullYear();
}

const years = new Map<string, readonly OffsetSpan[]>();
/** There are about 600 names; upper and lower case make no difference to Intl, but they would here. */
const KEPT = 2_000;

/** Looked for once a zone and year: asking Intl for an offset costs microseconds, and a working week needs hundreds. */
function spansOfYear(timeZone: string, year: number): readonly OffsetSpan[] {
  const key = `${year} ${timeZone}`;
  const known = years.get(key);
  if (known !== undefined) return known;
  const begin = Date.UTC(year, 0, 1);
  const end = Date.UTC(year + 1, 0, 1);
  const spans: OffsetSpan[] = [];
  let from = begin;
  let offset = offsetAt(timeZone, begin);
  // No zone has changed its clocks twice within a day.
  for (let at = begin; at < end; at += DAY_MS) {
    const next = Math.min(at + DAY_MS, end);
    const then = offsetAt(timeZone, next);
    if (then === offset) continue;
    const change = changeBetween(timeZone, at, next, offset);
    spans.push({ from, to: change, offset });
    from = change;
    offset = then;
  }
  if (from < end) spans.push({ from, to: end, offset });
  if (years.size >= KEPT) years.clear();
  years.set(key, spans);
  return spans;
}

/** The first instant with another offset than `before`, to the second: no zone changes within one. */
function changeBetween(timeZone: string, from: number, to: number, before: number): number {
  let low = from / 1000;
  let high = to / 1000;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(timeZone, middle * 1000) === before) low = middle;
    else high = middle;
  }
  return high * 1000;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function offsetAt(timeZone: string, at: number): number {
  const parts = new Map(
    clockOf(timeZone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second')) - Math.floor(at / 1000) * 1000;
}

/** Making one takes far longer than asking it. */
function clockOf(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
    timeZone,
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    hourCycle: 'h23',
  });
  if (clocks.size >= KEPT) clocks.clear();
  clocks.set(timeZone, made);
  return made;
}
