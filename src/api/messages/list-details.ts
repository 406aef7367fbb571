import { timestampFromDate } from '@bufbuild/protobuf/wkt';

/** How far the read model has come. */
export interface ReadModelProgress {
  readonly position: bigint;
  /** When it was found to be there. */
  readonly updatedAt: Date;
}

/** What zitadel.v1.ListDetails and zitadel.object.v2.ListDetails say of a list. */
export function listDetails(total: number, { position, updatedAt }: ReadModelProgress) {
  const timestamp = timestampFromDate(updatedAt);
  return {
    v1: { totalResult: BigInt(total), processedSequence: position, viewTimestamp: timestamp },
    v2: { totalResult: BigInt(total), processedSequence: position, timestamp },
  };
}
