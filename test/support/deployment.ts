import { setTimeout as sleep } from 'node:timers/promises';
import { requestToken } from './running-service.ts';

/** In milliseconds. */
const signInInterval = 10;

/**
 * A workload of several instances, each with the secret that its last roll-out gave it. Each signs in every ten milliseconds.
 * What fails is counted.
 */
export class Deployment {
  readonly failures: number[] = [];
  signIns = 0;
  readonly #secrets: string[];
  readonly #stop = new AbortController();
  readonly #loops: Promise<void>[];

  constructor(url: string, clientId: string, secret: string, instances = 3) {
    this.#secrets = Array.from({ length: instances }, () => secret);
    this.#loops = this.#secrets.map(async (_, instance) => {
      while (!this.#stop.signal.aborted) {
        const { status } = await requestToken(url, clientId, this.#secrets[instance] ?? '', 'openid');
        this.signIns++;
        if (status !== 200) this.failures.push(status);
        await sleep(signInInterval);
      }
    });
  }

  /** Gives the secret to one instance after the other, and lets each of them, and those that wait, sign in between. */
  async rollOut(secret: string): Promise<void> {
    for (const instance of this.#secrets.keys()) {
      await this.someSignIns();
      this.#secrets[instance] = secret;
    }
    await this.someSignIns();
  }

  /** Resolves when every instance has signed in at least twice from now on. */
  async someSignIns(): Promise<void> {
    const enough = this.signIns + 3 * this.#secrets.length;
    while (this.signIns < enough) await sleep(signInInterval);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
  }
}
