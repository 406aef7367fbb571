import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The files below a folder, and which of the texts are in their bytes. */
export function filesThatTell(folder: string, texts: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => statSync(join(folder, file)).isFile())
    .flatMap((file) => {
      const bytes = readFileSync(join(folder, file));
      return texts.filter((text) => bytes.includes(text)).map((text) => `${file}: ${text}`);
    });
}
