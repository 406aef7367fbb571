import { bcryptHasher } from '../../src/application/secret-hasher.ts';

/**
 * Hashes with the given cost for the given seconds, on all cores, with so many under way, each of which is finished. Prints how
 * many a second.
 */
const [cost = 0, seconds = 0, inFlight = 64] = process.argv.slice(2).map(Number);
const hasher = bcryptHasher(cost);
const before = process.cpuUsage();
const begin = performance.now();
let hashed = 0;
await Promise.all(
  Array.from({ length: inFlight }, async () => {
    do {
      await hasher.hash('kts_0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmn');
      hashed++;
    } while (performance.now() - begin < seconds * 1000);
  }),
);
const { user, system } = process.cpuUsage(before);
process.stdout.write(
  JSON.stringify({
    rate: hashed / ((performance.now() - begin) / 1000),
    cpuTimeEach: (user + system) / 1e6 / hashed,
  }),
);
