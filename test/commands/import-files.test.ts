import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCsvLines, readHeader, readNdjsonLines, type FileSlice, type ReadSlice, type SliceLine } from '#commands/import-files.ts';

/** Reads a whole file as an import does: a slice from where the last one ended. */
async function readAll(file: Buffer, format: 'CSV' | 'NDJSON', limit: number, length: number): Promise<{ lines: SliceLine[]; failure: string | null }> {
  const lines: SliceLine[] = [];
  let at = 0;
  let line = 0;
  let header: readonly string[] | null = null;
  for (let size = length; ;) {
    const bytes = file.subarray(at, at + size);
    const slice: FileSlice = { bytes, from: at, line, last: at + bytes.length >= file.length };
    const first: boolean = header === null;
    if (format === 'CSV') header ??= await readHeader(slice);
    const read: ReadSlice = format === 'CSV' ? await readCsvLines(slice, header, first, limit) : readNdjsonLines(slice, limit);
    if (read.end === at && read.lines.length === 0 && read.failure === null && !slice.last) {
      header = first ? null : header;
      size *= 2;
      continue;
    }
    lines.push(...read.lines);
    if (read.failure !== null) return { lines, failure: read.failure };
    if (read.end >= file.length || (slice.last && read.end === at)) return { lines, failure: null };
    at = read.end;
    line = read.line;
    size = length;
  }
}

describe('a file of tickets', () => {
  it('gives the same lines however it is cut, tables with quotes, line ends and blank lines among them [MODEL-8]', async () => {
    const text = '\uFEFFname;note\r\n"a\r\nb";1\r\n\r\nö;2\r\nc;"say ""hi"""\r\nd;5';
    const whole = await readAll(Buffer.from(text), 'CSV', 100, 1_000);
    expect(whole.lines.map(({ line, record }) => [line, record])).toEqual([
      [2, { name: 'a\r\nb', note: '1' }],
      [5, { name: 'ö', note: '2' }],
      [6, { name: 'c', note: 'say "hi"' }],
      [7, { name: 'd', note: '5' }],
    ]);
    for (const [limit, size] of [
      [1, 1_000],
      [2, 12],
      [1, 5],
      [100, 7],
    ] as const) {
      expect((await readAll(Buffer.from(text), 'CSV', limit, size)).lines).toEqual(whole.lines);
    }
  });

  it('names a bad line by its number and goes on after it [MODEL-8]', async () => {
    const { lines, failure } = await readAll(Buffer.from('name,x\na,1\nb"ad,2\nc,3\nd,4,5\ne,6\n'), 'CSV', 100, 1_000);
    expect(failure).toBeNull();
    expect(lines.map(({ line, record, problems }) => [line, record?.['name'] ?? problems[0]?.message])).toEqual([
      [2, 'a'],
      [3, 'its quotes do not fit'],
      [4, 'c'],
      [5, 'has 3 cells, the header has 2'],
      [6, 'e'],
    ]);
    const ndjson = await readAll(Buffer.from('{"name":"a"}\n\nnot json\n[1]\n{"name":"b"}'), 'NDJSON', 1, 20);
    expect(ndjson.lines.map(({ line, record, problems }) => [line, record?.['name'] ?? problems[0]?.message])).toEqual([
      [1, 'a'],
      [3, 'is no JSON'],
      [4, 'is no JSON object'],
      [5, 'b'],
    ]);
  });

  it('says of a header what is wrong with it [MODEL-8]', async () => {
    expect((await readAll(Buffer.from('a,b\n1,2\n'), 'CSV', 10, 100)).failure).toBe('the header has no column "name"');
    expect((await readAll(Buffer.from('name,x,x\n1,2,3\n'), 'CSV', 10, 100)).failure).toBe('the header has two columns of the same name, numbers 2 and 3');
    expect((await readAll(Buffer.from(''), 'CSV', 10, 100)).failure).toBe('the file has no header');
  });

  it('reads any table back that a table can hold, cut anywhere [MODEL-8]', async () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'ß', '漢', '"', ',', '\n', '\r\n', ' ', ';'), maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 3, max: 90 }),
        fc.integer({ min: 1, max: 5 }),
        async (rows, size, limit) => {
          const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
          const file = Buffer.from(`name,other\n${rows.map(([a, b]) => `${quoted(`n${a}`)},${quoted(b)}`).join('\n')}\n`);
          const { lines, failure } = await readAll(file, 'CSV', limit, size);
          expect(failure).toBeNull();
          expect(lines.map(({ record }) => [record?.['name'], record?.['other']])).toEqual(rows.map(([a, b]) => [`n${a}`, b]));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('takes any bytes without an exception and comes to an end [MODEL-8]', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.constantFrom('CSV' as const, 'NDJSON' as const),
        fc.integer({ min: 3, max: 60 }),
        async (bytes, format, size) => {
          const file = format === 'CSV' ? Buffer.concat([Buffer.from('name,x\n'), bytes]) : Buffer.from(bytes);
          const { lines } = await readAll(file, format, 3, size);
          for (const { record, problems } of lines) expect((record === null) === problems.length > 0).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});
