import { type DescMethod, type DescMethodUnary, getOption, hasOption } from '@bufbuild/protobuf';
import { http } from '@zitadel/proto/google/api/annotations_pb.js';
import { permission as ownPermission } from '#generated/keyturn/v1/options_pb.js';
import { auth_option } from '#generated/zitadel/options_pb.js';
import { options as optionsOfV2 } from '#generated/zitadel/protoc_gen_zitadel/v2/options_pb.js';

export interface HttpRule {
  readonly verb: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'PATCH';
  /** With fields of the request in braces: `/users/{user_id}/secret`. */
  readonly path: string;
  /** `*`: the body is the request. Empty: the request has no body. Else the field that the body is. */
  readonly body: string;
}

/** How REST calls the method (google.api.http), or undefined for one that REST does not have. */
export function httpRuleOf(method: DescMethod): HttpRule | undefined {
  const { pattern, body } = getOption(method, http);
  if (pattern.case === undefined || pattern.case === 'custom') return undefined;
  return { verb: pattern.case.toUpperCase() as HttpRule['verb'], path: pattern.value, body };
}

/** What a caller must be allowed. */
export type RequiredPermission =
  | { readonly kind: 'none' }
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'permission'; readonly permission: string };

export function requiredPermissionOf(method: DescMethodUnary): RequiredPermission {
  const permission = permissionOptionOf(method);
  if (permission === '') return { kind: 'none' };
  return permission === 'authenticated' ? { kind: 'authenticated' } : { kind: 'permission', permission };
}

/** The option of ZITADEL's services of v1, of v2, or of our own. */
function permissionOptionOf(method: DescMethodUnary): string {
  if (hasOption(method, auth_option)) return getOption(method, auth_option).permission;
  if (hasOption(method, optionsOfV2)) return getOption(method, optionsOfV2).authOption?.permission ?? '';
  return getOption(method, ownPermission);
}
