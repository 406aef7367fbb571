import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { newSecretId, newSecretRandom } from '../../src/application/random-ids.ts';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';
import { replayInto } from '../../src/audit/replay/replay.ts';
import { composeSecret } from '../../src/domain/machine-secret.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { type EventToWrite, secretSet, userAdded, writeEvents } from '../event-log.ts';

/** Machine users to write into a log. */
export interface Seed {
  /** What their user names begin with. */
  readonly name: string;
  readonly users: number;
  /** How many of them, spread evenly, have a secret that is known, and so can be used. */
  readonly known: number;
  readonly accessTokenType: 'jwt' | 'bearer';
  /** In the stream of each: it is added, and its secret is set again and again. 2 at least. */
  readonly eventsEach: number;
}

/** What the process of this file reads from standard input. */
export interface SeedJob {
  readonly dataDir: string;
  readonly organizationId: string;
  readonly seeds: readonly Seed[];
}

export interface Client {
  readonly userId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

interface KnownSecret {
  readonly secretId: string;
  readonly clientSecret: string;
  readonly hashedSecret: string;
}

const hasher = bcryptHasher(4);
/** A replay pays for itself beyond. */
const longLog = 50_000;

/** Writes machine users into the log of a Keyturn that is not running; prints those that are known, by name of seed. */
const { dataDir, organizationId, seeds } = (await json(process.stdin)) as SeedJob;
const file = join(dataDir, 'events.db');
const clients: Record<string, Client[]> = {};
let offset = 0;
for (const seed of seeds) {
  const secrets = await Promise.all(Array.from({ length: seed.known }, knownSecret));
  clients[seed.name] = secrets.map(({ clientSecret }, place) => {
    const index = Math.floor((place * seed.users) / seed.known);
    return { userId: userIdOf(offset + index), clientId: `${seed.name}-${index}`, clientSecret };
  });
  writeEvents(file, organizationId, eventsOf(seed, secrets));
  offset += seed.users;
}
if (seeds.reduce((sum, { users, eventsEach }) => sum + users * eventsEach, 0) > longLog) {
  const eventStore = openSqliteEventStore({ file, readOnly: true });
  await replayInto(join(dataDir, 'read-model.db'), { eventStore, file });
  await eventStore.close();
}
process.stdout.write(JSON.stringify(clients));

function* eventsOf(
  { name, users, known, accessTokenType, eventsEach }: Seed,
  secrets: readonly KnownSecret[],
): Generator<EventToWrite> {
  let place = 0;
  for (let index = 0; index < users; index++) {
    const stream = `machineUser-${userIdOf(offset + index)}`;
    yield { stream, ...userAdded(organizationId, `${name}-${index}`, accessTokenType) };
    let replaced: string | undefined;
    for (let count = 2; count < eventsEach; count++) {
      const { secretId, hashedSecret } = unknownSecret();
      yield { stream, ...secretSet(secretId, hashedSecret, replaced) };
      replaced = secretId;
    }
    const isKnown = index === Math.floor((place * users) / known);
    const { secretId, hashedSecret } = (isKnown && secrets[place++]) || unknownSecret();
    yield { stream, ...secretSet(secretId, hashedSecret, replaced) };
  }
}

async function knownSecret(): Promise<KnownSecret> {
  const secretId = newSecretId();
  const clientSecret = composeSecret(secretId, newSecretRandom());
  return { secretId, clientSecret, hashedSecret: await hasher.hash(clientSecret) };
}

/** With a hash that nothing fits. */
function unknownSecret(): Omit<KnownSecret, 'clientSecret'> {
  const secretId = newSecretId();
  return { secretId, hashedSecret: `$2b$04$${secretId.repeat(4).slice(0, 53)}` };
}

/** Spread over the key space, as made ids are. */
function userIdOf(index: number): string {
  return String(
    100_000_000_000_000_000n + ((BigInt(index + 1) * 7_919_999_999_989n) % 800_000_000_000_000_000n),
  );
}
