/** For rows that a foreign key promises and that whoever sees the one also sees. */
export function promised<T>(row: T | null | undefined): T {
  if (row == null) throw new Error('a row that a foreign key promises is not there');
  return row;
}
