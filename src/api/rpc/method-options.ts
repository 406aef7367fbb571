import { type DescMethodUnary, getOption, hasOption } from '@bufbuild/protobuf';
import { http } from '@zitadel/proto/google/api/annotations_pb.js';
import { auth_option } from '@zitadel/proto/zitadel/options_pb.js';
import { permission as ownPermission } from '#generated/keyturn/v1/options_pb.js';

export interface HttpRule {
  readonly verb: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'PATCH';
  /** With fields of the request in braces: `/users/{user_id}/secret`. */
  readonly path: string;
  /** `*`: the body is the request. Empty: the request has no body. Else the field that the body is. */
  readonly body: string;
}

/** How REST calls the method (google.api.http). Throws TypeError for a method that has no such rule. */
export function httpRuleOf(method: DescMethodUnary): HttpRule {
  const { pattern, body } = getOption(method, http);
  if (pattern.case === undefined || pattern.case === 'custom') {
    throw new TypeError(`${method.name} has no HTTP path`);
  }
  return { verb: pattern.case.toUpperCase() as HttpRule['verb'], path: pattern.value, body };
}

/** What a caller must be allowed: zitadel.v1.auth_option, or keyturn.v1.permission in our own services. */
export type RequiredPermission =
  | { readonly kind: 'none' }
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'permission'; readonly permission: string };

export function requiredPermissionOf(method: DescMethodUnary): RequiredPermission {
  const permission = hasOption(method, auth_option)
    ? getOption(method, auth_option).permission
    : getOption(method, ownPermission);
  if (permission === '') return { kind: 'none' };
  return permission === 'authenticated' ? { kind: 'authenticated' } : { kind: 'permission', permission };
}
