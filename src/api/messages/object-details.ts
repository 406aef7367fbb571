import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ObjectDetailsSchema } from '#generated/zitadel/object_pb.js';
import type { ChangeDetails } from '../../application/machine-users.ts';

export type Details = ChangeDetails;

/** zitadel.v1.ObjectDetails */
export function objectDetails(details: Details): MessageInitShape<typeof ObjectDetailsSchema> {
  return {
    sequence: details.sequence,
    creationDate: timestampFromDate(new Date(details.creationDate)),
    changeDate: timestampFromDate(new Date(details.changeDate)),
    resourceOwner: details.resourceOwner,
  };
}
