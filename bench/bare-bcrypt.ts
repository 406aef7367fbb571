import { bcryptHasher } from '../src/application/secret-hasher.ts';

/** Hashes for the given seconds, on all cores, and prints how many secrets it hashed a second. */
const seconds = Number(process.argv[2]);
const inFlight = 64;
const hasher = bcryptHasher(4);
const start = performance.now();
let hashed = 0;
await Promise.all(
  Array.from({ length: inFlight }, async () => {
    while (performance.now() - start < seconds * 1000) {
      await hasher.hash('kts_0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmn');
      hashed++;
    }
  }),
);
process.stdout.write(`${hashed / ((performance.now() - start) / 1000)}\n`);
