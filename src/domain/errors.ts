/** Status codes of gRPC that Keyturn answers with (google.rpc.Code). */
export const grpcCodes = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcCode = keyof typeof grpcCodes;

/** How each gRPC code is answered over HTTP, as ZITADEL's gateway does (FAILED_PRECONDITION is 400, not 412). */
const httpStatusOfGrpcCode: Record<GrpcCode, number> = {
  CANCELLED: 499,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  UNAUTHENTICATED: 401,
};

interface ErrorDefinition {
  readonly grpc: GrpcCode;
  /** ZITADEL's id of the place that throws it, or one of our own with the prefix `KEYTURN-`. Absent: a plain status. */
  readonly id?: string;
  readonly text: string;
  /** Only where HTTP has a status that says more than the gRPC code's. */
  readonly http?: number;
}

/** Every error that the management API answers. `docs/errors.md` shows this table; a test holds the two together. */
export const errorTable = {
  AUTH_HEADER_MISSING: { grpc: 'UNAUTHENTICATED', text: 'auth header missing' },
  AUTH_HEADER_INVALID: { grpc: 'UNAUTHENTICATED', id: 'AUTH-toLo1', text: 'invalid auth header' },
  TOKEN_INVALID: { grpc: 'UNAUTHENTICATED', id: 'AUTH-7fs1e', text: 'Errors.Token.Invalid' },
  DPOP_PROOF_INVALID: {
    grpc: 'UNAUTHENTICATED',
    id: 'KEYTURN-DpopProof',
    text: 'the DPoP proof is not valid',
  },
  DPOP_NONCE_NEEDED: {
    grpc: 'UNAUTHENTICATED',
    id: 'KEYTURN-DpopNonce',
    text: 'the DPoP proof needs the nonce of the header DPoP-Nonce',
  },
  ORGANIZATION_UNKNOWN: { grpc: 'PERMISSION_DENIED', id: 'AUTH-Bs7Ds', text: "Organisation doesn't exist" },
  MEMBERSHIP_NOT_FOUND: { grpc: 'NOT_FOUND', id: 'AUTHZ-cdgFk', text: 'membership not found' },
  PERMISSION_MISSING: { grpc: 'PERMISSION_DENIED', id: 'AUTH-5mWD2', text: 'No matching permissions found' },

  ROUTE_NOT_FOUND: { grpc: 'NOT_FOUND', text: 'Not Found' },
  UNIMPLEMENTED: { grpc: 'UNIMPLEMENTED', text: 'not implemented' },
  METHOD_NOT_ALLOWED: { grpc: 'UNIMPLEMENTED', http: 405, text: 'Method Not Allowed' },
  URL_UNREADABLE: { grpc: 'INVALID_ARGUMENT', text: 'the URL is not readable' },
  REQUEST_UNREADABLE: { grpc: 'INVALID_ARGUMENT', text: 'the request is not readable' },
  CONTENT_TYPE_UNSUPPORTED: {
    grpc: 'INVALID_ARGUMENT',
    http: 415,
    text: 'content type is not supported, send application/json',
  },
  REQUEST_TOO_LARGE: { grpc: 'RESOURCE_EXHAUSTED', http: 413, text: 'request body is too large' },
  HEADERS_TOO_MANY: { grpc: 'RESOURCE_EXHAUSTED', http: 431, text: 'the request has too many headers' },
  REQUEST_TIMEOUT: { grpc: 'DEADLINE_EXCEEDED', text: 'the request took too long' },
  REQUEST_CANCELLED: { grpc: 'CANCELLED', text: 'the request was cancelled' },
  FIELD_INVALID: { grpc: 'INVALID_ARGUMENT', text: 'invalid field' },
  IF_MATCH_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-IfMatch',
    text: 'If-Match must be a sequence in quotes, such as "2"',
  },
  SEQUENCE_MISMATCH: {
    grpc: 'ABORTED',
    http: 412,
    id: 'KEYTURN-Sequence',
    text: 'The object is not at the expected sequence',
  },
  INTERNAL: { grpc: 'INTERNAL', text: 'internal error' },
  NOT_READY: {
    grpc: 'UNAVAILABLE',
    id: 'KEYTURN-NotReady',
    text: 'The service is starting or stopping, try again',
  },
  OVERLOADED: {
    grpc: 'UNAVAILABLE',
    id: 'KEYTURN-Overloaded',
    text: 'There is more to do than can be done in time, try again',
  },
  CONTENDED: {
    grpc: 'UNAVAILABLE',
    id: 'KEYTURN-Contended',
    text: 'Too many concurrent changes of the same object, try again',
  },
  READ_MODEL_BEHIND: {
    grpc: 'UNAVAILABLE',
    id: 'KEYTURN-Behind',
    text: 'The change is stored, but the read model has not caught up with it yet',
  },
  EVENT_STORE_UNAVAILABLE: {
    grpc: 'UNAVAILABLE',
    id: 'KEYTURN-StoreUnavailable',
    text: 'The event store cannot be reached, so it is not known whether a change was stored, try again',
  },
  POSITION_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-Position',
    text: 'The header x-keyturn-position is not a position',
  },
  POSITION_NOT_REACHED: {
    grpc: 'UNAVAILABLE',
    id: 'KEYTURN-PositionAhead',
    text: 'This node has not yet seen the position in x-keyturn-position, try again',
  },

  USER_NOT_FOUND: { grpc: 'NOT_FOUND', id: 'QUERY-Dfbg2', text: 'User could not be found' },
  USER_ALREADY_EXISTS: {
    grpc: 'FAILED_PRECONDITION',
    id: 'COMMAND-k2una',
    text: 'Errors.User.AlreadyExisting',
  },
  USER_NAME_TAKEN: { grpc: 'ALREADY_EXISTS', id: 'V3-DKcYh', text: 'User already exists' },
  USER_NAME_EMPTY: { grpc: 'INVALID_ARGUMENT', id: 'COMMAND-bm9Ds', text: 'Userdata is invalid' },
  USER_DISPLAY_NAME_EMPTY: { grpc: 'INVALID_ARGUMENT', id: 'COMMAND-bs9Ds', text: 'Userdata is invalid' },
  USER_NOT_CHANGED: { grpc: 'FAILED_PRECONDITION', id: 'COMMAND-2n8vs', text: 'Errors.User.NotChanged' },
  USER_NAME_NOT_CHANGED: { grpc: 'FAILED_PRECONDITION', id: 'COMMAND-6m9gs', text: 'Username not changed' },
  USER_ALREADY_INACTIVE: { grpc: 'FAILED_PRECONDITION', id: 'COMMAND-5M0sf', text: 'User already inactive' },
  USER_NOT_INACTIVE: { grpc: 'FAILED_PRECONDITION', id: 'COMMAND-6M0sf', text: 'User is not inactive' },
  USER_NOT_ACTIVE: {
    grpc: 'FAILED_PRECONDITION',
    id: 'COMMAND-3NN8v',
    text: 'User is not active or initial',
  },
  USER_NOT_LOCKED: { grpc: 'FAILED_PRECONDITION', id: 'COMMAND-4M0ds', text: 'User is not locked' },
  USER_NOT_REMOVED: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-NotRemoved',
    text: 'only a user that was removed can be erased',
  },
  USER_NOT_SEALED: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-NotSealed',
    text: "the user's personal fields were stored in the clear and cannot be erased",
  },
  USER_NOT_MACHINE: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-MachineOnly',
    text: 'Only machine users are supported',
  },
  SECRET_NOT_EXISTING: { grpc: 'FAILED_PRECONDITION', id: 'COMMAND-coi82n', text: "Secret doesn't exist" },
  SECRET_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    id: 'KEYTURN-SecretNotFound',
    text: 'Secret could not be found, or has ended',
  },
  SECRETS_TOO_MANY: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-SecretLimit',
    text: 'The policy allows no more live secrets',
  },
  SECRET_EXPIRY_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-SecretExpiry',
    text: 'The expiry of the secret is invalid',
  },
  SECRET_IS_LAST: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-LastSecret',
    text: 'No other secret would stay: add one first, or remove the secret',
  },
  SECRET_NOT_RETIRING: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-NotRetiring',
    text: 'The secret is not about to retire',
  },
  SECRET_ID_TAKEN: {
    grpc: 'ALREADY_EXISTS',
    id: 'KEYTURN-SecretId',
    text: 'The user has, or had, a secret with this id',
  },
  SECRET_REFUSED: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-SecretRefused',
    text: 'The secret cannot be imported',
  },
  SECRET_BINDING_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-SecretBinding',
    text: 'The binding of the secret is invalid',
  },
  SECRET_USED_UP: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-SecretUsedUp',
    text: 'The secret was used as often as it may be',
  },
  SIGNATURE_INVALID: {
    grpc: 'UNAUTHENTICATED',
    id: 'KEYTURN-Signature',
    text: 'The signature of the report is not right',
  },
  SIGNATURE_KEYS_UNAVAILABLE: {
    grpc: 'UNAVAILABLE',
    id: 'KEYTURN-SignatureKeys',
    text: 'The keys that the report is signed with cannot be had now, try again',
  },
  SECRET_POLICY_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-SecretPolicy',
    text: 'The secret policy is invalid',
  },

  MACHINE_KEY_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-MachineKey',
    text: 'The public key is invalid',
  },
  MACHINE_KEY_EXPIRED: {
    grpc: 'INVALID_ARGUMENT',
    id: 'DOMAIN-dv3t5',
    text: 'Errors.AuthNKey.ExpireBeforeNow',
  },
  MACHINE_KEY_NOT_FOUND: { grpc: 'NOT_FOUND', id: 'COMMAND-4m77G', text: 'Machine key not found' },

  CHECKPOINT_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    id: 'KEYTURN-NoCheckpoint',
    text: 'No checkpoint of the log is signed',
  },

  ORGANIZATION_NAME_EMPTY: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-OrgName',
    text: 'Organisation name is empty',
  },
  ORGANIZATION_ALREADY_EXISTS: {
    grpc: 'ALREADY_EXISTS',
    id: 'KEYTURN-OrgExists',
    text: 'Organisation already exists',
  },
  ORGANIZATION_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    id: 'KEYTURN-OrgNotFound',
    text: 'Organisation could not be found',
  },
  ORGANIZATION_ALREADY_INACTIVE: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-OrgInactive',
    text: 'Organisation is already inactive',
  },
  ORGANIZATION_ALREADY_ACTIVE: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-OrgActive',
    text: 'Organisation is already active',
  },
  ORGANIZATION_IS_DEFAULT: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-OrgDefault',
    text: 'The default organisation cannot be deactivated',
  },
  INSTANCE_ALREADY_SET_UP: {
    grpc: 'ALREADY_EXISTS',
    id: 'KEYTURN-InstanceExists',
    text: 'Instance is already set up',
  },
  INSTANCE_NOT_SET_UP: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-InstanceMissing',
    text: 'Instance is not set up',
  },
  SIGNING_KEY_ALREADY_EXISTS: {
    grpc: 'ALREADY_EXISTS',
    id: 'KEYTURN-KeyExists',
    text: 'Signing key already exists',
  },
  MEMBER_ROLES_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-MemberRoles',
    text: 'Roles of the member are invalid',
  },
  MEMBER_ALREADY_EXISTS: {
    grpc: 'ALREADY_EXISTS',
    id: 'KEYTURN-MemberExists',
    text: 'Member already exists',
  },
  MEMBER_NOT_FOUND: { grpc: 'NOT_FOUND', id: 'KEYTURN-MemberNotFound', text: 'Member could not be found' },
  LAST_OWNER: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-LastOwner',
    text: 'The last active IAM_OWNER of the instance must stay',
  },
  MEMBER_NOT_CHANGED: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-MemberUnchanged',
    text: 'Roles of the member not changed',
  },

  WEBHOOK_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    id: 'KEYTURN-WebhookNotFound',
    text: 'Webhook could not be found',
  },
  WEBHOOK_ALREADY_EXISTS: {
    grpc: 'ALREADY_EXISTS',
    id: 'KEYTURN-WebhookExists',
    text: 'Webhook already exists',
  },
  WEBHOOK_NOT_CHANGED: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-WebhookUnchanged',
    text: 'Webhook not changed',
  },
  WEBHOOK_URL_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-WebhookUrl',
    text: 'URL of the webhook is invalid',
  },
  WEBHOOK_TYPE_UNKNOWN: {
    grpc: 'INVALID_ARGUMENT',
    id: 'KEYTURN-WebhookType',
    text: 'Type of event is not known',
  },
  WEBHOOK_LIMIT_REACHED: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-WebhookLimit',
    text: 'The organisation has as many webhooks as it may have',
  },
  QUERY_INVALID: { grpc: 'INVALID_ARGUMENT', text: 'invalid query' },
  TOO_MANY_STREAMS: {
    grpc: 'RESOURCE_EXHAUSTED',
    id: 'KEYTURN-Streams',
    text: 'Too many open event streams of this user',
  },
  TICKET_INVALID: {
    grpc: 'UNAUTHENTICATED',
    id: 'KEYTURN-Ticket',
    text: 'The ticket is not valid, was used or has expired',
  },
  TOO_MANY_TICKETS: {
    grpc: 'RESOURCE_EXHAUSTED',
    id: 'KEYTURN-Tickets',
    text: 'Too many tickets for event streams were given to this user within a minute',
  },
  SUBSCRIPTION_TAKEN_OVER: {
    grpc: 'FAILED_PRECONDITION',
    id: 'KEYTURN-SubTakenOver',
    text: 'Another worker delivers to this subscriber now',
  },
  PARKED_EVENT_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    id: 'KEYTURN-ParkedNotFound',
    text: 'Parked event could not be found',
  },
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof errorTable;

/** An error that a caller may see. `code` is stable; `text` names what is wrong and never holds a secret. */
export class KeyturnError extends Error {
  override readonly name = 'KeyturnError';
  readonly code: ErrorCode;
  readonly grpcCode: GrpcCode;
  readonly httpStatus: number;
  readonly id: string | undefined;
  readonly text: string;

  /** @param options.text replaces the table's text where the error names what exactly is wrong. */
  constructor(code: ErrorCode, options: { text?: string; cause?: unknown } = {}) {
    const definition: ErrorDefinition = errorTable[code];
    const text = options.text ?? definition.text;
    super(definition.id === undefined ? text : `${text} (${definition.id})`, { cause: options.cause });
    this.code = code;
    this.grpcCode = definition.grpc;
    this.httpStatus = definition.http ?? httpStatusOfGrpcCode[definition.grpc];
    this.id = definition.id;
    this.text = text;
  }
}

/** A change that was to be made at one sequence of an object only, which is at another. */
export class SequenceMismatchError extends KeyturnError {
  /** What the object is at. */
  readonly sequence: bigint;

  constructor(expected: bigint, sequence: bigint) {
    super('SEQUENCE_MISMATCH', { text: `The object is at sequence ${sequence}, not ${expected}` });
    this.sequence = sequence;
  }
}
