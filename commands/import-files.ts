import { parse } from 'csv-parse';
import type { ImportProblem, ImportRecord } from '#domain/ticket-import.ts';

/** A piece of the file, from a line's first byte on. */
export interface FileSlice {
  readonly bytes: Buffer;
  /** Where it stands in the file. */
  readonly from: number;
  /** Lines before it. */
  readonly line: number;
  /** Nothing comes after it. */
  readonly last: boolean;
}

/** A line that ends in the slice; `record` null: it can not be read, and `problems` say why. */
export interface SliceLine {
  readonly line: number;
  readonly record: ImportRecord | null;
  readonly problems: readonly ImportProblem[];
}

export interface ReadSlice {
  readonly lines: readonly SliceLine[];
  /** The byte of the file after the last line that was read, and the lines up to there. */
  readonly end: number;
  readonly line: number;
  /** Why nothing after this can be read. */
  readonly failure: string | null;
}

const LINE_FEED = 10;
/** Characters of one row of a table. */
const LONGEST_ROW = 2_000_000;

/** One JSON object a line; blank lines are passed over. */
export function readNdjsonLines({ bytes, from, line: before, last }: FileSlice, limit: number): ReadSlice {
  const lines: SliceLine[] = [];
  let start = from === 0 && bytes.subarray(0, 3).equals(BOM) ? 3 : 0;
  let end = 0;
  let line = before;
  while (lines.length < limit && start < bytes.length) {
    const feed = bytes.indexOf(LINE_FEED, start);
    if (feed === -1 && !last) break;
    const stop = feed === -1 ? bytes.length : feed;
    line += 1;
    const text = bytes.subarray(start, stop).toString('utf8').trim();
    if (text !== '') lines.push({ line, ...readObject(text) });
    start = feed === -1 ? bytes.length : feed + 1;
    end = start;
  }
  return { lines, end: from + end, line, failure: null };
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

function readObject(text: string): Pick<SliceLine, 'record' | 'problems'> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { record: value as ImportRecord, problems: [] };
    return unreadable('is no JSON object');
  } catch {
    return unreadable('is no JSON');
  }
}

function unreadable(message: string): Pick<SliceLine, 'record' | 'problems'> {
  return { record: null, problems: [{ field: 'line', message }] };
}

/** The names of a table's columns: its first row. Null where that does not end in the slice. */
export async function readHeader(slice: FileSlice): Promise<readonly string[] | null> {
  const { rows } = await readRows(slice, delimiterOf(slice.bytes), 1);
  const [first] = rows;
  return first === undefined || first.values === null ? null : [delimiterOf(slice.bytes), ...first.values.map((name) => name.trim())];
}

/**
 * Rows under the header, which is kept with the delimiter in front. A row with another number of cells than the header, or with quotes that do
 * not fit, is a bad line and no more. `withHeader`: the slice begins with the header itself.
 */
export async function readCsvLines(slice: FileSlice, header: readonly string[] | null, withHeader: boolean, limit: number): Promise<ReadSlice> {
  const { from, line: before, last } = slice;
  if (header === null) return { lines: [], end: from, line: before, failure: last ? 'the file has no header' : null };
  const [delimiter = ',', ...columns] = header;
  const twice = columns.find((name, index) => name !== '' && columns.indexOf(name) !== index);
  if (!columns.includes('name') || twice !== undefined) {
    const failure =
      twice === undefined ? 'the header has no column "name"' : `the header has two columns of the same name, numbers ${numbersOf(columns, twice)}`;
    return { lines: [], end: from, line: before, failure };
  }
  const { rows, end, linesDone, failure } = await readRows(slice, delimiter, limit + (withHeader ? 1 : 0));
  const lines: SliceLine[] = [];
  for (const [index, row] of rows.entries()) {
    if (withHeader && index === 0) continue;
    if (row.values === null) lines.push({ line: row.line, ...unreadable('its quotes do not fit') });
    else if (row.values.length !== columns.length)
      lines.push({ line: row.line, ...unreadable(`has ${row.values.length} cells, the header has ${columns.length}`) });
    else lines.push({ line: row.line, record: toRecord(columns, row.values), problems: [] });
  }
  return {
    lines,
    end: from + (last && failure === null && lines.length < limit ? slice.bytes.length : end),
    line: linesDone,
    failure: failure === null ? null : `line ${linesDone + 1} and what follows is not readable: ${failure}`,
  };
}

function toRecord(columns: readonly string[], values: readonly string[]): ImportRecord {
  return Object.fromEntries(columns.flatMap((name, index) => (name === '' ? [] : [[name, values[index] ?? '']])));
}

function numbersOf(columns: readonly string[], name: string): string {
  return columns.flatMap((one, index) => (one === name ? [index + 1] : [])).join(' and ');
}

/** What stands most often in the first line, outside of quotes. */
function delimiterOf(bytes: Buffer): string {
  const end = bytes.indexOf(LINE_FEED);
  const first = bytes
    .subarray(0, end === -1 ? bytes.length : end)
    .toString('utf8')
    .replace(/"[^"]*"/g, '');
  const counts = [',', ';', '\t'].map((one) => ({ one, count: first.split(one).length }));
  return counts.toSorted((a, b) => b.count - a.count)[0]?.one ?? ',';
}

interface Row {
  readonly values: readonly string[] | null;
  /** The physical line it begins on. */
  readonly line: number;
  /** Bytes of the slice up to its end; null: not known. */
  readonly end: number | null;
}

interface ReadRows {
  readonly rows: readonly Row[];
  /** Bytes of the slice, and lines of the file, up to the end of the last of them. */
  readonly end: number;
  readonly linesDone: number;
  readonly failure: string | null;
}

/** At most `limit` rows that end in the slice, bad ones among them in their place. */
async function readRows({ bytes, from, line: before, last }: FileSlice, delimiter: string, limit: number): Promise<ReadRows> {
  // A good row is known by its end, a bad one by where it begins.
  const found: { readonly values: readonly string[] | null; readonly at: number; readonly start: number }[] = [];
  const parser = parse({
    delimiter,
    // Not left to be found out: a slice may end between the two characters of one.
    record_delimiter: ['\r\n', '\n'],
    bom: from === 0,
    info: true,
    raw: true,
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: LONGEST_ROW,
    on_skip: (error) => void found.push({ values: null, at: skippedFrom(error), start: skippedFrom(error) }),
  });
  let failure: string | null = null;
  await new Promise<void>((resolve) => {
    parser.on('error', () => {
      failure = `a row of more than ${LONGEST_ROW} characters, or quotes that are never closed`;
      resolve();
    });
    parser.on('end', resolve);
    parser.on('data', ({ record, raw, info }: ParsedRow) => found.push({ values: record, at: info.bytes, start: startOf(raw, info.bytes) }));
    if (last) parser.end(bytes);
    else parser.write(bytes, () => setImmediate(resolve));
  });
  const inOrder = found.toSorted((one, other) => one.at - other.at || Number(one.values === null) - Number(other.values === null));
  const rows: Row[] = [];
  let enough = 0;
  for (const [index, { values, at, start }] of inOrder.entries()) {
    // A batch ends with a good row or with the file, for where a bad one ends is not known.
    if (enough >= limit && rows.at(-1)?.values != null) break;
    const end =
      values === null
        ? last && failure === null && index === inOrder.length - 1
          ? bytes.length
          : null
        : last && index === inOrder.length - 1
          ? bytes.length
          : at;
    rows.push({ values, line: before + feedsIn(bytes, 0, start) + 1, end });
    enough += 1;
  }
  while (rows.length > 0 && rows.at(-1)?.end === null) rows.pop();
  const end = rows.at(-1)?.end ?? 0;
  return { rows, end, linesDone: before + feedsIn(bytes, 0, end), failure: rows.length < inOrder.length ? null : failure };
}

/** Where a row begins: the parser leaves the second character of a line end out of what it calls raw, and takes blank lines before it in. */
function startOf(raw: string, end: number): number {
  const start = end - Buffer.byteLength(raw) - (raw.endsWith('\r') ? 1 : 0);
  return start + (raw.length - raw.replace(/^[\r\n]+/, '').length);
}

interface ParsedRow {
  readonly record: readonly string[];
  readonly raw: string;
  readonly info: { readonly bytes: number };
}

function skippedFrom(error: unknown): number {
  const at: unknown = error instanceof Error ? Reflect.get(error, 'bytes') : undefined;
  return typeof at === 'number' ? at : 0;
}

function feedsIn(bytes: Buffer, start: number, end: number): number {
  let feeds = 0;
  for (let at = bytes.indexOf(LINE_FEED, start); at !== -1 && at < end; at = bytes.indexOf(LINE_FEED, at + 1)) feeds += 1;
  // The last row of a file may end without one.
  return end >= bytes.length && end > start && bytes[end - 1] !== LINE_FEED ? feeds + 1 : feeds;
}
