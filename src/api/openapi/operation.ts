import type { JsonSchema } from './json-schema.ts';

/** Path items of an OpenAPI document: operations by path and verb. */
export type Paths = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The errors of every endpoint but those of OAuth. */
export const errorResponses = {
  '4XX': errorResponse('the caller, the request, or a rule stands in the way'),
  '5XX': errorResponse('the service cannot answer now'),
};

/** A response of an operation. */
export function answer(description: string, schema: JsonSchema, mediaType = 'application/json') {
  return { description, content: { [mediaType]: { schema } } };
}

function errorResponse(description: string) {
  return answer(description, { $ref: '#/components/schemas/Error' });
}
