import type { DescMethod } from '@bufbuild/protobuf';
import createRouter, { type HTTPMethod } from 'find-my-way';
import { KeyturnError } from '../../domain/errors.ts';
import { httpRuleOf } from '../rpc/method-options.ts';
import { nameOf, type ServedService } from '../rpc/served-method.ts';
import { routeUrlOf } from './path-template.ts';

export type FindUnimplemented = (verb: string, path: string) => KeyturnError | undefined;

/**
 * Finds the method of a served service that a request is for, and that is not implemented. They are hundreds: their paths
 * are read when the first request asks.
 *
 * @returns KeyturnError `UNIMPLEMENTED`, which names the method; undefined: there is no such method
 */
export function unimplementedMethods(services: readonly ServedService[]): FindUnimplemented {
  let router: ReturnType<typeof createRouter> | undefined;
  return (verb, path) => {
    router ??= routerOf(services);
    const store = router.find(verb as HTTPMethod, path)?.store as { readonly name: string } | undefined;
    return store && new KeyturnError('UNIMPLEMENTED', { text: `${store.name} is not implemented` });
  };
}

function routerOf(services: readonly ServedService[]): ReturnType<typeof createRouter> {
  const router = createRouter();
  for (const { basePath, descriptor, methods } of services) {
    const implemented = new Set(methods.map((method) => method.descriptor.name));
    for (const method of descriptor.methods.filter((one) => !implemented.has(one.name))) {
      add(router, basePath, method);
    }
  }
  return router;
}

function add(router: ReturnType<typeof createRouter>, basePath: string, method: DescMethod): void {
  const rule = method.methodKind === 'unary' ? httpRuleOf(method) : undefined;
  if (rule === undefined) return;
  router.on(rule.verb, basePath + routeUrlOf(rule.path), () => {}, { name: nameOf(method) });
}
