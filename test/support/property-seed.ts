import fc from 'fast-check';

/**
 * Properties draw the same values in every run, so that a change fails by what it changed, and not by a draw. Another seed, or
 * `random`, looks further.
 */
const seed = process.env['KEYTURN_TEST_SEED'] ?? '2026';

if (seed !== 'random') {
  const number = Number(seed);
  if (!Number.isSafeInteger(number))
    throw new Error(`KEYTURN_TEST_SEED is no whole number, and not random: ${seed}`);
  fc.configureGlobal({ seed: number });
}
