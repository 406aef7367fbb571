import { AdminService } from '@zitadel/proto/zitadel/admin_pb.js';
import { ManagementService } from '@zitadel/proto/zitadel/management_pb.js';
import { UserService } from '@zitadel/proto/zitadel/user/v2/user_service_pb.js';
import { AccessTokenType } from '@zitadel/proto/zitadel/user_pb.js';
import { describe, expect, it } from 'vitest';
import { type Call, rpcClients } from '../support/rpc-clients.ts';
import { adminToken, runningService } from '../support/running-service.ts';

const machine = { case: 'machine', value: { name: 'Seven', description: 'of nine' } } as const;
const management = (method: string, request: Call['request'] = {}, headers?: Call['headers']): Call => ({
  service: ManagementService,
  method,
  request,
  ...(headers && { headers }),
});
const admin = (method: string, request: Call['request'] = {}): Call => ({
  service: AdminService,
  method,
  request,
});
const users = (method: string, request: Call['request'] = {}): Call => ({
  service: UserService,
  method,
  request,
});
const robot = { userId: 'robot' };

/** Every method of the API, and what it refuses: the same calls for every client. */
const calls: readonly Call[] = [
  management('Healthz'),
  management('GetIAM'),
  management('GetMyOrg'),
  management('AddMachineUser', { ...robot, userName: 'Robot', name: 'Robot', description: 'welds' }),
  management('AddMachineUser', { userId: 'other', userName: 'ROBOT', name: 'Other' }),
  management('AddMachineUser', { ...robot, userName: 'third', name: 'Third' }),
  management('AddMachineUser', { userName: '', name: 'x'.repeat(201) }),
  management('AddMachineUser', { userName: 'r', name: 'R', accessTokenType: 9 }),
  management('UpdateMachine', { ...robot, name: 'Robot 2', accessTokenType: AccessTokenType.JWT }),
  management('UpdateMachine', { ...robot, name: 'Robot 2', accessTokenType: AccessTokenType.JWT }),
  management('UpdateUserName', { ...robot, userName: 'welder' }),
  management('UpdateUserName', { ...robot, userName: 'welder' }),
  management('IsUserUnique', { userName: 'Robot' }),
  management('IsUserUnique', { userName: 'Welder' }),
  management('GenerateMachineSecret', robot),
  management('GenerateMachineSecret', robot, { 'if-match': '"4"' }),
  management('GenerateMachineSecret', robot, { 'if-match': '"4"' }),
  management('GenerateMachineSecret', robot, { 'if-match': '*' }),
  management('GenerateMachineSecret', robot, { 'if-match': '4' }),
  management('GenerateMachineSecret', { userId: 'nobody' }, { 'if-match': '"4"' }),
  management('GetUserByID', { id: 'robot' }),
  management('GetUserByID', { id: 'nobody' }),
  management('GetUserByID', { id: '' }),
  management('GetUserByLoginNameGlobal', { loginName: 'WELDER' }),
  management('GetUserByLoginNameGlobal', { loginName: 'nobody' }),
  management('RemoveMachineSecret', robot, { 'if-match': '"1"' }),
  management('RemoveMachineSecret', robot),
  management('RemoveMachineSecret', robot),
  management('DeactivateUser', { id: 'robot' }),
  management('DeactivateUser', { id: 'robot' }),
  management('LockUser', { id: 'robot' }),
  management('ReactivateUser', { id: 'robot' }),
  management('ReactivateUser', { id: 'robot' }),
  management('LockUser', { id: 'robot' }),
  management('UnlockUser', { id: 'robot' }),
  management('UnlockUser', { id: 'robot' }),
  management('ListUsers', {
    query: { offset: 0n, limit: 1, asc: true },
    queries: [{ query: { case: 'stateQuery', value: { state: 1 } } }],
  }),
  management('ListUsers', { query: { limit: 1001 } }),
  management('ListUsers', { queries: [{}] }),
  management('ListUsers', {
    queries: [{ query: { case: 'userNameQuery', value: { userName: 'x'.repeat(201), method: 0 } } }],
  }),
  management('ListUserChanges', robot, { 'accept-language': 'de-CH, en;q=0.5' }),
  management('ListUserChanges', { ...robot, query: { sequence: 2n, limit: 2, asc: true } }),
  management('ListUserChanges', { userId: 'nobody' }),
  management('AddOrg', { name: 'ACME Corp' }),
  management('AddOrg', { name: 'ACME Corp' }),
  management('GetOrgByDomainGlobal', { domain: 'acme-corp.localhost' }),
  management('GetOrgByDomainGlobal', { domain: 'acme-corp.example.com' }),
  management('DeactivateOrg'),
  management('AddOrgMember', { ...robot, roles: ['ORG_OWNER'] }),
  management('AddOrgMember', { ...robot, roles: ['ORG_OWNER'] }),
  management('AddOrgMember', { userId: 'nobody', roles: ['ORG_OWNER'] }),
  management('UpdateOrgMember', { ...robot, roles: ['IAM_OWNER'] }),
  management('UpdateOrgMember', { ...robot, roles: ['ORG_USER_MANAGER'] }),
  management('ListOrgMembers', { query: { asc: true } }),
  management('ListOrgMemberRoles'),
  management('RemoveOrgMember', robot),
  management('RemoveOrgMember', robot),
  admin('Healthz'),
  admin('ListOrgs', {
    query: { asc: true },
    queries: [{ query: { case: 'nameQuery', value: { name: 'acme', method: 3 } } }],
  }),
  admin('AddIAMMember', { ...robot, roles: ['IAM_USER_MANAGER'] }),
  admin('UpdateIAMMember', { ...robot, roles: ['IAM_OWNER_VIEWER'] }),
  admin('ListIAMMembers', { query: { asc: true }, sortingColumn: 1 }),
  admin('RemoveIAMMember', robot),
  admin('ListEvents', { asc: true, limit: 100, aggregateId: 'robot', aggregateTypes: ['user'] }),
  admin('ListEvents', { eventTypes: ['user.machine.secret.set'], limit: 1 }),
  admin('ListEvents', { eventTypes: ['no.such.event'] }),
  admin('ListEventTypes'),
  admin('ListAggregateTypes'),
  users('CreateUser', { organizationId: 'nowhere', userType: machine }),
  users('GetUserByID', robot),
  users('GetUserByID', { userId: 'nobody' }),
  users('UpdateUser', { ...robot, username: 'seven', userType: machine }),
  users('UpdateUser', { ...robot, username: 'seven', userType: machine }),
  users('AddSecret', robot),
  users('RemoveSecret', robot),
  users('LockUser', robot),
  users('UnlockUser', robot),
  users('DeactivateUser', robot),
  users('ReactivateUser', robot),
  users('ListUsers', { queries: [{ query: { case: 'inUserIdsQuery', value: { userIds: ['robot'] } } }] }),
  users('DeleteUser', robot),
  users('DeleteUser', robot),
  management('RemoveUser', { id: 'robot' }),
  management('ListProjects'),
  admin('GetSMTPConfig'),
  users('ListPasskeys', robot),
];

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** What differs from run to run, and lists that grow with Keyturn itself. */
const replaced: Readonly<Record<string, (value: unknown) => unknown>> = {
  clientSecret: () => '<secret>',
  secretId: () => '<secret id>',
  secretIds: () => ['<secret id>'],
  replacedSecretIds: (ids) => (ids as string[]).map(() => '<secret id>'),
  processedSequence: () => '<position>',
  eventTypes: (types) => (types as unknown[]).slice(0, 3),
  aggregateTypes: (types) => (types as unknown[]).slice(0, 3),
};

/** The same for every run: ids in the order in which they came, no times, no secrets. */
function normalizer(): (outcome: unknown) => string {
  const ids = new Map<string, string>();
  const normalize = (key: string, value: unknown) => {
    const replace = replaced[key];
    if (replace !== undefined) return replace(value);
    if (typeof value !== 'string') return value;
    if (rfc3339.test(value)) return '<time>';
    if (!/^[1-9]\d{17}$/.test(value)) return value;
    ids.set(value, ids.get(value) ?? `<id ${ids.size + 1}>`);
    return ids.get(value);
  };
  return (outcome) => JSON.stringify(outcome, normalize, 2);
}

/** What each of the calls gave. */
async function transcript(client: keyof typeof rpcClients): Promise<string> {
  const running = await runningService({ externalUrl: 'http://localhost' });
  const caller = rpcClients[client]?.(running.url, await adminToken(running));
  const normalize = normalizer();
  let text = '';
  for (const call of calls) text += `${call.method} ${normalize(await caller?.(call))}\n\n`;
  return text;
}

describe.each(Object.keys(rpcClients))('%s', (client) => {
  it('gets the same answers to the same calls as every other client', async () => {
    await expect(await transcript(client)).toMatchFileSnapshot('__snapshots__/protocols.txt');
  });
});
