/** `/users/{user_id}/secret` (google.api.http) as a route of Fastify: `/users/:user_id/secret`. */
export function routeUrlOf(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** The names of the request's fields that stand in a path. */
export function pathParametersOf(path: string): string[] {
  return Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name);
}
