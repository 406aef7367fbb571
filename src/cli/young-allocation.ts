import { setFlagsFromString } from 'node:v8';

/** Up to this major version of V8, what follows was tried. One that no longer knew the option would complain on standard error. */
const lastKnown = 14;

/**
 * Has V8 allocate all objects in the young generation, where it costs nothing when they are gone. By default it learns which places in
 * the code make objects that live long, and allocates what those make among the old ones from then on. Here it learns that from
 * connections, and then does so with what each request has: the old one keeps all of its request until the next collection of all.
 *
 * To be called when the command is loaded: what Node keeps compiled of its own modules counts under the default options alone.
 */
export function allocateYoung(): void {
  if (Number.parseInt(process.versions.v8, 10) > lastKnown) return;
  setFlagsFromString('--no-allocation-site-pretenuring');
}
