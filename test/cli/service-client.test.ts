import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ServiceClient, ServiceClientError } from '../../src/cli/service-client.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('where no Keyturn is, the message says how to mend that', async () => {
  const dataDir = temporaryFolder();
  const credentials = join(dataDir, 'credentials.json');
  writeFileSync(credentials, JSON.stringify({ clientId: 'admin', clientSecret: 'secret' }));
  const page = createServer((_, response) => response.end('<p>hello</p>')).listen(0, '127.0.0.1');
  onTestFinished(() => void page.close());
  await once(page, 'listening');
  const { port } = page.address() as AddressInfo;
  for (const [url, message] of [
    ['localhost', /is not an http or https URL: .* --url/],
    [`http://127.0.0.1:${port}`, /what answers at .* is not Keyturn: .* --url/],
  ] as const) {
    const answer = new ServiceClient({ dataDir, credentials, url }).call('GET', '/keyturn/v1/signing-keys');
    await expect(answer).rejects.toThrow(message);
    await expect(answer).rejects.toThrow(ServiceClientError);
  }
});
