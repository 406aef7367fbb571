import createRouter, { type HTTPMethod } from 'find-my-way';
import { KeyturnError } from '../../domain/errors.ts';
import { loadedWhenUsed } from '../loaded-when-used.ts';
import { publishedDescriptorOf } from '../rpc/method.ts';
import { httpRuleOf } from '../rpc/method-options.ts';
import { nameOf, type ServedService } from '../rpc/served-method.ts';
import { routeUrlOf } from './path-template.ts';

export type FindUnimplemented = (verb: string, path: string) => Promise<KeyturnError | undefined>;

/**
 * Finds the method of a served service that a request is for, and that is not implemented. They are hundreds: those of a
 * service are read when the first request asks.
 *
 * @returns KeyturnError `UNIMPLEMENTED`, which names the method; undefined: there is no such method
 */
export function unimplementedMethods(services: readonly ServedService[]): FindUnimplemented {
  const routers = services.map((service) => ({
    prefix: service.pathPrefix ?? service.basePath,
    router: loadedWhenUsed(() => routerOf(service)),
  }));
  return async (verb, path) => {
    for (const { prefix, router } of routers) {
      if (!path.startsWith(prefix)) continue;
      const store = (await router()).find(verb as HTTPMethod, path)?.store as
        | { readonly name: string }
        | undefined;
      if (store) return new KeyturnError('UNIMPLEMENTED', { text: `${store.name} is not implemented` });
    }
    return undefined;
  };
}

async function routerOf(service: ServedService): Promise<ReturnType<typeof createRouter>> {
  const router = createRouter();
  const implemented = new Set(service.methods.map((method) => method.descriptor.name));
  for (const method of (await publishedDescriptorOf(service)).methods) {
    const rule = method.methodKind === 'unary' ? httpRuleOf(method) : undefined;
    if (rule === undefined || implemented.has(method.name)) continue;
    router.on(rule.verb, service.basePath + routeUrlOf(rule.path), () => {}, { name: nameOf(method) });
  }
  return router;
}
