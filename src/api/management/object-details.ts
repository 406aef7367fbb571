import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ObjectDetailsSchema } from '@zitadel/proto/zitadel/object_pb.js';
import type { ChangeDetails } from '../../application/machine-users.ts';

/** zitadel.v1.ObjectDetails */
export function objectDetails({
  sequence,
  creationDate,
  changeDate,
  resourceOwner,
}: ChangeDetails): MessageInitShape<typeof ObjectDetailsSchema> {
  return {
    sequence,
    creationDate: timestampFromDate(new Date(creationDate)),
    changeDate: timestampFromDate(new Date(changeDate)),
    resourceOwner,
  };
}
