import { pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { parseOptions as parseArgon2, verify as verifyArgon2 } from '@node-rs/argon2';
import { parseOptions as parseBcrypt, verify as verifyBcrypt } from '@node-rs/bcrypt';

/** The hash functions whose hashes can be imported. */
interface HashFunction {
  readonly form: RegExp;
  /** Why the hash is not taken: its cost would let one sign-in hold up others. */
  readonly fault: (hash: string) => string | undefined;
  readonly verify: (secret: string, hash: string) => Promise<boolean>;
}

const limits = {
  bcryptCost: 14,
  /** In KiB. */
  argon2Memory: 128 * 1024,
  argon2Passes: 10,
  argon2Threads: 8,
  pbkdf2Iterations: 2_000_000,
};

/** Modular crypt format: `$2b$10$…`, with the letters of older versions. */
const bcryptHash: HashFunction = {
  form: /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/,
  fault: (hash) => tooMuch('cost', parseBcrypt(hash).cost, limits.bcryptCost),
  verify: (secret, hash) => verifyBcrypt(secret, hash),
};

/** PHC string format: `$argon2id$v=19$m=65536,t=3,p=4$<salt>$<hash>`. */
const argon2Hash: HashFunction = {
  form: /^\$argon2(id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$/,
  fault: (hash) => {
    const { memoryCost, timeCost, parallelism } = parseArgon2(hash);
    return (
      tooMuch('m', memoryCost, limits.argon2Memory) ??
      tooMuch('t', timeCost, limits.argon2Passes) ??
      tooMuch('p', parallelism, limits.argon2Threads)
    );
  },
  verify: (secret, hash) => verifyArgon2(hash, secret),
};

/** As Passlib writes it: `$pbkdf2-sha256$<iterations>$<salt>$<key>`, in base64 without padding and with `.` for `+`. */
const pbkdf2Form = /^\$pbkdf2-(sha256|sha512)\$(\d{1,10})\$([A-Za-z0-9./]{8,})\$([A-Za-z0-9./]{22,})$/;
const pbkdf2Hash: HashFunction = {
  form: pbkdf2Form,
  fault: (hash) => tooMuch('iterations', partsOfPbkdf2(hash).iterations, limits.pbkdf2Iterations),
  verify: async (secret, hash) => {
    const { digest, iterations, salt, key } = partsOfPbkdf2(hash);
    const derived = await promisify(pbkdf2)(secret, salt, iterations, key.length, digest);
    return timingSafeEqual(derived, key);
  },
};

const hashFunctions = [bcryptHash, argon2Hash, pbkdf2Hash];

/** Why a hash of another system cannot be imported; undefined when it can. */
export function faultOfForeignHash(hash: string): string | undefined {
  const hashFunction = functionOf(hash);
  if (hashFunction === undefined) {
    return 'it is not a hash of bcrypt ($2b$…), argon2 ($argon2id$v=19$…) or PBKDF2 ($pbkdf2-sha256$…)';
  }
  try {
    return hashFunction.fault(hash);
  } catch {
    return 'its parameters cannot be read';
  }
}

export async function verifyHash(secret: string, hash: string): Promise<boolean> {
  return (await functionOf(hash)?.verify(secret, hash)) ?? false;
}

export function isBcryptHash(hash: string): boolean {
  return bcryptHash.form.test(hash);
}

function functionOf(hash: string): HashFunction | undefined {
  return hashFunctions.find(({ form }) => form.test(hash));
}

function tooMuch(parameter: string, value: number, most: number): string | undefined {
  return value >= 1 && value <= most ? undefined : `its ${parameter} is ${value}, it must be 1 to ${most}`;
}

function partsOfPbkdf2(hash: string) {
  const [, digest = '', iterations = '', salt = '', key = ''] = pbkdf2Form.exec(hash) ?? [];
  return {
    digest,
    iterations: Number(iterations),
    salt: fromAdaptedBase64(salt),
    key: fromAdaptedBase64(key),
  };
}

function fromAdaptedBase64(text: string): Buffer {
  return Buffer.from(text.replaceAll('.', '+'), 'base64');
}
