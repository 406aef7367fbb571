import { type DescField, type DescMessage, type DescMethodUnary, ScalarType } from '@bufbuild/protobuf';
import { AdminService } from '@zitadel/proto/zitadel/admin_pb.js';
import { ManagementService } from '@zitadel/proto/zitadel/management_pb.js';
import { UserService } from '@zitadel/proto/zitadel/user/v2/user_service_pb.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { httpRuleOf } from '../../src/api/rpc/method-options.ts';
import { rawGrpc } from '../support/rpc-clients.ts';
import { addRobot, adminToken, managementClient, runningService } from '../support/running-service.ts';

const services = [
  [ManagementService, '/management/v1'],
  [AdminService, '/admin/v1'],
  [UserService, ''],
] as const;

/** Those that are served: an unserved one answers before it reads. */
const served =
  /^(\w*MachineUser|UpdateMachine|\w+MachineSecret|\w+MachineKeys?(ByIDs)?|GetUserBy\w+|IsUserUnique|UpdateUserName|ListUsers|\w+activateUser|U?n?[Ll]ockUser|RemoveUser|ListUserChanges|GetMyOrg|AddOrg|GetOrgByDomainGlobal|\w+OrgMembers?|ListOrgMemberRoles|GetIAM|Healthz|ListOrgs|\w+IAMMembers?|ListEvents|ListEventTypes|ListAggregateTypes|AddSecret|RemoveSecret|CreateUser|UpdateUser|DeleteUser)$/;

const methods = services.flatMap(([service, basePath]) =>
  service.methods
    .filter((method) => served.test(method.name))
    .map((method) => [`${service.typeName}.${method.name}`, basePath, method as DescMethodUnary] as const),
);

const oddStrings = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '',
    ' ',
    '__proto__',
    'constructor',
    'toString',
    '\u0000',
    '\ud800',
    '"',
    '\\',
    '%00',
    '../..',
  ),
  fc.nat(3000).map((length) => 'x'.repeat(length)),
);
const oddNumbers = fc.constantFrom(0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, '18446744073709551616', '-1', '1e3');
const oddValues = fc.oneof(oddStrings, oddNumbers, fc.constantFrom(null, true, [], {}, [[[]]]), fc.object());

/** A value of a field: one that fits, or one that does not. */
function anyValueOf(field: DescField, depth: number): fc.Arbitrary<unknown> {
  const fitting = fittingValueOf(field, depth);
  const single = fc.oneof({ weight: 4, arbitrary: fitting }, { weight: 1, arbitrary: oddValues });
  return field.fieldKind === 'list' ? fc.oneof(fc.array(single, { maxLength: 40 }), single) : single;
}

function fittingValueOf(field: DescField, depth: number): fc.Arbitrary<unknown> {
  if (field.message !== undefined) return depth > 4 ? fc.constant({}) : bodyOf(field.message, depth + 1);
  if (field.enum !== undefined) {
    return fc.constantFrom(...field.enum.values.map((value) => value.name), 99, 'NO_SUCH_VALUE');
  }
  if (field.scalar === ScalarType.BOOL) return fc.boolean();
  if (field.scalar === ScalarType.STRING) return oddStrings;
  return field.scalar === ScalarType.BYTES ? fc.base64String({ maxLength: 64 }) : oddNumbers;
}

function bodyOf(message: DescMessage, depth = 0): fc.Arbitrary<Record<string, unknown>> {
  const fields = Object.fromEntries(
    message.fields.map((field) => [field.jsonName, anyValueOf(field, depth)]),
  );
  return fc.record({ ...fields, unknown: oddValues }, { requiredKeys: [] });
}

/** Text that is nearly JSON, too: cut off, with repeated keys, nested without end, and not UTF-8. */
function bytesOf(message: DescMessage): fc.Arbitrary<Buffer> {
  const json = bodyOf(message).map((body) => JSON.stringify(body));
  return fc.oneof(
    { weight: 6, arbitrary: json.map((text) => Buffer.from(text)) },
    json.chain((text) => fc.nat(text.length).map((end) => Buffer.from(text.slice(0, end)))),
    json.map((text) =>
      Buffer.from(`{"__proto__":{},${text.slice(1, -1)},${text.slice(1)}`.replace(',,', ',')),
    ),
    fc.nat(5000).map((depth) => Buffer.from(`${'{"queries":['.repeat(depth)}${']}'.repeat(depth)}`)),
    fc
      .nat(2000)
      .map((depth) =>
        Buffer.from(
          `{"queries":[${'{"notQuery":{"query":'.repeat(depth)}{"typeQuery":{}}${'}}'.repeat(depth)}]}`,
        ),
      ),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
}

async function fuzzed() {
  const running = await runningService();
  const token = await adminToken(running);
  const { userId } = await addRobot(managementClient(running.url, token));
  const events = async () => {
    const all = await Array.fromAsync(running.service.eventStore.readAll());
    // That the token was granted may be recorded later.
    return all.filter(({ type }) => type !== 'MachineSecretUsed').length;
  };
  return { url: running.url, log: running.log, token, userId, events };
}

/** The lines of errors: what the service itself did not expect. */
function faultsIn(log: string): string[] {
  return log.split('\n').filter((line) => line.startsWith('{"level":50'));
}

const rules: Readonly<Record<string, { verb: string; path: string; body: string }>> = {
  CreateUser: { verb: 'POST', path: '/v2/users/new', body: '*' },
  UpdateUser: { verb: 'PATCH', path: '/v2/users/{user_id}', body: '*' },
  AddSecret: { verb: 'POST', path: '/v2/users/{user_id}/secret', body: '*' },
  RemoveSecret: { verb: 'DELETE', path: '/v2/users/{user_id}/secret', body: '' },
};

describe('whatever is sent over REST', () => {
  it('is answered, never with a fault of the server, and changes nothing when it is refused', async () => {
    const { url, token, userId, events, log } = await fuzzed();
    for (const [name, basePath, method] of methods) {
      const rule = httpRuleOf(method) ?? rules[method.name];
      if (rule === undefined) throw new Error(`${name} has no path`);
      const ids = fc.oneof(fc.constant(userId), oddStrings);
      await fc.assert(
        fc.asyncProperty(bytesOf(method.input), ids, async (body, id) => {
          const path = rule.path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(id.toWellFormed()));
          const before = await events();
          const response = await fetch(url + basePath + path, {
            method: rule.verb,
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            ...(rule.verb !== 'GET' && { body: new Uint8Array(body) }),
          });
          await response.arrayBuffer();
          expect([name, response.status < 500, faultsIn(log())]).toEqual([name, true, []]);
          if (!response.ok) expect([name, await events()]).toEqual([name, before]);
        }),
        { numRuns: 12, endOnFailure: true },
      );
    }
  }, 120_000);
});

/** A gRPC message: a flag, a length, and that many bytes. */
function framed(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

const messages = fc.uint8Array({ maxLength: 300 }).map(framed);

/** A field of a protobuf message that holds bytes: a tag, a length, and that many bytes. */
function field(tag: number, bytes: Buffer): Buffer {
  const head = [tag];
  let length = bytes.length;
  for (; length > 127; length >>>= 7) head.push((length & 127) | 128);
  return Buffer.concat([Buffer.from([...head, length]), bytes]);
}

/** notQuery (field 13) with a query (field 1) with a notQuery …: ListUsersRequest.queries, which is field 3. */
const nested = fc.nat(3000).map((depth) => {
  let query: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) query = field(0x6a, field(0x0a, query));
  return framed(field(0x1a, query));
});
const frames = fc.oneof(
  { weight: 4, arbitrary: messages },
  messages.chain((message) => fc.nat(message.length).map((end) => message.subarray(0, end))),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  fc.array(messages, { minLength: 2, maxLength: 3 }).map((several) => Buffer.concat(several)),
  nested,
);
describe('whatever is sent over gRPC', () => {
  it('is answered, never with a fault of the server, and changes nothing when it is refused', async () => {
    const { url, token, events, log } = await fuzzed();
    for (const [name, , method] of methods) {
      await fc.assert(
        fc.asyncProperty(frames, async (body) => {
          const before = await events();
          const status = await rawGrpc(url, `/${method.parent.typeName}/${method.name}`, token, body);
          expect([name, faultsIn(log())]).toEqual([name, []]);
          if (status !== '0') expect([name, await events()]).toEqual([name, before]);
        }),
        { numRuns: 12, endOnFailure: true },
      );
    }
  }, 120_000);
});
