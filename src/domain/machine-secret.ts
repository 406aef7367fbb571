import { crc32 } from 'node:zlib';

/**
 * The text form of a machine secret: `kts_<secret id><random><checksum>`, 64 characters.
 *
 * - The prefix tells people and secret scanners what was found.
 * - The secret id (16 base62 characters, not secret) finds the one hash to compare with.
 * - The random part is 38 base62 characters, 226 bits.
 * - The checksum is the CRC-32 (IEEE) of all characters before it, as 6 base62 digits (`0-9A-Za-z`), most
 *   significant first. It turns typing errors and blind guesses away before any hashing.
 *
 * 64 bytes stay under the 72 that bcrypt reads.
 */
export const secretPrefix = 'kts_';
export const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
export const secretIdLength = 16;
export const secretRandomLength = 38;
const checksumLength = 6;
const secretLength = secretPrefix.length + secretIdLength + secretRandomLength + checksumLength;
/** Not within a longer word. `docs/leaks.md` shows the same to scanners. */
const secretAnywhere = new RegExp(
  `(?<![0-9A-Za-z])${secretPrefix}[0-9A-Za-z]{${secretLength - secretPrefix.length}}(?![0-9A-Za-z])`,
  'g',
);
const secretForm = new RegExp(
  `^${secretPrefix}([0-9A-Za-z]{${secretIdLength}})[0-9A-Za-z]{${secretRandomLength}}([0-9A-Za-z]{${checksumLength}})$`,
);

/** Everything in `text` that is a machine secret: its form, with a right checksum. */
export function findSecrets(text: string): { readonly secretId: string; readonly index: number }[] {
  return Array.from(text.matchAll(secretAnywhere), (match) => ({
    secret: match[0],
    index: match.index,
  })).flatMap(({ secret, index }) => {
    const secretId = secretIdOf(secret);
    return secretId === undefined ? [] : { secretId, index };
  });
}

/** @param random `secretRandomLength` base62 characters from a cryptographic random source. */
export function composeSecret(secretId: string, random: string): string {
  const body = `${secretPrefix}${secretId}${random}`;
  const secret = `${body}${checksum(body)}`;
  if (!secretForm.test(secret))
    throw new RangeError('secret id or random part has a wrong length or alphabet');
  return secret;
}

/** The secret id in `secret`, or undefined when it does not have the form of a machine secret or its checksum is off. */
export function secretIdOf(secret: string): string | undefined {
  const match = secretForm.exec(secret);
  if (match === null || checksum(secret.slice(0, -checksumLength)) !== match[2]) return undefined;
  return match[1];
}

function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let place = 0; place < checksumLength; place++) {
    digits = `${base62[rest % 62]}${digits}`;
    rest = Math.floor(rest / 62);
  }
  return digits;
}
