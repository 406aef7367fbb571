/** What was opened, to be released when it ends: the last first, and whatever fails, all of it. */
export class Releases {
  readonly #releases: (() => Promise<void> | void)[] = [];

  readonly add = (release: () => Promise<void> | void): void => {
    this.#releases.push(release);
  };

  /** Throws what has failed. What is released is not released again. */
  async all(): Promise<void> {
    const errors: unknown[] = [];
    for (const release of this.#releases.splice(0).reverse()) {
      try {
        await release();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors);
  }
}
