import { read } from './source.ts';

/** The cells of every table row of a page, without its head and rule; back quotes and spaces around a cell are taken off. */
export function tableRows(path: string): readonly (readonly string[])[] {
  const rows: string[][] = [];
  const lines = read(path).split('\n');
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith('|') || /^\|[\s:|-]+\|$/.test(line) || /^\|[\s:|-]+\|$/.test(lines[index + 1] ?? '')) continue;
    rows.push(
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')),
    );
  }
  return rows;
}
