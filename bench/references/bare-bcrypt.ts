import { bcryptHasher } from '../../src/application/secret-hasher.ts';

/** Hashes with the given cost for the given seconds, on all cores, and prints how many a second. */
const cost = Number(process.argv[2]);
const seconds = Number(process.argv[3]);
const inFlight = 64;
const hasher = bcryptHasher(cost);
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
process.stdout.write(JSON.stringify({ rate: hashed / ((performance.now() - start) / 1000) }));
