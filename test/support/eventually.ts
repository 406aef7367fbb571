import { vi } from 'vitest';

/** Waits until `check` no longer throws: long enough for a busy machine. */
export function eventually<Result>(check: () => Result | Promise<Result>, timeout = 20_000): Promise<Result> {
  return vi.waitFor(check, timeout);
}
