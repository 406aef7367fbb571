import { bcryptHasher } from '../../src/application/secret-hasher.ts';

/** Verifies a secret with the given cost for the given seconds, on all cores, and prints how many times a second. */
const cost = Number(process.argv[2]);
const seconds = Number(process.argv[3]);
const inFlight = 64;
const secret = 'kts_0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmn';
const hasher = bcryptHasher(cost);
const hashedSecret = await hasher.hash(secret);
const before = process.cpuUsage();
const begin = performance.now();
let verified = 0;
await Promise.all(
  Array.from({ length: inFlight }, async () => {
    while (performance.now() - begin < seconds * 1000) {
      if (!(await hasher.verify(secret, hashedSecret))) throw new Error('the secret was refused');
      verified++;
    }
  }),
);
const { user, system } = process.cpuUsage(before);
process.stdout.write(
  JSON.stringify({
    rate: verified / ((performance.now() - begin) / 1000),
    cpuTimeEach: (user + system) / 1e6 / verified,
  }),
);
