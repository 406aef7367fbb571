import { readFileSync } from 'node:fs';

const packageFile = new URL('../package.json', import.meta.url);

/** Of this Keyturn. The file is beside `src` and beside `dist`. */
export const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { readonly version: string };
