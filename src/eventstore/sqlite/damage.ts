/** The low bytes of SQLite's result codes `SQLITE_CORRUPT` and `SQLITE_NOTADB`. */
const damageCodes: ReadonlySet<number> = new Set([11, 26]);

/** Whether SQLite found a file damaged. Also of an error that comes from another thread. */
export function isDamage(error: unknown): error is Error {
  return error instanceof Error && 'errcode' in error && damageCodes.has(Number(error.errcode) & 0xff);
}
