import { KeyturnError } from '../../domain/errors.ts';
import type { Call } from './method.ts';

/** Of the methods that set or remove a secret: whether the user's access tokens that are alive end with the change. */
export const endTokensHeader = 'x-keyturn-end-tokens';

/** @throws KeyturnError `FIELD_INVALID` for anything but `true` and `false` */
export function endTokensOf({ requestHeader }: Call): boolean {
  const value = requestHeader(endTokensHeader);
  if (value === undefined || value === 'false') return false;
  if (value === 'true') return true;
  throw new KeyturnError('FIELD_INVALID', { text: `invalid ${endTokensHeader}: it must be true or false` });
}
