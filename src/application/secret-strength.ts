/** How many guesses, as a power of ten, a secret must withstand under a fast hash. 20: more than 66 bits. */
const neededGuesses = 20;

/**
 * Measures a secret that somebody else made. Keyturn's own need no measuring: they are 226 random bits.
 *
 * @returns why it is too weak to be kept under a fast hash; undefined when it is not
 */
export async function weaknessOf(secret: string): Promise<string | undefined> {
  const { guessesLog10, feedback } = (await estimator()).check(secret);
  if (guessesLog10 >= neededGuesses) return undefined;
  const pattern = feedback.warning === null ? '' : ` (${feedback.warning})`;
  return `it takes about 10^${guessesLog10.toFixed(1)} guesses${pattern}, and 10^${neededGuesses} are needed`;
}

/** Loaded with the first secret that is measured: most services never need its dictionaries. */
let loading: ReturnType<typeof load> | undefined;
function estimator() {
  loading ??= load();
  return loading;
}

async function load() {
  const [{ ZxcvbnFactory }, { dictionary, adjacencyGraphs }] = await Promise.all([
    import('@zxcvbn-ts/core'),
    import('@zxcvbn-ts/language-common'),
  ]);
  return new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs });
}
