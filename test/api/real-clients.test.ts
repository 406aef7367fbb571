import * as oauth from 'oauth4webapi';
import { allowInsecureRequests } from 'oauth4webapi';
import * as openid from 'openid-client';
import { describe, expect, it } from 'vitest';
import { addMachineKey, privateKeyOf, signAssertion } from '../support/machine-key.ts';
import {
  addRobot,
  adminToken,
  managementClient,
  managementScope,
  runningService,
} from '../support/running-service.ts';

const insecure = { [allowInsecureRequests]: true };

async function withClient(userName = 'rö:bot') {
  const running = await runningService();
  const call = managementClient(running.url, await adminToken(running));
  const robot = await addRobot(call, userName, { accessTokenType: 'ACCESS_TOKEN_TYPE_JWT' });
  const keyFile = await addMachineKey(call, robot.userId);
  const key = { key: await privateKeyOf(keyFile), kid: keyFile.keyId };
  return { running, robot, keyFile, key, issuer: new URL(running.service.issuer) };
}

type Client = Awaited<ReturnType<typeof withClient>>;

describe.each<[string, (client: Client) => openid.ClientAuth]>([
  ['client_secret_basic', ({ robot }) => openid.ClientSecretBasic(robot.clientSecret)],
  ['client_secret_post', ({ robot }) => openid.ClientSecretPost(robot.clientSecret)],
  ['private_key_jwt', ({ key }) => openid.PrivateKeyJwt(key)],
])('openid-client, with %s,', (_, authentication) => {
  it('signs in, asks who it is, introspects its token and revokes it', async () => {
    const client = await withClient();
    const { robot, issuer } = client;
    const configuration = await openid.discovery(issuer, robot.clientId, undefined, authentication(client), {
      execute: [openid.allowInsecureRequests],
    });
    const scope = `${managementScope} profile`;
    const tokens = await openid.clientCredentialsGrant(configuration, { scope });
    expect(tokens.token_type).toBe('bearer');
    expect(tokens.expiresIn()).toBeGreaterThan(3500);
    expect(tokens.claims()?.sub).toBe(robot.userId);

    const user = await openid.fetchUserInfo(configuration, tokens.access_token, robot.userId);
    expect(user.preferred_username).toBe('rö:bot');
    const introspected = await openid.tokenIntrospection(configuration, tokens.access_token);
    expect(introspected).toMatchObject({ active: true, sub: robot.userId });
    await openid.tokenRevocation(configuration, tokens.access_token);
    expect(await openid.tokenIntrospection(configuration, tokens.access_token)).toEqual({ active: false });
  });
});

describe.each<[string, (client: Client) => oauth.ClientAuth]>([
  ['client_secret_basic', ({ robot }) => oauth.ClientSecretBasic(robot.clientSecret)],
  ['client_secret_post', ({ robot }) => oauth.ClientSecretPost(robot.clientSecret)],
  ['private_key_jwt', ({ key }) => oauth.PrivateKeyJwt(key)],
])('oauth4webapi, with %s,', (_, authentication) => {
  it('signs in, verifies the token as a resource server, asks who it is, introspects and revokes', async () => {
    const connection = await withClient('robot');
    const { robot, issuer } = connection;
    const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
    const server = await oauth.processDiscoveryResponse(issuer, response);
    const client = { client_id: robot.clientId };
    const by = authentication(connection);
    const parameters = { scope: 'openid profile' };
    const granted = await oauth.clientCredentialsGrantRequest(server, client, by, parameters, insecure);
    const { access_token, id_token } = await oauth.processClientCredentialsResponse(server, client, granted);
    expect(id_token).toEqual(expect.any(String));
    const authorization = `Bearer ${access_token}`;
    const request = new Request('https://resource.example', { headers: { authorization } });
    const claims = await oauth.validateJwtAccessToken(server, request, 'robot', insecure);
    expect(claims).toMatchObject({ sub: robot.userId, scope: 'openid profile' });

    const userinfo = await oauth.userInfoRequest(server, client, access_token, insecure);
    const user = await oauth.processUserInfoResponse(server, client, robot.userId, userinfo);
    expect(user['name']).toBe('Robot');
    const introspect = async () => {
      const answer = await oauth.introspectionRequest(server, client, by, access_token, insecure);
      return oauth.processIntrospectionResponse(server, client, answer);
    };
    expect(await introspect()).toMatchObject({ active: true, client_id: 'robot' });
    const revoked = await oauth.revocationRequest(server, client, by, access_token, insecure);
    await oauth.processRevocationResponse(revoked);
    expect(await introspect()).toEqual({ active: false });
  });
});

describe('the JWT profile grant', () => {
  const grantType = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
  const resource = 'https://api.example/v1';
  const requestBy = async ({ keyFile, running }: Client) => ({
    assertion: await signAssertion(keyFile, running.service.issuer),
    scope: 'openid profile',
    resource,
  });

  it('gives openid-client a token for the resource that it names', async () => {
    const client = await withClient('robot');
    const { robot, issuer } = client;
    const configuration = await openid.discovery(issuer, robot.clientId, undefined, openid.None(), {
      execute: [openid.allowInsecureRequests],
    });
    const tokens = await openid.genericGrantRequest(configuration, grantType, await requestBy(client));
    expect(tokens.claims()?.sub).toBe(robot.userId);
    const user = await openid.fetchUserInfo(configuration, tokens.access_token, robot.userId);
    expect(user.preferred_username).toBe('robot');
  });

  it('gives oauth4webapi a token that the resource takes', async () => {
    const connection = await withClient('robot');
    const { robot, issuer } = connection;
    const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
    const server = await oauth.processDiscoveryResponse(issuer, discovered);
    const client = { client_id: robot.clientId };
    const parameters = await requestBy(connection);
    const granted = await oauth.genericTokenEndpointRequest(
      server,
      client,
      oauth.None(),
      grantType,
      parameters,
      insecure,
    );
    const { access_token } = await oauth.processGenericTokenEndpointResponse(server, client, granted);
    const authorization = `Bearer ${access_token}`;
    const request = new Request(resource, { headers: { authorization } });
    const claims = await oauth.validateJwtAccessToken(server, request, resource, insecure);
    expect(claims).toMatchObject({ sub: robot.userId });
  });
});
