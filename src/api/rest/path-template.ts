/**
 * A path of google.api.http as a route of Fastify: `/users/{user_id}/secret` is `/users/:user_id/secret`, and a field that
 * takes all the rest of the path, `{role_key=**}`, is `*`.
 */
export function routeUrlOf(path: string): string {
  return path.replace(/\{\w+=\*\*\}$/, '*').replaceAll(/\{(\w+)\}/g, ':$1');
}

/** The names of the request's fields that stand in a path. */
export function pathParametersOf(path: string): string[] {
  return Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name);
}
