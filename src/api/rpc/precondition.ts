import { KeyturnError, SequenceMismatchError } from '../../domain/errors.ts';
import type { Call } from './method.ts';

/** A strong entity tag (RFC 9110 section 8.8.3) that holds a sequence. */
const sequenceTag = /^"(\d{1,18})"$/;

export function entityTagOf(sequence: bigint): string {
  return `"${sequence}"`;
}

/**
 * Makes a change at the sequence that `If-Match` asks for (RFC 9110 section 13.1.1), and tells the new one, or the one
 * that stands in the way, as `ETag`.
 *
 * @param change gets undefined where the caller does not care
 * @throws KeyturnError `IF_MATCH_INVALID`, `SEQUENCE_MISMATCH`
 */
export async function withPrecondition<Result extends { readonly details: { readonly sequence: bigint } }>(
  { requestHeader, responseHeaders }: Call,
  change: (expectedSequence: bigint | undefined) => Promise<Result>,
): Promise<Result> {
  const expected = expectedSequenceOf(requestHeader('if-match'));
  try {
    const result = await change(expected);
    responseHeaders.set('etag', entityTagOf(result.details.sequence));
    return result;
  } catch (error) {
    if (error instanceof SequenceMismatchError) responseHeaders.set('etag', entityTagOf(error.sequence));
    throw error;
  }
}

function expectedSequenceOf(ifMatch: string | undefined): bigint | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined;
  const sequence = sequenceTag.exec(ifMatch.trim())?.[1];
  if (sequence === undefined) throw new KeyturnError('IF_MATCH_INVALID');
  return BigInt(sequence);
}
