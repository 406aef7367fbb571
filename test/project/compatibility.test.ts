import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { adminService } from '../../src/api/admin/admin-service.ts';
import { managementService } from '../../src/api/management/management-service.ts';
import { httpRuleOf } from '../../src/api/rpc/method-options.ts';
import { userService } from '../../src/api/user-v2/user-service.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/zitadel-compatibility.md'), 'utf8');
/** Only named, not called: they need nothing of what they depend on. */
const services = [managementService({} as never), adminService({} as never), userService({} as never)];

test('the table of methods shows every one that is served, and no other', () => {
  const documented = Array.from(
    page.matchAll(/^\| `(\w+Service\.\w+)` +\| `(\w+ \S+)` +\| (\S.*?) +\|$/gm),
    ([, method = '', rest = '', description = '']) => [method, rest, description.length > 0],
  );
  const actual = services.flatMap(({ descriptor, basePath, methods }) =>
    methods.map((method) => {
      const rule = method.httpRule ?? httpRuleOf(method.descriptor);
      return [`${descriptor.name}.${method.descriptor.name}`, `${rule?.verb} ${basePath}${rule?.path}`, true];
    }),
  );
  expect(documented).toEqual(actual);
});
