import { describe, expect, it } from 'vitest';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';

/** An instance with its admin, and a further user who is no owner yet. */
async function owned() {
  const running = await runningService();
  const { url, admin } = running;
  const token = await adminToken(running);
  const management = managementClient(url, token);
  const other = await addRobot(management, 'other');
  const call = async (method: string, path: string, body?: unknown, organizationId?: string) =>
    answerOf(
      await fetch(url + path, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(organizationId !== undefined && { 'x-zitadel-orgid': organizationId }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
  const addOwner = (userId: string) => call('POST', '/admin/v1/members', { userId, roles: ['IAM_OWNER'] });
  const refusal = async (...request: Parameters<typeof call>) => {
    const { status, body } = await call(...request);
    return [status, body.details?.[0]?.id];
  };
  return { running, admin, management, other, call, addOwner, refusal };
}

const refused = [400, 'KEYTURN-LastOwner'];
const done = [200, undefined];

/** All that takes an owner away. */
const attacks: [string, (userId: string) => [string, string, unknown?]][] = [
  ['locked', (id) => ['POST', `/management/v1/users/${id}/_lock`, {}]],
  ['deactivated', (id) => ['POST', `/management/v1/users/${id}/_deactivate`, {}]],
  ['removed', (id) => ['DELETE', `/management/v1/users/${id}`]],
  ['locked over v2', (id) => ['POST', `/v2/users/${id}/lock`, {}]],
  ['deactivated over v2', (id) => ['POST', `/v2/users/${id}/deactivate`, {}]],
  ['removed over v2', (id) => ['DELETE', `/v2/users/${id}`]],
  ['no member any more', (id) => ['DELETE', `/admin/v1/members/${id}`]],
  ['less than owner', (id) => ['PUT', `/admin/v1/members/${id}`, { roles: ['IAM_OWNER_VIEWER'] }]],
];

describe('the last active owner of the instance', () => {
  it.each(attacks)('cannot be %s', async (_, attack) => {
    const { admin, other, call, addOwner, refusal, management } = await owned();
    expect(await refusal(...attack(admin.userId))).toEqual(refused);
    // One who cannot act is none to rely on.
    await addOwner(other.userId);
    await call('POST', `/management/v1/users/${other.userId}/_lock`, {});
    await management('POST', '/orgs/me/members', { userId: admin.userId, roles: ['ORG_OWNER'] });
    expect(await refusal(...attack(admin.userId))).toEqual(refused);
    // And nothing of it was done.
    const { body } = await management('POST', '/orgs/me/members/_search', {});
    expect(body.result).toContainEqual(expect.objectContaining({ userId: admin.userId }));
  });

  it.each(attacks)('can be %s once there is another one', async (_, attack) => {
    const { admin, other, addOwner, refusal } = await owned();
    await addOwner(other.userId);
    expect(await refusal(...attack(admin.userId))).toEqual(done);
  });

  it('is not one whose organization is inactive', async () => {
    const { admin, call, addOwner, refusal } = await owned();
    const { body } = await call('POST', '/management/v1/orgs', { name: 'Elsewhere' });
    const newUser = { userName: 'elsewhere', name: 'Robot' };
    const added = await call('POST', '/management/v1/users/machine', newUser, body.id);
    await addOwner(added.body.userId);
    await call('POST', '/management/v1/orgs/me/_deactivate', {}, body.id);
    expect(await refusal('POST', `/management/v1/users/${admin.userId}/_lock`, {})).toEqual(refused);
    await call('POST', '/management/v1/orgs/me/_reactivate', {}, body.id);
    expect(await refusal('POST', `/management/v1/users/${admin.userId}/_lock`, {})).toEqual(done);
  });

  it('cannot be shut out with its organization', async () => {
    const { running, admin, call, addOwner } = await owned();
    const { body } = await call('POST', '/management/v1/orgs', { name: 'Elsewhere' });
    const newUser = { userName: 'elsewhere', name: 'Robot' };
    const added = await call('POST', '/management/v1/users/machine', newUser, body.id);
    const { userId } = added.body;
    const set = await call('PUT', `/management/v1/users/${userId}/secret`, {}, body.id);
    await addOwner(userId);
    const token = (await requestToken(running.url, 'elsewhere', set.body.clientSecret)).body.access_token;
    const elsewhere = managementClient(running.url, token);
    const shutOut = async () => {
      const answer = await elsewhere('POST', '/orgs/me/_deactivate', {});
      return [answer.status, answer.body.details?.[0]?.id];
    };
    const ofAdmin = { 'x-zitadel-orgid': admin.organizationId };
    expect((await elsewhere('POST', `/users/${admin.userId}/_lock`, {}, ofAdmin)).status).toBe(200);
    expect(await shutOut()).toEqual(refused);
    expect((await elsewhere('POST', `/users/${admin.userId}/_unlock`, {}, ofAdmin)).status).toBe(200);
    expect(await shutOut()).toEqual(done);
  });

  it('is no matter of users who are none', async () => {
    const { other, refusal } = await owned();
    expect(await refusal('POST', `/management/v1/users/${other.userId}/_lock`, {})).toEqual(done);
    expect(await refusal('DELETE', `/management/v1/users/${other.userId}`)).toEqual(done);
  });
});
