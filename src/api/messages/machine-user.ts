import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { DetailsSchema } from '#generated/zitadel/object/v2/object_pb.js';
import {
  type UserSchema as UserSchemaOfV2,
  UserState as UserStateOfV2,
} from '#generated/zitadel/user/v2/user_pb.js';
import { AccessTokenType, type UserSchema, UserState } from '#generated/zitadel/user_pb.js';
import type { AccessTokenType as TokenType } from '../../domain/machine-user/events.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';
import { type Details, objectDetails } from './object-details.ts';

const states = {
  active: UserState.ACTIVE,
  inactive: UserState.INACTIVE,
  locked: UserState.LOCKED,
} as const satisfies Record<MachineUserView['state'], UserState>;

const statesOfV2 = {
  active: UserStateOfV2.ACTIVE,
  inactive: UserStateOfV2.INACTIVE,
  locked: UserStateOfV2.LOCKED,
} as const satisfies Record<MachineUserView['state'], UserStateOfV2>;

/** zitadel.user.v1.User. The login name is the user name, as with ZITADEL's default domain policy. */
export function toUser(user: MachineUserView): MessageInitShape<typeof UserSchema> {
  return {
    id: user.userId,
    details: objectDetails({ ...user, resourceOwner: user.organizationId }),
    state: states[user.state],
    userName: user.userName,
    loginNames: [user.userName],
    preferredLoginName: user.userName,
    type: { case: 'machine', value: machineOf(user) },
  };
}

/** zitadel.user.v2.User */
export function toUserOfV2(user: MachineUserView): MessageInitShape<typeof UserSchemaOfV2> {
  return {
    userId: user.userId,
    details: detailsOfV2({ ...user, resourceOwner: user.organizationId }),
    state: statesOfV2[user.state],
    username: user.userName,
    loginNames: [user.userName],
    preferredLoginName: user.userName,
    type: { case: 'machine', value: machineOf(user) },
  };
}

/** zitadel.object.v2.Details */
export function detailsOfV2(details: Details): MessageInitShape<typeof DetailsSchema> {
  return {
    sequence: details.sequence,
    creationDate: timestampFromDate(new Date(details.creationDate)),
    changeDate: timestampFromDate(new Date(details.changeDate)),
    resourceOwner: details.resourceOwner,
  };
}

/** From zitadel.user.v1.AccessTokenType. */
export function accessTokenTypeOf(type: AccessTokenType): TokenType {
  return type === AccessTokenType.JWT ? 'jwt' : 'bearer';
}

/** The message that both versions have; their enums have the same numbers. */
function machineOf({ name, description, hasSecret, accessTokenType }: MachineUserView) {
  const type = accessTokenType === 'jwt' ? AccessTokenType.JWT : AccessTokenType.BEARER;
  return { name, description, hasSecret, accessTokenType: type as 0 | 1 };
}
