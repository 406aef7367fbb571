import { customAlphabet } from 'nanoid';
import { base62, secretIdLength, secretRandomLength } from '../domain/machine-secret.ts';

const digits = customAlphabet('0123456789', 17);
const leadingDigit = customAlphabet('123456789', 1);

/** An id in the form of ZITADEL's: 18 decimal digits, so that columns and parsers made for those go on working. */
export function newObjectId(): string {
  return leadingDigit() + digits();
}

export const newSecretId = customAlphabet(base62, secretIdLength);
export const newSecretRandom = customAlphabet(base62, secretRandomLength);
