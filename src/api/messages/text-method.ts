import { TextQueryMethod } from '#generated/zitadel/object_pb.js';
import type { TextMethod } from '../../projections/text-condition.ts';

const methods: Readonly<Record<TextQueryMethod, { method: TextMethod; ignoreCase: boolean }>> = {
  [TextQueryMethod.EQUALS]: { method: 'equals', ignoreCase: false },
  [TextQueryMethod.EQUALS_IGNORE_CASE]: { method: 'equals', ignoreCase: true },
  [TextQueryMethod.STARTS_WITH]: { method: 'startsWith', ignoreCase: false },
  [TextQueryMethod.STARTS_WITH_IGNORE_CASE]: { method: 'startsWith', ignoreCase: true },
  [TextQueryMethod.CONTAINS]: { method: 'contains', ignoreCase: false },
  [TextQueryMethod.CONTAINS_IGNORE_CASE]: { method: 'contains', ignoreCase: true },
  [TextQueryMethod.ENDS_WITH]: { method: 'endsWith', ignoreCase: false },
  [TextQueryMethod.ENDS_WITH_IGNORE_CASE]: { method: 'endsWith', ignoreCase: true },
};

/** zitadel.v1.TextQueryMethod; zitadel.object.v2.TextQueryMethod has the same numbers. Field rules refuse others. */
export function textMethodOf(method: number): { method: TextMethod; ignoreCase: boolean } {
  return methods[method as TextQueryMethod];
}
