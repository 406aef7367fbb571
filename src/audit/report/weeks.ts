const day = 86_400_000;

/** The Monday of the week of `time` (milliseconds since 1970), in UTC, as `2026-01-05`. */
export function mondayOf(time: number): string {
  const weekday = (new Date(time).getUTCDay() + 6) % 7;
  return new Date(time - weekday * day).toISOString().slice(0, 10);
}

/** The Mondays of the `count` weeks up to that of `time`, oldest first. */
export function lastMondays(time: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => mondayOf(time - (count - 1 - index) * 7 * day));
}
